//! Each target with its committed inputs, and with a bounded number of changed ones that are the same in every run. What is found is
//! told as bytes, to be added to `fuzz/corpus/`.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::pieces::digest;
use super::{TARGETS, run};

/// Changed inputs of a target.
const MAX_CHANGED: usize = 2_000;
/// How long a target gets for them; what is left after it is left out.
const CHANGED_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Bytes of a changed input.
const MAX_BYTES: usize = 4_000;
/// Bytes that readers make a difference at.
const SIGNS: &[u8] = b"\0\t\n\r \"#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~\x7f\x80\xc3\xe2\xed\xf0\xff";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The committed inputs of a target, by their names.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder().join("corpus").join(name)).unwrap().map(|file| file.unwrap().path());
    let mut inputs: Vec<_> =
        files.map(|file| (file.file_name().unwrap().display().to_string(), fs::read(&file).unwrap())).collect();
    inputs.sort();
    inputs
}

/// What is wrong with an input, if anything is.
fn broken(name: &str, input: &[u8], origin: &str) -> Option<String> {
    let failed = catch_unwind(|| run(name, input)).err()?;
    let said = failed.downcast_ref::<String>().map(String::as_str).or_else(|| failed.downcast_ref::<&str>().copied());
    let bytes = input.escape_ascii().to_string().replace("\\'", "\\x27");
    Some(format!("{name}, {origin}: {}\n  printf '%b' '{bytes}' >fuzz/corpus/{name}/...", said.unwrap_or_default()))
}

/// An input made of others.
fn changed(inputs: &[(String, Vec<u8>)], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut input = random.choice(inputs).map(|(_, input)| input.clone()).unwrap_or_default();
    for _ in 0..random.usize(1..5) {
        let (from, to) = (random.usize(0..=input.len()), random.usize(0..=input.len()));
        let part = from.min(to)..from.max(to).min(from.min(to) + 40);
        match random.u8(0..8) {
            0 => drop(input.drain(part)),
            1 => input.truncate(from),
            2 => drop(input.splice(from..from, input[part].to_vec())),
            3 => input.insert(from, *random.choice(SIGNS).unwrap()),
            4 => input.insert(from, random.u8(..)),
            5 => {
                let other = &random.choice(inputs).unwrap().1;
                let start = random.usize(0..=other.len());
                let end = other.len().min(start + random.usize(0..200));
                drop(input.splice(from..from, other[start..end].to_vec()));
            }
            _ if part.is_empty() => {}
            6 => input[part.start] = *random.choice(SIGNS).unwrap(),
            _ => input[part.start] ^= 1 << random.u8(0..8),
        }
    }
    input.truncate(MAX_BYTES);
    input
}

/// What the target of this name does not hold for.
fn findings(name: &str, mut random: fastrand::Rng, most: usize, timeout: Duration) -> Vec<String> {
    let inputs = corpus(name);
    let mut found: Vec<_> = inputs.iter().filter_map(|(file, input)| broken(name, input, file)).collect();
    let began = Instant::now();
    for _ in 0..most {
        if found.len() > 4 || began.elapsed() > timeout {
            break;
        }
        found.extend(broken(name, &changed(&inputs, &mut random), "a changed input"));
    }
    found
}

/// Each target in a thread of its own.
fn none_found(findings: fn(&str) -> Vec<String>) {
    let running: Vec<_> = TARGETS.iter().map(|(name, _)| std::thread::spawn(move || findings(name))).collect();
    let found: Vec<_> = running.into_iter().flat_map(|target| target.join().unwrap()).collect();
    assert!(found.is_empty(), "{} findings\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_reader_keeps_its_promises_for_known_inputs_and_for_what_they_are_changed_to() {
    none_found(|name| {
        let random = fastrand::Rng::with_seed(digest(name.as_bytes()));
        findings(name, random, MAX_CHANGED, CHANGED_TIMEOUT)
    });
}

#[test]
#[ignore = "takes five minutes, with other inputs each time"]
fn every_reader_keeps_its_promises_for_five_minutes() {
    none_found(|name| findings(name, fastrand::Rng::new(), usize::MAX, Duration::from_secs(300)));
}

#[test]
fn every_target_has_a_program_and_telling_inputs() {
    let names: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let entries = |place: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(folder().join(place)).unwrap();
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().display().to_string()).collect()
    };
    assert_eq!(entries("fuzz_targets"), names);
    assert_eq!(entries("corpus"), names);
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    for name in &names {
        let program = fs::read_to_string(folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("run(\"{name}\", data)")), "{name}: {program}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "Cargo.toml lacks {name}");
        let inputs = corpus(name);
        let is_telling = |(file, input): &(String, Vec<u8>)| file.len() >= 3 && input.len() < MAX_BYTES;
        assert!(inputs.len() >= 4 && inputs.iter().all(is_telling), "{name}: {} inputs", inputs.len());
    }
}

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::statvfs;
use rustix::process::Pid;

/// Pause between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(25);
/// Pause in times of what the last look took, so that watching does not use up the processors; bounded, lest looks be slowed.
const PAUSE_FACTOR: u32 = 10;
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Looks that it takes to be sure, and the pause before the second; it grows.
const SAMPLES: u32 = 3;
const SAMPLE_INTERVAL: Duration = Duration::from_millis(2);
/// Longest time that what processes share is looked for. After that, shared pages count for each of the rest.
const PSS_TIMEOUT: Duration = Duration::from_millis(100);
/// Memory of the kernel that an empty file takes.
const BYTES_PER_FILE: u64 = 1024;
/// Memory of the kernel that a socket may keep for what nobody has read yet, unless it is enlarged, which the filter prevents.
const BYTES_PER_SOCKET: u64 = 256 * 1024;

/// Ends when a process and its descendants together use more than `limit` bytes; limits of the kernel hold for each alone.
pub(super) async fn limit_exceeded(root: Pid, limit: u64, is_sandboxed: bool) {
    let mut pause = POLL_INTERVAL;
    loop {
        tokio::time::sleep(pause).await;
        let look = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            // What is lent may be given back while it is looked for, so one look is no proof.
            let exceeds = (0..SAMPLES).all(|nth| {
                thread::sleep(SAMPLE_INTERVAL * nth);
                exceeds(root, limit, is_sandboxed)
            });
            (exceeds, begun.elapsed())
        });
        match look.await {
            Ok((true, _)) => return,
            Ok((false, took)) => pause = (took * PAUSE_FACTOR).clamp(POLL_INTERVAL, MAX_POLL_INTERVAL),
            Err(_) => pause = POLL_INTERVAL,
        }
    }
}

fn exceeds(root: Pid, limit: u64, is_sandboxed: bool) -> bool {
    let inside = if is_sandboxed { root_of(root) } else { None };
    let processes = inside.as_deref().and_then(sandbox_processes).unwrap_or_else(|| descendants(root));
    let besides = if is_sandboxed { sockets_of(root) } else { 0 } + inside.as_deref().map_or(0, files_in);
    let sum = |measure: &dyn Fn(&Path) -> u64| processes.iter().map(|entry| measure(entry)).sum::<u64>() + besides;
    // Shared pages count for each process at first, which is quick to find out, and then by the share of each.
    let begun = Instant::now();
    let patiently = |entry: &Path| if begun.elapsed() < PSS_TIMEOUT { proportional(entry) } else { resident(entry) };
    sum(&resident) > limit && {
        let before = vfork_shared(&processes);
        let shares = sum(&patiently);
        shares.saturating_sub(before.max(vfork_shared(&processes))) > limit
    }
}

/// Memory that is counted twice between `vfork` and `exec`: at most that of one child as large for each thread that waits.
fn vfork_shared(processes: &[PathBuf]) -> u64 {
    let of_thread = |process: &Path, thread: &Path| {
        let own = resident(process);
        let children = fs::read_to_string(thread.join("children")).unwrap_or_default();
        let sizes = children.split_whitespace().map(|child| resident(&process.with_file_name(child)));
        sizes.filter(|child| child.abs_diff(own) <= own / 8).min_by_key(|child| child.abs_diff(own))
    };
    let all = processes.iter().flat_map(|process| threads(process).map(move |thread| (process, thread)));
    all.filter(|(_, thread)| is_uninterruptible(thread))
        .filter_map(|(process, thread)| of_thread(process, &thread))
        .sum()
}

/// Whether a thread waits for something that nothing interrupts.
fn is_uninterruptible(thread: &Path) -> bool {
    let status = fs::read_to_string(thread.join("status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:\tD"))
}

fn threads(process: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(process.join("task")).into_iter().flatten().flatten().map(|thread| thread.path())
}

/// The root of a sandbox. While bubblewrap still builds, that is the server's own, and there is nothing to be counted yet.
fn root_of(first: Pid) -> Option<String> {
    let root = format!("/proc/{first}/root");
    let device = |path: &str| fs::metadata(path).map(|found| found.dev()).ok();
    (device(&root)? != device("/")?).then_some(root)
}

/// The entries of all processes in a sandbox, which its own `/proc` lists.
fn sandbox_processes(root: &str) -> Option<Vec<PathBuf>> {
    let is_process =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
    let entries = fs::read_dir(format!("{root}/proc")).ok()?;
    Some(entries.flatten().map(|entry| entry.path()).filter(is_process).collect())
}

/// The entries of a process and its descendants.
fn descendants(root: Pid) -> Vec<PathBuf> {
    let mut found = HashSet::new();
    let mut open = vec![root.as_raw_nonzero().get()];
    while let Some(pid) = open.pop() {
        if found.insert(pid) {
            for thread in threads(format!("/proc/{pid}").as_ref()) {
                let children = fs::read_to_string(thread.join("children")).unwrap_or_default();
                open.extend(children.split_whitespace().filter_map(|child| child.parse::<i32>().ok()));
            }
        }
    }
    found.into_iter().map(|pid| format!("/proc/{pid}").into()).collect()
}

/// What a process has in memory, and what the kernel takes to note where its pages are, be they empty.
fn resident(process: &Path) -> u64 {
    let (pages, tables) = memory_of(process);
    pages + tables
}

/// The same, but of what processes share each counts its part. A program can hide that from an ordinary user.
fn proportional(process: &Path) -> u64 {
    let (pages, tables) = memory_of(process);
    let rollup = fs::read_to_string(process.join("smaps_rollup")).unwrap_or_default();
    bytes(&rollup, "Pss:").unwrap_or(pages) + tables
}

/// Both as the kernel tells them. It tells nothing of a process whose first thread has ended, but the others still know.
fn memory_of(process: &Path) -> (u64, u64) {
    let told = |entry: &Path| {
        let status = fs::read_to_string(entry.join("status")).ok()?;
        Some((bytes(&status, "VmRSS:")?, bytes(&status, "VmPTE:").unwrap_or(0)))
    };
    told(process).or_else(|| threads(process).find_map(|thread| told(&thread))).unwrap_or_default()
}

/// A number of the kernel's, told in kilobytes.
fn bytes(text: &str, name: &str) -> Option<u64> {
    number(text, name).map(|kilobytes| kilobytes << 10)
}

/// What the files in a sandbox's `/tmp` take: they are in memory.
fn files_in(root: &str) -> u64 {
    statvfs(format!("{root}/tmp")).map_or(0, |found| {
        let bytes = found.f_blocks.saturating_sub(found.f_bfree) * found.f_frsize;
        bytes + found.f_files.saturating_sub(found.f_ffree) * BYTES_PER_FILE
    })
}

/// What the sockets of a sandbox may take, and what its connections do take, which grow by themselves.
fn sockets_of(first: Pid) -> u64 {
    let net = |name| fs::read_to_string(format!("/proc/{first}/net/{name}")).unwrap_or_default();
    let (counts, counts6) = (net("sockstat"), net("sockstat6"));
    // A list of connections is slow to read: for it, the kernel looks through those of the whole machine.
    let queued = |counts: &str, name, list| {
        if number(counts, name).unwrap_or(0) == 0 { 0 } else { net(list).lines().filter_map(queues).sum::<u64>() }
    };
    let used = number(&counts, "sockets: used ").unwrap_or(0) * BYTES_PER_SOCKET;
    used + queued(&counts, "TCP: inuse ", "tcp") + queued(&counts6, "TCP6: inuse ", "tcp6")
}

/// The number after `name`, with which a line begins.
fn number(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// The bytes that a connection has to send and to be read, the fifth column.
fn queues(line: &str) -> Option<u64> {
    let (to_send, to_read) = line.split_whitespace().nth(4)?.split_once(':')?;
    Some(u64::from_str_radix(to_send, 16).ok()? + u64::from_str_radix(to_read, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_root_of_its_own_there_is_no_sandbox() {
        assert_eq!(root_of(rustix::process::getpid()), None);
    }

    #[test]
    fn a_list_of_processes_is_that_of_proc() {
        let listed = sandbox_processes("/").unwrap();
        assert!(listed.contains(&format!("//proc/{}", std::process::id()).into()), "{listed:?}");
        assert!(listed.iter().all(|entry| entry.join("status").exists() || !entry.exists()));
    }

    #[test]
    fn a_process_counts_with_its_children_and_by_its_share() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let own = rustix::process::getpid();
        assert!(descendants(own).contains(&format!("/proc/{}", child.id()).into()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(exceeds(own, 1 << 20, false) && !exceeds(own, 1 << 40, false));
    }
}

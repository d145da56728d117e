//! What a `.env` file means: the same as to python-dotenv, which the original read it with. The real package is asked.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use fastrand::Rng;
use orchestrator_studio::settings::Environment;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::databases::variable;

/// Files that somebody has, or that one reader takes and another does not.
const FILES: &[&str] = &[
    "",
    "\n\n",
    "A=1",
    "\u{feff}A=1\n",
    "\u{feff}# note\nA=1",
    "\u{feff}\u{feff}A=1\nB=2",
    "A=1\r\nB=\"x\r\ny\"\r\n",
    "A=1\rB=2\r",
    "  A = 1  \n\tB\t=\t2\t# note\n",
    "\t# note\nA=1",
    "A=1#x\nB=1 #x\nC=1\t#x\nD=1\u{a0}#x\nE= #x\nF=#x\nG=\"1\"#x\nH='1' #x\nI=\"1\" x\nJ=2",
    "export A=1\nexport\tB=2\nexport  'C'=3\nexport D\nexport\nexport =x\nexportE=4\nF=5",
    "A\nB=\nC=''\nD=\"\"\nE= \nF",
    "A=1\nA\n",
    "A=1\nA=\n",
    "A=1\na=2\nA=3",
    "A=1\na",
    "A=$HOST\nB=${HOST}\nC=${HOST}:${PORT}\nD=${NONE}\nE=${NONE:-d}\nF=${NONE:-}\nG=${HOST:-d}\nH=${NONE:-${HOST}}",
    "HOST=file\nA=${HOST}\nB='${HOST}'\nC=\"${HOST}\"\nHOST=later\nD=${HOST}",
    "HOST\nA=${HOST}\nB=${HOST:-d}",
    "A=${host}\nhost=x\nB=${HOST}",
    "A=\"abc$def@jk\"\nB=abc$def@jk\nC='abc$def@jk'\nD=\"$\"\nE=$\nF=${\nG=$}\nH=${}\nI=${:-x}\nJ=$${HOST}\nK=\\${HOST}",
    "A=${a:b}${HOST}\nB=${a:${HOST}}\nC=${${HOST}}\nD=${a-b}\nE=${a:+b}\nF=${HOST",
    "A=${HOST}x${HOST}\nB=${A}${A}\nC={${HOST}}",
    "A=\"${NONE:-a}b}\"\nB=${NONE:-a b}\nC=${NONE:-\"q\"} # note\nD=${NONE:-#x}",
    "A=\"a\\nb\\tc\\\\d\\\"e\\'f\\a\\b\\f\\r\\v\\q\\$\\`\"",
    "A='a\\nb\\\\c\\'d\\\"e'",
    "A=a\\nb\\\\c\\\"d",
    "A=\"x\ny\n\nz\"\nB='x\ny' # note\nC=\"x\ny\" z\nD=1",
    "A=\"x\nB=2\nC=\"3\"\nD=4",
    "A='x\nB=2",
    "A=\"x\\\"\nB=2",
    "A=\"x\\\\\"\nB=2",
    "A='x\\'\nB=2'\nC=3",
    "A=\"x\\\ny\"",
    "A=it's\nB=say \"x\"\nC=\"a\"b\"\nD='a'b'\nE=a'b'\nF=\"a\" \"b\"\nG=1",
    "=x\n= x\nA B\nA B=1\nA-B=1\nA.B=1\n1A=1\nÄ=1\nA+=1\nA:1\n*=1\nC=2",
    "'A'=1\n'A B'=2\n''=3\n'C=4\n\"D\"=5\nE'F=6",
    "A==1\nB=a=b\nC = = d",
    "A#B=1\nC#=2\nD #=3\n#E=4\n # F=5\nG=6",
    "A=1;B=2\nset C=3\nD: 4\n[section]\nE=5",
    "A=[\"http://localhost:3000\"]\nB={\"a\": {\"url\": \"http://b\"}}\nC='{\"a\": \"${HOST}\"}'\nD=\"{\\\"a\\\": 1}\"",
    "A={\n \"a\": 1\n}\nB=2",
    "A=postgres://u:p#w@h/d\nB=postgres://u:p @h/d\nC=\"postgres://u:p #w@h/d\"",
    "A=x\u{b}y\u{c}z\u{1c}w\u{85}v\u{2028}u\nB=\u{2003}x\u{2003}\nC=x\u{1f}#y\nD=x\u{200b}#y",
    "A\u{a0}=1\n\u{a0}B=2\n\u{1c}C=3\nD=\u{a0}#x",
    "A=`x y`\nB=$(pwd)\nC=~/x\nD=%HOME%\nE=!x",
    "A=ü\nB=\"日本\\n語\"\nC=😀 # x",
    "A=1 # ${HOST}\nB=\"1 # 2\"\nC='# 3'",
    "A=1\\\nB=2",
    "A=\"1\"B=2\nC=3",
    "\n\n   \nA=1\n   \n\n",
    "A=1\n\u{0c}\nB=2",
    "#",
    "A",
    "export",
    "A=\"",
    "A='",
    "A=\\",
    "A=\"\\",
];
/// What random files are put together of.
const PIECES: &[&str] = &[
    "A",
    "B",
    "C",
    "HOST",
    "a",
    "=",
    "=",
    "=",
    " ",
    "\t",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "'",
    "'",
    "\"",
    "\"",
    "\\",
    "\\n",
    "\\\"",
    "\\'",
    "${A}",
    "${HOST}",
    "${B:-d}",
    "${NONE:-}",
    "${",
    "}",
    "$",
    ":",
    ":-",
    "#",
    " #",
    "x",
    "1",
    ".",
    "export ",
    "\u{a0}",
    "\u{1d}",
    "é",
];
const RANDOM_FILES: usize = 600;

/// A random file: half of them well-formed lines by and large, half of them any pieces.
fn random_file(random: &mut Rng) -> String {
    let piece = |random: &mut Rng| PIECES[random.usize(..PIECES.len())];
    if random.bool() {
        return (0..random.usize(1..30)).map(|_| piece(random)).collect();
    }
    let line = |random: &mut Rng| {
        let value: String = (0..random.usize(0..6)).map(|_| piece(random)).collect();
        let quote = ["", "", "'", "\""][random.usize(..4)];
        let [before, after] = [["", "export ", " "][random.usize(..3)], ["", "", " # note", " x"][random.usize(..4)]];
        format!("{before}{}={quote}{value}{quote}{after}\n", ["A", "B", "b", "HOST", "C_1"][random.usize(..5)])
    };
    (0..random.usize(1..8)).map(|_| line(random)).collect()
}

/// The variables of the process that files refer to.
fn process() -> BTreeMap<String, String> {
    [("HOST", "of-the-process"), ("PORT", "5432"), ("B", "")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// What python-dotenv makes of the files of a folder.
fn python(folder: &Path) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python-dotenv/read.py");
    let mut command = Command::new(variable("TEST_DOTENV_PYTHON"));
    let output = command.arg(script).arg(folder).env_clear().envs(process()).env("PYTHONUTF8", "1").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The environment that pydantic-settings has with these variables of a file: names in one case, the last one counts.
fn expected(read: &Value) -> Environment {
    let variables = read.as_object().unwrap().iter();
    let upper: BTreeMap<_, _> =
        variables.map(|(name, value)| (name.to_uppercase(), value.as_str().unwrap_or_default())).collect();
    let file = upper.into_iter().map(|(name, value)| (name, value.to_owned()));
    Environment::from_pairs(file.chain(process()))
}

#[test]
fn a_file_means_what_it_means_to_python_dotenv() {
    let mut random = Rng::with_seed(20_261_202);
    let files: Vec<String> = FILES
        .iter()
        .map(|text| (*text).to_owned())
        .chain((0..RANDOM_FILES).map(|_| random_file(&mut random)))
        .collect();
    let folder = TempDir::new().unwrap();
    let name = |number: usize| format!("{number:04}.env");
    for (number, text) in files.iter().enumerate() {
        fs::write(folder.path().join(name(number)), text).unwrap();
    }
    let theirs = python(folder.path());
    assert_eq!(theirs.as_object().unwrap().len(), files.len());
    let mut wrong = Vec::new();
    for (number, text) in files.iter().enumerate() {
        let read = &theirs[name(number)];
        match Environment::layered(&folder.path().join(name(number)), process()) {
            Ok(ours) if ours == expected(read) => {}
            Ok(ours) => {
                let values = read.as_object().unwrap().keys().map(|name| (name, ours.get(&name.to_uppercase())));
                wrong.push(format!("{text:?}\n   python: {read}\n   here: {ours:?} {:?}", values.collect::<Vec<_>>()));
            }
            Err(issue) => wrong.push(format!("{text:?}\n   python: {read}\n   here: {issue}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), files.len(), wrong.join("\n"));
}

//! `.env` files, read as python-dotenv reads them: those of the original were written for it.

mod expansion;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod parser;

use std::path::Path;

use indexmap::IndexMap;

use self::expansion::expand;
use self::parser::{Statement, Statements};
use super::json_file::unreadable;
use super::text_file::read_text;
use crate::kernel::FieldIssue;

/// Bytes that a file may have, and its values in all once references in them are replaced.
const MAX_BYTES: u32 = 1_000_000;
/// Lines that are named because they can't be read.
const MAX_NAMED: usize = 20;

/// What a `.env` file says.
#[derive(Debug, Default)]
pub(super) struct DotenvFile {
    /// The variables in the order in which they are named first; `None` for a name without a value.
    pub(super) variables: IndexMap<String, Option<String>>,
    /// What counts for nothing, lines and references: where it stands, but not what it says, which may be a secret.
    pub(super) skipped: Vec<FieldIssue>,
}

/// Reads a `.env` file; no file is an empty one. `${NAME}` stands for an earlier variable of the file, or else for what `process` knows.
pub(super) fn read<'a>(path: &Path, process: impl Fn(&str) -> Option<&'a str>) -> Result<DotenvFile, FieldIssue> {
    let text = read_text(path, MAX_BYTES).map_err(|what| unreadable(path, what))?.unwrap_or_default();
    read_lines(path, &text, process)
}

/// What a text says that stands in this file.
fn read_lines<'a>(
    path: &Path,
    text: &str,
    process: impl Fn(&str) -> Option<&'a str>,
) -> Result<DotenvFile, FieldIssue> {
    // As Python opens texts.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (mut file, mut invalid, mut left) = (DotenvFile::default(), 0_usize, MAX_BYTES as usize);
    for statement in Statements::new(&text) {
        match statement {
            Statement::Assignment(name, written) => {
                let expanded = written
                    .map(|value| expanded(&value, &file, &process, left).ok_or_else(|| too_long(path)))
                    .transpose()?;
                let (value, is_lost) = expanded.map_or((None, false), |(value, is_lost)| (Some(value), is_lost));
                left = left.saturating_sub(value.as_ref().map_or(0, String::len));
                if is_lost && file.skipped.len() < MAX_NAMED {
                    file.skipped.push(lost_reference(path, &name));
                }
                file.variables.insert(name, value);
            }
            Statement::Invalid { line, column } => {
                invalid += 1;
                if invalid <= MAX_NAMED {
                    file.skipped.push(skipped(path, line, column));
                }
            }
        }
    }
    if invalid > MAX_NAMED {
        file.skipped.push(unreadable(path, format!("{} more lines are skipped", invalid - MAX_NAMED)));
    }
    Ok(file)
}

/// A value with what its references stand for, and whether one of them stands for nothing.
fn expanded<'a>(
    written: &str,
    file: &DotenvFile,
    process: &impl Fn(&str) -> Option<&'a str>,
    max_bytes: usize,
) -> Option<(String, bool)> {
    let mut is_lost = false;
    let value = expand(written, max_bytes, |name, default| match file.variables.get(name) {
        Some(value) => value.as_deref().unwrap_or_default(),
        None => process(name).or(default).unwrap_or_else(|| {
            is_lost = true;
            ""
        }),
    })?;
    Some((value, is_lost))
}

fn skipped(path: &Path, line: usize, column: usize) -> FieldIssue {
    let expected = "expected NAME=value, NAME=\"value\" or NAME='value'";
    unreadable(path, format!("line {line}, column {column}: {expected}; the line is skipped"))
}

/// python-dotenv puts nothing in its place, without a word.
fn lost_reference(path: &Path, variable: &str) -> FieldIssue {
    let what =
        "refers to a variable that neither a line before it nor the environment has; nothing stands in its place";
    unreadable(path, format!("{variable} {what} (${{:-$}}{{NAME}} leaves the reference to be resolved later)"))
}

fn too_long(path: &Path) -> FieldIssue {
    unreadable(path, format!("its values have more than {MAX_BYTES} bytes, once what they refer to is put in"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<DotenvFile, FieldIssue> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        std::fs::write(&path, text).unwrap();
        read(&path, |name| (name == "HOST").then_some("from-the-process"))
    }

    fn variables(text: &str) -> Vec<(String, Option<String>)> {
        parse(text).unwrap().variables.into_iter().collect()
    }

    fn owned(expected: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect()
    }

    #[test]
    fn values_are_read_in_each_way_of_writing_them() {
        let text = "\u{feff}A=two words # note\r\n\t# B=no\nC=pa$wd\\1\nD=it's \"so\"\nE='x\\n\ny'\nexport F=1\nG=\nH= #\nI=#x\nJ=\"a\\nb\\\"\"";
        let expected = [
            ("A", "two words"),
            ("C", "pa$wd\\1"),
            ("D", "it's \"so\""),
            ("E", "x\\n\ny"),
            ("F", "1"),
            ("G", ""),
            ("H", ""),
            ("I", "#x"),
            ("J", "a\nb\""),
        ];
        assert_eq!(variables(text), owned(&expected));
    }

    #[test]
    fn a_reference_stands_for_an_earlier_line_or_the_process() {
        let text = "U=${HOST}\nHOST=x\nA=http://${HOST}:${PORT:-80}/$HOST${NONE}\nB='${A}'\nN\nC=${N:-d}";
        assert_eq!(parse(text).unwrap().skipped.len(), 1, "of these, {text} leaves only NONE without a meaning");
        let mut expected = owned(&[
            ("U", "from-the-process"),
            ("HOST", "x"),
            ("A", "http://x:80/$HOST"),
            ("B", "http://x:80/$HOST"),
            ("C", ""),
        ]);
        expected.insert(4, ("N".to_owned(), None));
        assert_eq!(variables(text), expected);
    }

    #[test]
    fn what_is_no_line_of_such_a_file_is_skipped_and_named_but_not_repeated() {
        let file = parse("A=1\n\nKEY canary\n= canary\nB='canary' canary\nC=\"canary\nD=2").unwrap();
        assert_eq!(file.variables.keys().collect::<Vec<_>>(), ["A", "D"]);
        let places: Vec<_> = file.skipped.iter().map(|issue| issue.msg.split(": ").next().unwrap()).collect();
        assert_eq!(places, ["line 3, column 5", "line 4, column 1", "line 5, column 12", "line 6, column 3"]);
        assert!(!format!("{:?}", file.skipped).contains("canary"));
        assert_eq!(parse(&"x y\n".repeat(1000)).unwrap().skipped.len(), MAX_NAMED + 1);
    }

    #[test]
    fn references_to_references_do_not_grow_without_end() {
        let doubling: String = (1..60).map(|n| format!("A{n}=${{A{}}}${{A{}}}\n", n - 1, n - 1)).collect();
        let issue = parse(&format!("A0=0123456789\n{doubling}")).unwrap_err();
        assert!(issue.to_string().contains("more than 1000000 bytes"), "{issue}");
    }

    #[test]
    fn a_large_file_of_broken_lines_is_read_in_time() {
        for piece in ["${", "${:", "${a:-", "A=\"\n", "x y\n", "A='\\'\n", "${A}"] {
            drop(parse(&format!("A={}", piece.repeat(1_000_000 / piece.len() - 1))));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[A-C= '\"#\\\\$\n\r\t{}:-]{0,60}") {
            prop_assert!(parse(&text).is_ok());
        }
    }
}

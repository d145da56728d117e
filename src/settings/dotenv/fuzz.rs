use std::path::Path;

use super::parser::{Statement, Statements};
use super::{DotenvFile, read_lines};
use crate::kernel::FieldIssue;

/// A line that any file may be followed by.
const LAST_LINE: &str = "\nLAST_LINE_OF_ALL=read";

/// No line is lost without a word: each is a comment, a variable, or named as skipped; and whatever comes before, the last one is read.
pub(crate) fn dotenv(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let read = |text: &str| -> Result<DotenvFile, FieldIssue> {
        read_lines(Path::new(".env"), text, |name| (name == "HOST").then_some("db.example"))
    };
    if let (Ok(file), Ok(longer)) = (read(&text), read(&format!("{text}{LAST_LINE}"))) {
        let (name, value) = LAST_LINE.trim_start().split_once('=').unwrap_or_default();
        assert_eq!(longer.variables.last(), Some((&name.to_owned(), &Some(value.to_owned()))));
        assert_eq!(longer.skipped, file.skipped);
        assert!(longer.variables.iter().zip(&file.variables).all(|(one, other)| one == other));
        assert!(longer.variables.len() - file.variables.len() <= 1);
    }
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    check_places(&text);
    // Without quotes a value ends with its line.
    if !text.contains(['"', '\'']) {
        let told: usize = text.split('\n').map(|line| Statements::new(line).count()).sum();
        assert_eq!(Statements::new(&text).count(), told);
        assert_eq!(text.split('\n').filter(|line| says_something(line)).count(), told, "{text:?}");
    }
}

/// Skipped lines are told in the order in which they stand, by places that the text has.
fn check_places(text: &str) {
    let lines: Vec<_> = text.split('\n').collect();
    let mut last = (0, 0);
    for statement in Statements::new(text) {
        if let Statement::Invalid { line, column } = statement {
            assert!((line, column) > last, "{text:?}");
            last = (line, column);
            let length = line.checked_sub(1).and_then(|at| lines.get(at)).map(|line| line.chars().count());
            assert!(length.is_some_and(|length| (1..=length + 1).contains(&column)), "{line}:{column} of {text:?}");
        }
    }
}

/// Whether a line is neither blank nor a comment.
fn says_something(line: &str) -> bool {
    let is_space = |c: char| c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}');
    let line = line.trim_matches(is_space);
    let line = line.strip_prefix("export").filter(|rest| rest.starts_with(is_space)).unwrap_or(line);
    let line = line.trim_start_matches(is_space);
    !line.is_empty() && !line.starts_with('#')
}

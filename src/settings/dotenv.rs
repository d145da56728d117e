use std::path::Path;

use serde_json::Value;

use crate::kernel::FieldIssue;

/// Reads a `.env` file; no file is an empty one. dotenvy parses the entries one by one, so that an error can name
/// the line; unquoted values are taken as they stand, blanks, `$` and all, as the original's reader took them. The error does
/// not repeat the line, which may hold a secret.
pub(super) fn read(path: &Path) -> Result<Vec<(String, String)>, FieldIssue> {
    let issue = |msg: String| {
        FieldIssue::new("value_error", vec![path.display().to_string().as_str().into()], msg, Value::Null)
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(issue(format!("can't be read: {error}"))),
    };
    let mut variables = Vec::new();
    for (line, entry) in entries(&text) {
        if let Some(variable) = unquoted(&entry) {
            variables.push(variable);
            continue;
        }
        for variable in dotenvy::from_read_iter(entry.as_bytes()) {
            variables.push(variable.map_err(|error| {
                let column = if let dotenvy::Error::LineParse(_, column) = error { column } else { 0 };
                issue(format!(
                    "line {line}, column {}: expected NAME=value, NAME=\"value\" or NAME='value'",
                    column + 1
                ))
            })?);
        }
    }
    Ok(variables)
}

/// The entries of the file, each with the number of its first line; a quoted value may go on over several lines.
fn entries(text: &str) -> Vec<(usize, String)> {
    let mut entries = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, first)) = lines.next() {
        let mut entry = first.to_owned();
        while is_open(&entry) {
            let Some((_, more)) = lines.next() else { break };
            entry.push('\n');
            entry.push_str(more);
        }
        // A quote that is never closed belongs to its own line only; the rest is still read.
        if is_open(&entry) {
            entries.push((number + 1, first.to_owned()));
            break;
        }
        entries.push((number + 1, entry));
    }
    entries
}

/// Whether the value begins with a quote that is not closed yet.
fn is_open(entry: &str) -> bool {
    let value = entry.split_once('=').map_or("", |(_, value)| value.trim_start());
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else { return false };
    if entry.trim_start().starts_with('#') {
        return false;
    }
    let mut escaped = false;
    let closes = |c: char| {
        let closes = c == quote && !escaped;
        escaped = c == '\\' && !escaped && quote == '"';
        closes
    };
    !value.chars().skip(1).any(closes)
}

/// The variable of an entry whose value is not quoted: it is taken as it stands, up to a comment.
fn unquoted(entry: &str) -> Option<(String, String)> {
    let (name, value) = entry.split_once('=')?;
    let name = name.trim();
    let name = name.strip_prefix("export ").unwrap_or(name).trim();
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'));
    let value = value.trim();
    let value = if value.starts_with('#') { "" } else { value.split(" #").next().unwrap_or_default().trim() };
    (is_name && !value.starts_with(['"', '\''])).then(|| (name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Vec<(String, String)>, FieldIssue> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn unquoted_values_are_taken_as_they_stand() {
        let text = "A=two words # note\nB=pa$wd\\1\nC=it's \"so\"\nD='x\ny'\nexport E=1\n# F=no\nG=\nH=\"a\\nb\"";
        let read = parse(text).unwrap();
        let expected = [
            ("A", "two words"),
            ("B", "pa$wd\\1"),
            ("C", "it's \"so\""),
            ("D", "x\ny"),
            ("E", "1"),
            ("G", ""),
            ("H", "a\nb"),
        ];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    proptest! {
        #[test]
        fn any_unquoted_value_survives(value in r#"[a-z$\\"'{}:,]([a-z$\\"'{}:, ]{0,20}[a-z$\\"'{}:,])?"#) {
            prop_assume!(!value.starts_with(['"', '\'']));
            prop_assert_eq!(parse(&format!("A={value}\nB=2")).unwrap(), [("A".to_owned(), value), ("B".to_owned(), "2".to_owned())]);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[A-C= '\"#\\\\$\n]{0,40}") {
            drop(parse(&text));
        }
    }
}

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::kernel::{FieldIssue, Fields, Segment};

/// A JSON file that holds one object. Everything said about it names line and column.
pub struct JsonFile {
    path: PathBuf,
    text: String,
    object: Map<String, Value>,
}

impl std::fmt::Debug for JsonFile {
    /// The place only: the content may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("JsonFile").field(&self.path).finish()
    }
}

impl JsonFile {
    /// Reads a file; `None` if there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, FieldIssue> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(path, text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(path, format!("can't be read: {error}"))),
        }
    }

    fn parse(path: &Path, text: String) -> Result<Self, FieldIssue> {
        let object = parse_json::<Value>(text.trim_start_matches('\u{feff}').as_bytes())
            .map_err(|error| at(path, error.to_string()))?;
        match object {
            Value::Object(object) => Ok(Self { path: path.to_owned(), text, object }),
            _ => Err(at(path, "line 1, column 1: expected a JSON object".to_owned())),
        }
    }

    /// A reader of the file's fields.
    pub fn fields(&self) -> Fields<'_> {
        Fields::new(&self.object, Vec::new())
    }

    /// The file's object.
    pub fn object(&self) -> &Map<String, Value> {
        &self.object
    }

    /// Rewrites issues about fields so that they name the file, line and column too.
    pub fn locate(&self, issues: Vec<FieldIssue>) -> Vec<FieldIssue> {
        let place = |issue: &FieldIssue| {
            let (line, column) = position(&self.text, &issue.loc);
            at(&self.path, format!("line {line}, column {column}: {}: {}", issue.path(), issue.msg))
        };
        issues.iter().map(place).collect()
    }
}

/// Parses JSON; the error text names line and column.
pub fn parse_json<T: serde::de::DeserializeOwned>(text: &[u8]) -> Result<T, JsonSyntaxError> {
    serde_json::from_slice(text).map_err(JsonSyntaxError)
}

/// Why a text is not JSON. Reads `line 3, column 7: expected value`.
#[derive(Debug, thiserror::Error)]
pub struct JsonSyntaxError(serde_json::Error);

impl std::fmt::Display for JsonSyntaxError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.to_string();
        let cause = text.rsplit_once(" at line ").map_or(text.as_str(), |(cause, _)| cause);
        write!(f, "line {}, column {}: {cause}", self.0.line(), self.0.column().max(1))
    }
}

fn at(path: &Path, msg: String) -> FieldIssue {
    FieldIssue::new("value_error", vec![path.display().to_string().as_str().into()], msg, Value::Null)
}

/// Line and column (from 1) of the value at `path` in `text`, which is known to be JSON. A path that ends in a missing
/// key gives the place of the enclosing value.
fn position(text: &str, path: &[Segment]) -> (usize, usize) {
    let mut cursor = JsonCursor { bytes: text.as_bytes(), at: 0 };
    cursor.skip_blank();
    for segment in path {
        let start = cursor.at;
        if !cursor.enter(segment) {
            cursor.at = start;
            break;
        }
    }
    let before = text.get(..cursor.at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

/// Walks over JSON text without building anything.
struct JsonCursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl JsonCursor<'_> {
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(b' ')
    }

    fn skip_blank(&mut self) {
        while self.at < self.bytes.len() && (self.peek().is_ascii_whitespace() || matches!(self.peek(), b',' | b':')) {
            self.at += 1;
        }
    }

    /// Moves from the start of a container to the start of the value at `segment`.
    fn enter(&mut self, segment: &Segment) -> bool {
        self.at += 1;
        let mut index = 0;
        loop {
            self.skip_blank();
            if self.at >= self.bytes.len() || matches!(self.peek(), b'}' | b']') {
                return false;
            }
            let found = match segment {
                Segment::Index(wanted) => *wanted == index,
                Segment::Key(wanted) => {
                    let start = self.at;
                    self.skip_value();
                    let quoted = self.bytes.get(start..self.at).unwrap_or_default();
                    self.skip_blank();
                    serde_json::from_slice::<String>(quoted).is_ok_and(|key| *key == **wanted)
                }
            };
            if found {
                return true;
            }
            self.skip_value();
            index += 1;
        }
    }

    fn skip_value(&mut self) {
        let mut depth = 0usize;
        loop {
            match self.peek() {
                b'"' => self.skip_string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                _ => self.skip_scalar(),
            }
            if depth == 0 || self.at >= self.bytes.len() {
                return;
            }
            self.skip_blank();
        }
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while self.at < self.bytes.len() && self.peek() != b'"' {
            self.at += if self.peek() == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
    }

    fn skip_scalar(&mut self) {
        while self.at < self.bytes.len()
            && !matches!(self.peek(), b',' | b'}' | b']' | b':')
            && !self.peek().is_ascii_whitespace()
        {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_found_by_its_path() {
        let text = "{\n  \"a\": [1, {\"x\\\"y\": \"z]\"}],\n  \"agents\": [\n    {\"name\": \"one\"},\n    {\"name\": 2}\n  ]\n}";
        let path = |keys: &[Segment]| position(text, keys);
        assert_eq!(path(&[]), (1, 1));
        assert_eq!(path(&["agents".into(), Segment::Index(1), "name".into()]), (5, 14));
        assert_eq!(path(&["a".into(), Segment::Index(1), "x\"y".into()]), (2, 21));
        assert_eq!(path(&["agents".into(), Segment::Index(1), "url".into()]), (5, 5));
        assert_eq!(path(&["nothing".into()]), (1, 1));
    }

    #[test]
    fn a_broken_file_names_line_and_column() {
        let error = JsonFile::parse(Path::new("x.json"), "{\n \"a\": nul }".to_owned()).unwrap_err();
        assert_eq!(error.to_string(), "x.json: line 2, column 10: expected ident");
        let error = JsonFile::parse(Path::new("x.json"), "[1]".to_owned()).unwrap_err();
        assert_eq!(error.to_string(), "x.json: line 1, column 1: expected a JSON object");
    }

    proptest! {
        #[test]
        fn the_walk_ends_on_any_text(text in "[\\[\\]{}\",:a \\\\\n]{0,60}", key in "[a-c]?", index in 0usize..3) {
            let (line, column) = position(&text, &[key.as_str().into(), Segment::Index(index)]);
            prop_assert!(line >= 1 && column >= 1);
        }
    }
}

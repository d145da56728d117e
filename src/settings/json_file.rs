use std::path::Path;

use serde_json::{Map, Value};

use crate::kernel::{FieldIssue, Fields, Segment};

/// A JSON file that holds one object. Everything said about it names the file, and the place in the object or, where it is not
/// JSON, line and column.
pub struct JsonFile {
    place: Segment,
    object: Map<String, Value>,
}

impl std::fmt::Debug for JsonFile {
    /// The place only: the content may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("JsonFile").field(&self.place).finish()
    }
}

impl JsonFile {
    /// Reads a file; `None` if there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, FieldIssue> {
        read_file(path)?.map(|text| Self::parse(path, &text)).transpose()
    }

    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, FieldIssue> {
        match parse_json(text.trim_start_matches('\u{feff}')).map_err(|error| unreadable(path, error))? {
            Value::Object(object) => Ok(Self { place: Segment::File(path.display().to_string().into()), object }),
            _ => Err(unreadable(path, "line 1, column 1: expected a JSON object".to_owned())),
        }
    }

    /// A reader of the file's fields.
    pub fn fields(&self) -> Fields<'_> {
        Fields::new(&self.object, vec![self.place.clone()])
    }

    /// The file's object.
    pub fn object(&self) -> &Map<String, Value> {
        &self.object
    }

    /// Where a field of the file stands.
    pub(super) fn place(&self) -> &Segment {
        &self.place
    }

    /// The objects in the list under `key`, each with its place; anything else there is an issue.
    pub(super) fn list(&self, key: &str, issues: &mut Vec<FieldIssue>) -> Vec<(Vec<Segment>, &Map<String, Value>)> {
        let at = || vec![self.place.clone(), key.into()];
        let Some(Value::Array(items)) = self.object.get(key) else {
            issues.push(FieldIssue::new("list_type", at(), "Input should be a list", Value::Null));
            return Vec::new();
        };
        let places = (0..).map(|index| [at(), vec![Segment::Index(index)]].concat());
        let mut objects = Vec::new();
        for (place, item) in places.zip(items) {
            match item {
                Value::Object(object) => objects.push((place, object)),
                _ => {
                    issues.push(FieldIssue::new("dict_type", place, "Input should be a valid dictionary", Value::Null))
                }
            }
        }
        objects
    }
}

/// Parses JSON; the error reads `line 3, column 7: expected value`.
pub(super) fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| {
        let text = error.to_string();
        let cause = text.rsplit_once(" at line ").map_or(text.as_str(), |(cause, _)| cause);
        format!("line {}, column {}: {cause}", error.line(), error.column().max(1))
    })
}

/// The text of a file; `None` if there is none.
pub(super) fn read_file(path: &Path) -> Result<Option<String>, FieldIssue> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, format!("can't be read: {error}"))),
    }
}

/// What is wrong with a file as a whole.
pub(super) fn unreadable(path: &Path, msg: String) -> FieldIssue {
    FieldIssue::new("value_error", vec![path.display().to_string().as_str().into()], msg, Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_names_line_and_column() {
        let error = JsonFile::parse(Path::new("x.json"), "{\n \"a\": nul }").unwrap_err();
        assert_eq!(error.to_string(), "x.json: line 2, column 10: expected ident");
        let error = JsonFile::parse(Path::new("x.json"), "[1]").unwrap_err();
        assert_eq!(error.to_string(), "x.json: line 1, column 1: expected a JSON object");
    }

    #[test]
    fn a_wrong_field_names_its_place() {
        let file = JsonFile::parse(Path::new("a/x.json"), r#"{"n": "x", "list": [{}, 1, {"n": "x"}]}"#).unwrap();
        let mut issues = Vec::new();
        let list = file.list("list", &mut issues);
        let mut fields = Fields::new(list[1].1, list[1].0.clone());
        fields.int_or("n", 1, 0..=9);
        issues.extend(fields.into_issues());
        file.list("n", &mut issues);
        let mut fields = file.fields();
        fields.int_or("n", 1, 0..=9);
        issues.extend(fields.into_issues());
        let paths: Vec<_> = issues.iter().map(FieldIssue::path).collect();
        assert_eq!(paths, ["a/x.json: list[1]", "a/x.json: list[2].n", "a/x.json: n", "a/x.json: n"]);
    }
}

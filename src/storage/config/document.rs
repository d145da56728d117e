use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kernel::{Error, ErrorKind, JsonReader, Secret};
use crate::settings::StoredEntry;

/// What documents say they are.
const FORMAT: &str = "orchestrator-studio-config-1";

/// All that was configured through the API, for another place or another server. It has credentials as they are stored; a reference such
/// as `${NAME}` stays one.
#[derive(Debug, Serialize, Deserialize)]
struct ConfigDocument {
    format: String,
    entries: Vec<DocumentEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentEntry {
    section: String,
    name: String,
    /// As it is stored; null for one of a file or a variable that was removed.
    value: Value,
}

/// These entries as a document, each section in its order, and at its end what was removed of files and variables.
pub(super) fn write(mut entries: Vec<StoredEntry>) -> Result<String, Error> {
    let section = |entry: &StoredEntry| StoredEntry::SECTIONS.iter().position(|section| *section == entry.section);
    entries.sort_by_cached_key(|entry| (section(entry), entry.is_removal(), entry.position, entry.name.clone()));
    let written = |entry: StoredEntry| {
        let value =
            entry.plain_value().map_err(|issue| Error::internal_public("can't be exported", issue.to_string()))?;
        Ok(DocumentEntry { section: entry.section, name: entry.name, value })
    };
    let entries = entries.into_iter().map(written).collect::<Result<_, Error>>()?;
    let document = ConfigDocument { format: FORMAT.to_owned(), entries };
    serde_json::to_string_pretty(&document).map_err(|error| Error::internal("the document could not be written", error))
}

/// The entries of a document.
pub(super) fn read(text: &[u8]) -> Result<Vec<StoredEntry>, Error> {
    let wrong = |what: String| Error::new(ErrorKind::BadRequest, format!("this is no exported configuration: {what}"));
    let document: ConfigDocument = JsonReader::stored().read(text).map_err(|error| wrong(error.to_string()))?;
    if document.format != FORMAT {
        return Err(wrong(format!("format should be {FORMAT}")));
    }
    let unknown = document.entries.iter().find(|entry| !StoredEntry::SECTIONS.contains(&entry.section.as_str()));
    if let Some(DocumentEntry { section, name, .. }) = unknown {
        return Err(wrong(format!("{section}/{name} should be of one of {}", StoredEntry::SECTIONS.join(", "))));
    }
    let entry = |(position, entry): (i64, DocumentEntry)| StoredEntry {
        section: entry.section,
        name: entry.name,
        position,
        text: Some(Secret::new(entry.value.to_string())),
    };
    Ok((0..).zip(document.entries).map(entry).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(section: &str, name: &str, position: i64, text: &str) -> StoredEntry {
        StoredEntry { section: section.to_owned(), name: name.to_owned(), position, text: Some(Secret::new(text)) }
    }

    #[test]
    fn a_document_says_what_was_stored_and_not_when() {
        let entries = vec![
            entry("tools", "t", 0, "null"),
            entry("agents", "b", 2, r#"{"name":"b","auth_token":"${TOKEN}","revision":7}"#),
            entry("agents", "a", 5, r#"{"name":"a","revision":1}"#),
            entry("llm", "connection", 0, r#"{"api_key":"k"}"#),
        ];
        let text = write(entries.clone()).unwrap();
        assert!(!text.contains("revision") && text.contains("${TOKEN}"), "{text}");
        let again = read(text.as_bytes()).unwrap();
        let names: Vec<_> = again.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["connection", "b", "a", "t"]);
        for entry in entries {
            assert!(again.iter().any(|other| other.target() == entry.target() && other.says_the_same(&entry)));
        }
        assert_eq!(write(again).unwrap(), text);
    }

    #[test]
    fn what_is_no_document_is_refused_and_says_why() {
        let rows = [
            ("{", "this is no exported configuration: EOF"),
            (r#"{"format": "other", "entries": []}"#, "format should be orchestrator-studio-config-1"),
            (
                r#"{"format": "orchestrator-studio-config-1", "entries": [{"section": "x", "name": "y", "value": 1}]}"#,
                "x/y should be of one of llm, agents",
            ),
        ];
        for (text, expected) in rows {
            let error = read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

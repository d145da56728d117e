use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::kernel::{FieldIssue, JsonReader, Secret, Segment};

/// The text of an entry of a file or a variable that was removed through the API.
pub(super) const REMOVED: &str = "null";
/// The member that tells when it was written.
pub(super) const REVISION: &str = "revision";

/// What is stored under a name of a section: what the section's file has of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// The section.
    pub section: String,
    /// The name in it.
    pub name: String,
    /// Where it stands among those of its section.
    pub position: i64,
    /// JSON with credentials, for the store only. `None`: nothing is stored under the name any more.
    pub text: Option<Secret>,
}

impl StoredEntry {
    /// An entry with this text.
    pub(super) fn new(section: &str, name: &str, position: u64, text: &str) -> Self {
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        Self { section: section.to_owned(), name: name.to_owned(), position, text: Some(Secret::new(text)) }
    }

    /// Nothing under this name, where something was.
    pub(super) fn gone(section: &str, name: &str) -> Self {
        Self { section: section.to_owned(), name: name.to_owned(), position: 0, text: None }
    }

    /// Where it is said to stand if it can't be read.
    pub(super) fn place(&self) -> Vec<Segment> {
        vec![self.section.as_str().into(), self.name.as_str().into()]
    }

    /// What is wrong with it.
    pub(super) fn issue(&self, what: String) -> FieldIssue {
        FieldIssue::new("value_error", self.place(), what, Value::Null)
    }

    /// The value of its text, which may be one of a removed entry; the error is that it is none of this type.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, FieldIssue> {
        match self.text.as_ref().map(Secret::expose) {
            None | Some(REMOVED) => Ok(None),
            Some(text) => {
                let read = JsonReader::stored().read(text.as_bytes());
                read.map(Some).map_err(|error| self.issue(format!("can't be read: {error}")))
            }
        }
    }

    /// Whether both say the same, whenever it was written.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let value = |entry: &Self| {
            let mut value = entry.read::<Value>().ok().flatten();
            if let Some(object) = value.as_mut().and_then(Value::as_object_mut) {
                object.remove(REVISION);
            }
            value
        };
        self.text == other.text
            || self.text.is_some() == other.text.is_some() && value(self).is_some() && value(self) == value(other)
    }
}

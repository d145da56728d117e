use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::stored_json::{find_encrypted, may_be_encrypted};
use crate::kernel::{FieldIssue, JsonReader, Secret, Segment, encrypted_by};

/// The text of an entry of a file or a variable that was removed through the API.
pub(super) const REMOVED: &str = "null";
/// The section of verified questions, which have no credentials.
pub(super) const VERIFIED: &str = "verified";
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

    /// Whether it stands for an entry of a file or a variable that was removed.
    pub fn is_removal(&self) -> bool {
        self.text.as_ref().is_some_and(|text| text.expose() == REMOVED)
    }

    /// Whether it may have credentials.
    pub(super) fn has_credentials(&self) -> bool {
        self.section != VERIFIED
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
    pub fn issue(&self, what: String) -> FieldIssue {
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

    /// What is wrong with it if part of it is encrypted still.
    pub fn undecrypted(&self) -> Option<FieldIssue> {
        let text = self.text.as_ref()?.expose();
        if !self.has_credentials() || !may_be_encrypted(text) {
            return None;
        }
        let value: Value = JsonReader::stored().read(text.as_bytes()).ok()?;
        let id = find_encrypted(&value).and_then(encrypted_by)?;
        Some(self.issue(format!(
            "can't be decrypted: neither SECRETS_KEY nor SECRETS_KEYS_OLD is the key {id}, or it is not what was encrypted here"
        )))
    }

    /// The same, but for one of which a part is encrypted still.
    pub(super) fn read_plain<T: DeserializeOwned>(&self) -> Result<Option<T>, FieldIssue> {
        self.undecrypted().map_or_else(|| self.read(), Err)
    }

    /// The members in which both differ, whenever they were written; none if one of them is no object.
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let object = |entry: &Self| entry.read::<Map<String, Value>>().ok().flatten();
        let (Some(one), Some(other)) = (object(self), object(other)) else { return Vec::new() };
        let mut names: Vec<_> = one.keys().chain(other.keys()).filter(|name| *name != REVISION).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| one.get(name) != other.get(name));
        names
    }

    /// What it is called among all that is configured.
    pub fn target(&self) -> String {
        format!("{}/{}", self.section, self.name)
    }

    /// The value of its text without when it was written; null for an entry that was removed.
    pub fn plain_value(&self) -> Result<Value, FieldIssue> {
        let mut value: Value = self.read()?.unwrap_or_default();
        if let Some(object) = value.as_object_mut() {
            object.remove(REVISION);
        }
        Ok(value)
    }

    /// Whether both say the same, whenever it was written.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let value = |entry: &Self| entry.plain_value().ok().filter(|value| !value.is_null());
        self.text == other.text
            || self.text.is_some() == other.text.is_some() && value(self).is_some() && value(self) == value(other)
    }
}

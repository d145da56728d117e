use std::sync::OnceLock;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Resource;
use crate::kernel::{Error, ErrorKind, FieldIssue, Redaction, ResourceName, Secret, version_of};
use crate::settings::stored_json::{DEPTH_IN_LIST, json_text};
use crate::settings::{Environment, Keyring, StoredEntry};

/// One agent, data source or tool under its name. Serializes as it is shown: name and fields as written, credentials masked.
#[derive(Debug, Serialize)]
pub struct CatalogEntry<T> {
    /// Its name.
    pub name: ResourceName,
    /// As it was written, `${NAME}` included: for showing.
    #[serde(flatten)]
    pub written: T,
    /// To work with.
    #[serde(skip)]
    pub effective: T,
    /// Changes whenever the entry does, its credentials included.
    #[serde(skip)]
    pub version: String,
    /// The count of changes at the last of its own.
    #[serde(skip)]
    pub(super) revision: u64,
    #[serde(skip)]
    redaction: OnceLock<Redaction>,
    /// Made when it is stored, and kept: it is written again with every other one.
    #[serde(skip)]
    stored_text: OnceLock<Secret>,
    /// The same encrypted, for the file of its section. A process has one set of keys.
    #[serde(skip)]
    encrypted_text: OnceLock<Secret>,
}

/// What a caller expects to find before it changes an entry.
#[derive(Clone, Debug, Default)]
pub enum Precondition {
    /// Anything.
    #[default]
    Any,
    /// One of these versions.
    Versions(Vec<String>),
}

impl<T: Resource> CatalogEntry<T> {
    pub(super) fn new(
        name: ResourceName,
        written: T,
        revision: u64,
        environment: &Environment,
    ) -> Result<Self, Vec<FieldIssue>> {
        let effective = written.resolve(environment)?;
        // Credentials are masked in the content, so that the digest can't be used to guess one; the revision tells of their
        // changes.
        let shown = serde_json::to_string(&written).unwrap_or_default();
        let version = version_of(&format!("{revision} {name} {shown}"));
        let (redaction, stored_text, encrypted_text) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Ok(Self { name, written, effective, version, revision, redaction, stored_text, encrypted_text })
    }

    /// Its lines in the file of its section, with its credentials in clear: for the store only.
    pub(super) fn stored_text(&self) -> &str {
        let text = self.stored_text.get_or_init(|| {
            let mut object = Map::from_iter([("name".to_owned(), Value::from(self.name.as_str()))]);
            object.extend(self.written.to_stored());
            object.insert("revision".to_owned(), self.revision.into());
            Secret::new(format!("{}{}", "  ".repeat(DEPTH_IN_LIST), json_text(&object, DEPTH_IN_LIST)))
        });
        text.expose()
    }

    /// The same with its credentials encrypted, if there is a key.
    pub(super) fn file_text(&self, keyring: &Keyring) -> Result<&str, Error> {
        if !keyring.encrypts() {
            return Ok(self.stored_text());
        }
        if let Some(text) = self.encrypted_text.get() {
            return Ok(text.expose());
        }
        let entry = StoredEntry::new(T::SECTION, self.name.as_str(), 0, self.stored_text());
        let shown = serde_json::to_value(self).unwrap_or_default();
        let text = keyring.encrypted_text(&entry, &shown, DEPTH_IN_LIST)?;
        let text = Secret::new(format!("{}{text}", "  ".repeat(DEPTH_IN_LIST)));
        Ok(self.encrypted_text.get_or_init(|| text).expose())
    }

    /// What masks its credentials in what its server says.
    pub fn redaction(&self) -> &Redaction {
        self.redaction.get_or_init(|| Redaction::new(self.effective.secrets().into_iter().map(|(_, secret)| secret)))
    }

    pub(super) fn check(&self, expected: &Precondition) -> Result<(), Error> {
        match expected {
            Precondition::Versions(versions) if !versions.contains(&self.version) => {
                let text = format!("{} '{}' has changed since it was read; read it again", T::LABEL, self.name);
                Err(Error::new(ErrorKind::Stale, text))
            }
            _ => Ok(()),
        }
    }
}

use std::collections::BTreeMap;

use serde::Serialize;

use crate::kernel::{Error, ErrorKind, RequestOrigin, Secret};
use crate::settings::{Keyring, StoredEntry};

/// Which state of a configuration in Postgres this is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ConfigHead {
    /// Which configuration: each database has its own. Empty for one that is in no database yet.
    pub(super) id: String,
    /// The last revision.
    pub(super) revision: i64,
}

impl ConfigHead {
    /// Whether what has changed since this one is all that there is to know of the other.
    pub(super) fn leads_to(&self, other: &Self) -> bool {
        self.id == other.id && self.revision <= other.revision
    }
}

/// Entries that have changed since a revision, each with that in which it was written.
#[derive(Debug)]
pub(super) struct ConfigNews {
    /// The state that they lead to.
    pub(super) head: ConfigHead,
    pub(super) entries: Vec<(i64, StoredEntry)>,
    /// Whether these are all that there are.
    pub(super) is_full: bool,
}

/// A revision that is to be made.
#[derive(Clone, Debug)]
pub(super) struct NewRevision {
    pub(super) number: i64,
    /// In milliseconds since 1970.
    pub(super) at_ms: i64,
    pub(super) origin: RequestOrigin,
}

/// What a configuration has to be told so that it is the other one.
pub(super) fn differences(from: &[StoredEntry], to: &[StoredEntry]) -> Vec<StoredEntry> {
    let by_key = |entries: &[StoredEntry]| -> BTreeMap<(String, String), StoredEntry> {
        let key = |entry: &StoredEntry| (entry.section.clone(), entry.name.clone());
        entries.iter().map(|entry| (key(entry), entry.clone())).collect()
    };
    let (from, wanted) = (by_key(from), by_key(to));
    let gone = from.values().filter(|entry| !wanted.contains_key(&(entry.section.clone(), entry.name.clone())));
    let gone = gone.map(|entry| StoredEntry { text: None, ..entry.clone() });
    let is_new = |entry: &&StoredEntry| {
        from.get(&(entry.section.clone(), entry.name.clone())).is_none_or(|old| !old.says_the_same(entry))
    };
    gone.chain(to.iter().filter(is_new).cloned()).collect()
}

/// These entries as they are to be stored. Where others are encrypted already, none is stored in clear.
pub(super) fn encrypted(
    entries: &[StoredEntry],
    keyring: &Keyring,
    others_are: bool,
) -> Result<Vec<StoredEntry>, Error> {
    if others_are && !keyring.encrypts() && entries.iter().any(StoredEntry::has_clear_credentials) {
        let text = "Stored credentials are encrypted, and SECRETS_KEY is not set here, so nothing was changed";
        return Err(Error::new(ErrorKind::NotConfigured, text));
    }
    entries.iter().map(|entry| entry.encrypted(keyring)).collect()
}

/// An entry as either database reads it from JSON.
#[derive(Serialize)]
struct EntryColumns<'a> {
    section: &'a str,
    name: &'a str,
    position: i64,
    body: Option<&'a str>,
}

impl<'a> From<&'a StoredEntry> for EntryColumns<'a> {
    fn from(StoredEntry { section, name, position, text }: &'a StoredEntry) -> Self {
        Self { section, name, position: *position, body: text.as_ref().map(Secret::expose) }
    }
}

/// Entries as a JSON array of rows.
pub(super) fn rows_of(entries: &[StoredEntry]) -> Result<String, sqlx::Error> {
    let rows: Vec<_> = entries.iter().map(EntryColumns::from).collect();
    serde_json::to_string(&rows).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// There is no such revision, or not any more.
pub(super) fn unknown(number: i64) -> Error {
    Error::not_found(format!("Revision {number} not found"))
}

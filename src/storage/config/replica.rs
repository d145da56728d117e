use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::entries::{ConfigHead, ConfigNews};
use crate::kernel::{JsonReader, Secret};
use crate::settings::StoredEntry;
use crate::storage::replace_file;

const FILE: &str = "config-replica.json";

/// What this server knows of the configuration in Postgres.
#[derive(Debug, Default)]
pub(super) struct ConfigReplica {
    pub(super) head: ConfigHead,
    /// By section and name.
    entries: BTreeMap<(String, String), KnownEntry>,
    /// The state that the copy on disk has.
    kept: ConfigHead,
}

#[derive(Debug, PartialEq, Eq)]
struct KnownEntry {
    revision: i64,
    position: i64,
    text: Secret,
}

/// Its copy on disk, for a start without Postgres.
#[derive(Serialize, Deserialize)]
struct ReplicaCopy {
    database: String,
    revision: i64,
    entries: Vec<CopiedEntry>,
}

#[derive(Serialize, Deserialize)]
struct CopiedEntry {
    section: String,
    name: String,
    position: i64,
    revision: i64,
    /// With credentials.
    text: String,
}

impl ConfigReplica {
    /// Where the copy on disk is.
    pub(super) fn path(data_dir: &Path) -> PathBuf {
        data_dir.join(FILE)
    }

    /// What the copy on disk has; `None` if there is none.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let copy: ReplicaCopy = JsonReader::stored().read(&text).map_err(io::Error::other)?;
        let known = |copied: CopiedEntry| {
            let (revision, position, text) = (copied.revision, copied.position, Secret::new(copied.text));
            ((copied.section, copied.name), KnownEntry { revision, position, text })
        };
        let head = ConfigHead { id: copy.database, revision: copy.revision };
        Ok(Some(Self { kept: head.clone(), head, entries: copy.entries.into_iter().map(known).collect() }))
    }

    /// What is in no database yet.
    pub(super) fn of_files(entries: Vec<StoredEntry>) -> Self {
        let mut replica = Self::default();
        replica.write(ConfigHead::default(), &entries);
        replica
    }

    /// Whether it is in no database yet.
    pub(super) fn is_own(&self) -> bool {
        self.head.id.is_empty()
    }

    /// All entries.
    pub(super) fn entries(&self) -> Vec<StoredEntry> {
        let entry = |((section, name), known): (&(String, String), &KnownEntry)| StoredEntry {
            section: section.clone(),
            name: name.clone(),
            position: known.position,
            text: Some(known.text.clone()),
        };
        self.entries.iter().map(entry).collect()
    }

    /// Learns of a change that this server has made.
    pub(super) fn write(&mut self, head: ConfigHead, changes: &[StoredEntry]) {
        for change in changes {
            let key = (change.section.clone(), change.name.clone());
            match change.text.clone() {
                None => self.entries.remove(&key),
                Some(text) => {
                    self.entries.insert(key, KnownEntry { revision: head.revision, position: change.position, text })
                }
            };
        }
        self.head = head;
    }

    /// Learns of what Postgres has; gives what is not the same any more.
    pub(super) fn take(&mut self, news: ConfigNews) -> Vec<StoredEntry> {
        let mut changes = Vec::new();
        if news.is_full {
            let there: HashSet<_> = news.entries.iter().map(|(_, entry)| (&*entry.section, &*entry.name)).collect();
            let is_there = |(section, name): &(String, String)| there.contains(&(&**section, &**name));
            let gone: Vec<_> = self.entries.keys().filter(|key| !is_there(key)).cloned().collect();
            changes.extend(gone.into_iter().map(|(section, name)| StoredEntry {
                section,
                name,
                position: 0,
                text: None,
            }));
        }
        changes.extend(news.entries.into_iter().filter_map(|(revision, entry)| self.news_of(revision, entry)));
        let gone: Vec<_> = changes.iter().filter(|change| change.text.is_none()).cloned().collect();
        self.write(news.head, &gone);
        changes
    }

    /// Learns of an entry; gives it if it is not the same any more.
    fn news_of(&mut self, revision: i64, entry: StoredEntry) -> Option<StoredEntry> {
        let key = (entry.section.clone(), entry.name.clone());
        let Some(text) = entry.text.clone() else { return self.entries.contains_key(&key).then_some(entry) };
        let known = KnownEntry { revision, position: entry.position, text };
        if self.entries.get(&key) == Some(&known) {
            return None;
        }
        self.entries.insert(key, known);
        Some(entry)
    }

    /// The copy that is kept on disk.
    fn copy(&self) -> ReplicaCopy {
        let copied = |((section, name), known): (&(String, String), &KnownEntry)| CopiedEntry {
            section: section.clone(),
            name: name.clone(),
            position: known.position,
            revision: known.revision,
            text: known.text.expose().to_owned(),
        };
        let ConfigHead { id, revision } = self.head.clone();
        ReplicaCopy { database: id, revision, entries: self.entries.iter().map(copied).collect() }
    }

    /// Whether the copy on disk is of another state.
    pub(super) fn has_news(&self) -> bool {
        self.kept != self.head
    }

    /// What writes the copy, for the server's user only.
    pub(super) fn keep(&mut self, path: PathBuf) -> impl FnOnce() -> io::Result<()> + Send + 'static + use<> {
        let copy = self.copy();
        self.kept = self.head.clone();
        move || replace_file(&path, &serde_json::to_vec(&copy).map_err(io::Error::other)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, text: Option<&str>) -> StoredEntry {
        StoredEntry { section: "agents".to_owned(), name: name.to_owned(), position: 3, text: text.map(Secret::new) }
    }

    fn head(revision: i64) -> ConfigHead {
        ConfigHead { id: "one".to_owned(), revision }
    }

    #[test]
    fn news_are_what_is_not_known_yet_and_what_a_full_list_lacks_is_gone() {
        let mut replica = ConfigReplica::of_files(vec![entry("own", Some("{}"))]);
        assert!(replica.is_own());
        let all = |revision, entries| ConfigNews { head: head(revision), entries, is_full: true };
        let first = replica.take(all(2, vec![(1, entry("a", Some("1"))), (2, entry("b", Some("2")))]));
        let names = |changes: &[StoredEntry]| {
            changes.iter().map(|change| (change.name.clone(), change.text.is_some())).collect::<Vec<_>>()
        };
        let expected = [("own", false), ("a", true), ("b", true)].map(|(name, is)| (name.to_owned(), is));
        assert_eq!((names(&first), replica.is_own()), (expected.to_vec(), false));

        let some = |revision, entries| ConfigNews { head: head(revision), entries, is_full: false };
        let next =
            replica.take(some(3, vec![(3, entry("a", None)), (3, entry("never", None)), (2, entry("b", Some("2")))]));
        assert_eq!(names(&next), [("a".to_owned(), false)]);
        // Another history of the same database, as after a restored backup.
        let other = replica.take(all(2, vec![(2, entry("b", Some("other")))]));
        assert_eq!((names(&other), replica.head.revision), (vec![("b".to_owned(), true)], 2));
    }

    #[test]
    fn the_copy_on_disk_reads_back_and_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = ConfigReplica::path(folder.path());
        assert!(ConfigReplica::read(&path).unwrap().is_none());
        let mut replica = ConfigReplica::default();
        replica.write(head(7), &[entry("a", Some("{\"token\": \"é\"}")), entry("gone", None)]);
        replica.keep(path.clone())().unwrap();
        let again = ConfigReplica::read(&path).unwrap().unwrap();
        assert_eq!((again.entries(), &again.head), (replica.entries(), &head(7)));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "{").unwrap();
        assert!(ConfigReplica::read(&path).is_err());
    }
}

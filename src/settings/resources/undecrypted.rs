use super::shared_map::SharedMap;
use crate::kernel::Secret;
use crate::settings::StoredEntry;

/// What the file of a section has and can't be decrypted, by where it stands among what is stored. It is kept for whoever has the key.
#[derive(Clone, Debug, Default)]
pub(super) struct UndecryptedEntries(SharedMap<u64, StoredEntry>);

impl UndecryptedEntries {
    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &StoredEntry> {
        self.0.iter().map(|(_, entry)| entry)
    }

    /// Their lines in the file, each with where it stands.
    pub(super) fn texts(&self) -> impl Iterator<Item = (u64, &str)> {
        self.0.iter().filter_map(|(place, entry)| Some((*place, entry.text.as_ref().map(Secret::expose)?)))
    }

    /// Keeps one at this place.
    pub(super) fn put(&mut self, place: u64, entry: StoredEntry) {
        self.0.insert(place, entry);
    }

    /// Forgets the one of this name; gives where it stood.
    pub(super) fn take(&mut self, name: &str) -> Option<u64> {
        let place = self.0.iter().find(|(_, entry)| entry.name == name).map(|(place, _)| *place)?;
        self.0.remove(&place);
        Some(place)
    }

    /// Behind all of them.
    pub(super) fn end(&self) -> u64 {
        self.0.last_key().map_or(0, |last| last + 1)
    }
}

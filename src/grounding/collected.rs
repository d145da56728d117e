use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::collector::{AskedResource, Collection, ResourceKey};
use super::store::{MAX_BYTES, StoredVocabulary};
use super::vocabulary::Vocabulary;

/// How long the values of columns are believed, in milliseconds.
const VALUES_TTL_MS: i64 = 3_600_000;

/// What resources said when they were asked, the latest of each.
#[derive(Clone, Debug, Default)]
pub(super) struct CollectedVocabularies {
    entries: HashMap<ResourceKey, CollectedEntry>,
}

#[derive(Clone, Debug)]
struct CollectedEntry {
    vocabulary: Arc<Vocabulary>,
    collected_at: i64,
    sampled_at: i64,
}

impl CollectedVocabularies {
    pub(super) fn of_stored(stored: Vec<StoredVocabulary>) -> Self {
        let entry = |StoredVocabulary { vocabulary, collected_at, sampled_at }| {
            let key = (vocabulary.kind, vocabulary.name.clone());
            (key, CollectedEntry { vocabulary: Arc::new(vocabulary), collected_at, sampled_at })
        };
        Self { entries: stored.into_iter().map(entry).collect() }
    }

    pub(super) fn to_stored(&self) -> Vec<StoredVocabulary> {
        let stored = |entry: &CollectedEntry| StoredVocabulary {
            vocabulary: Vocabulary::clone(&entry.vocabulary),
            collected_at: entry.collected_at,
            sampled_at: entry.sampled_at,
        };
        self.entries.values().map(stored).collect()
    }

    /// What the resource of this key said, if it was the one of this version.
    pub(super) fn get(&self, key: &ResourceKey, version: &str) -> Option<&Arc<Vocabulary>> {
        self.latest(key).filter(|vocabulary| vocabulary.version == version)
    }

    /// What the resource of this key said last.
    pub(super) fn latest(&self, key: &ResourceKey) -> Option<&Arc<Vocabulary>> {
        self.entries.get(key).map(|entry| &entry.vocabulary)
    }

    /// Of which the values of columns are still believed.
    pub(super) fn with_fresh_values(&self, key: &ResourceKey, version: &str, now: i64) -> Option<Arc<Vocabulary>> {
        let entry = self.entries.get(key)?;
        let is_fresh = entry.vocabulary.version == version && (0..VALUES_TTL_MS).contains(&(now - entry.sampled_at));
        is_fresh.then(|| entry.vocabulary.clone())
    }

    /// Takes in what a resource says now; whether that is news. What there is no room for is reduced to its name and description.
    pub(super) fn put(&mut self, key: ResourceKey, collection: Collection, now: i64) -> bool {
        let others = self.entries.iter().filter(|(other, _)| **other != key);
        let taken: usize = others.map(|(_, entry)| entry.vocabulary.bytes()).sum();
        let mut vocabulary = collection.vocabulary;
        if taken + vocabulary.bytes() > MAX_BYTES {
            let (kind, name) = &key;
            tracing::warn!(?kind, %name, "what this resource offers is too much to be kept with that of the others");
            vocabulary = Vocabulary { items: Vec::new(), is_complete: false, ..vocabulary };
        }
        let before = self.entries.get(&key);
        let sampled_at = if collection.has_values { now } else { before.map_or(now, |before| before.sampled_at) };
        let same = before.map(|before| &before.vocabulary).filter(|before| ***before == vocabulary);
        let (is_news, vocabulary) = (same.is_none(), same.cloned().unwrap_or_else(|| Arc::new(vocabulary)));
        self.entries.insert(key, CollectedEntry { vocabulary, collected_at: now, sampled_at });
        is_news
    }

    /// Without what these settings no longer ask, or ask in another state; whether there was any.
    pub(super) fn retain(&mut self, asked: &[AskedResource]) -> bool {
        let known: HashSet<(ResourceKey, &str)> = asked.iter().map(|one| (one.key(), one.version())).collect();
        let before = self.entries.len();
        self.entries.retain(|key, entry| known.contains(&(key.clone(), entry.vocabulary.version.as_str())));
        self.entries.len() < before
    }

    /// When that was collected which is the oldest.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.entries.values().map(|entry| entry.collected_at).min()
    }
}

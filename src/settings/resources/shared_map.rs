//! A sorted map in small chunks: a clone shares them, and a change copies the one that it is in.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Entries of a chunk that is full. A change copies as many, and the list of the chunks.
const FULL: usize = 128;

type MapChunk<K, V> = Vec<(K, V)>;

/// A map whose clones share all but what differs.
pub(super) struct SharedMap<K, V> {
    /// In order; none is empty.
    chunks: Arc<Vec<Arc<MapChunk<K, V>>>>,
    len: usize,
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self { chunks: Arc::default(), len: 0 }
    }
}

impl<K, V> Clone for SharedMap<K, V> {
    fn clone(&self) -> Self {
        Self { chunks: Arc::clone(&self.chunks), len: self.len }
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K, V> SharedMap<K, V> {
    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All of them, by key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }
}

impl<K: Ord + Clone, V: Clone> SharedMap<K, V> {
    /// What is under a key.
    pub(super) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        chunk.get(place_in(chunk, key).ok()?).map(|(_, value)| value)
    }

    /// The last key.
    pub(super) fn last_key(&self) -> Option<&K> {
        self.chunks.last()?.last().map(|(key, _)| key)
    }

    /// Puts a value under a key.
    pub(super) fn insert(&mut self, key: K, value: V) {
        let at = self.chunk_of(&key);
        let chunks = Arc::make_mut(&mut self.chunks);
        let Some(chunk) = chunks.get_mut(at).map(Arc::make_mut) else {
            self.len += 1;
            return chunks.push(Arc::new(vec![(key, value)]));
        };
        match place_in(chunk, &key) {
            Ok(place) => chunk.get_mut(place).into_iter().for_each(|entry| entry.1 = value.clone()),
            Err(place) => {
                chunk.insert(place, (key, value));
                self.len += 1;
            }
        }
        if chunk.len() > FULL {
            let rest = chunk.split_off(FULL / 2);
            chunks.insert(at + 1, Arc::new(rest));
        }
    }

    /// Takes away what is under a key.
    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.chunk_of(key);
        let place = place_in(self.chunks.get(at)?, key).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(chunks.get_mut(at)?);
        let (_, value) = chunk.remove(place);
        if chunk.is_empty() {
            chunks.remove(at);
        }
        self.len -= 1;
        Some(value)
    }

    /// The number of the chunk that a key is in, or would be.
    fn chunk_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let is_before = |chunk: &Arc<MapChunk<K, V>>| chunk.first().is_some_and(|(first, _)| first.borrow() <= key);
        self.chunks.partition_point(is_before).saturating_sub(1)
    }
}

/// Where a key stands in a chunk, or else would.
fn place_in<K: Borrow<Q>, V, Q: Ord + ?Sized>(chunk: &[(K, V)], key: &Q) -> Result<usize, usize> {
    chunk.binary_search_by(|(known, _)| -> Ordering { known.borrow().cmp(key) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map_and_a_clone_stays_as_it_was(changes in proptest::collection::vec((0u16..600, any::<Option<u8>>()), 0..900)) {
            let (mut map, mut plain) = (SharedMap::default(), BTreeMap::new());
            let mut before = Vec::new();
            for (at, (key, value)) in changes.into_iter().enumerate() {
                if at % 100 == 0 {
                    before.push((map.clone(), plain.clone()));
                }
                match value {
                    Some(value) => {
                        map.insert(key, value);
                        plain.insert(key, value);
                    }
                    None => prop_assert_eq!(map.remove(&key), plain.remove(&key)),
                }
                prop_assert_eq!(map.get(&key), plain.get(&key));
                prop_assert_eq!((map.len(), map.last_key()), (plain.len(), plain.keys().last()));
            }
            before.push((map, plain));
            for (map, plain) in before {
                prop_assert_eq!(map.iter().collect::<Vec<_>>(), plain.iter().collect::<Vec<_>>());
                prop_assert!((0..600).all(|key| map.get(&key) == plain.get(&key)));
                prop_assert!(map.chunks.iter().all(|chunk| (1..=FULL).contains(&chunk.len())));
            }
        }
    }
}

use std::sync::Arc;

use super::CatalogEntry;
use super::shared_map::SharedMap;
use crate::kernel::ResourceName;

/// Entries by name, in an order. A clone shares all but what differs, since each change of one of many makes another list.
#[derive(Debug)]
pub(super) struct Entries<T> {
    /// Where they stand.
    places: SharedMap<ResourceName, u64>,
    in_order: SharedMap<u64, Arc<CatalogEntry<T>>>,
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self { places: SharedMap::default(), in_order: SharedMap::default() }
    }
}

impl<T> Clone for Entries<T> {
    fn clone(&self) -> Self {
        Self { places: self.places.clone(), in_order: self.in_order.clone() }
    }
}

impl<T> Entries<T> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.in_order.len()
    }

    /// All of them, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<CatalogEntry<T>>> {
        self.in_order.iter().map(|(_, entry)| entry)
    }

    /// The same, each with where it stands.
    pub(super) fn placed(&self) -> impl Iterator<Item = (u64, &Arc<CatalogEntry<T>>)> {
        self.in_order.iter().map(|(place, entry)| (*place, entry))
    }

    /// The entry of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<CatalogEntry<T>>> {
        self.in_order.get(self.places.get(name)?)
    }

    /// Where the entry of this name stands.
    pub(super) fn place(&self, name: &str) -> Option<u64> {
        self.places.get(name).copied()
    }

    /// Whether one stands at this place.
    pub(super) fn has(&self, place: u64) -> bool {
        self.in_order.get(&place).is_some()
    }

    /// Where the next one stands that is added at the end.
    pub(super) fn end(&self) -> u64 {
        self.in_order.last_key().map_or(0, |last| last + 1)
    }

    /// Puts an entry at a place, which is that of its name if there is one.
    pub(super) fn put(&mut self, place: u64, entry: Arc<CatalogEntry<T>>) {
        self.places.insert(entry.name.clone(), place);
        self.in_order.insert(place, entry);
    }

    /// Takes away the entry of this name; gives where it stood.
    pub(super) fn remove(&mut self, name: &str) -> Option<u64> {
        let place = self.places.remove(name)?;
        self.in_order.remove(&place);
        Some(place)
    }
}

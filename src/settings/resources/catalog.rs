use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::body::{body_error, read_body, read_name, refuse_moved_credentials, without_masked_credentials};
use super::entries::Entries;
use super::shared_map::SharedMap;
use super::undecrypted::UndecryptedEntries;
use super::{CatalogEntry, Precondition, Resource};
use crate::kernel::{Error, ErrorKind, FieldIssue, Fields, ResourceName, Segment, prefixed, quoted};
use crate::settings::stored_entry::REMOVED;
use crate::settings::stored_json::json_text;
use crate::settings::{Environment, JsonFile, Keyring, Section, StoredEntry};

/// Resources as they were written, by name, each with the place where it stands.
pub(super) type WrittenEntries<T> = IndexMap<ResourceName, (Vec<Segment>, T)>;

/// Where the first entry stands that no file and no variable has.
const FIRST_OF_API: u64 = 1 << 32;

/// All resources of one kind by name: those of the files and the environment, and on top what was changed through the API.
/// Order is that of creation: first the files' and the environment's, then those created through the API. A clone is cheap, and a
/// change takes as long whether there are few or many.
#[derive(Clone, Debug)]
pub struct Catalog<T> {
    base: Entries<T>,
    stored: Entries<T>,
    /// Entries of `base` that were deleted or renamed through the API.
    removed: SharedMap<String, ()>,
    /// What the file has and can't be decrypted.
    undecrypted: UndecryptedEntries,
    /// Counts the changes through the API.
    revision: u64,
    live: Entries<T>,
}

impl<T> Default for Catalog<T> {
    fn default() -> Self {
        let (base, stored, live) = (Entries::default(), Entries::default(), Entries::default());
        let (removed, undecrypted) = Default::default();
        Self { base, stored, removed, undecrypted, revision: 0, live }
    }
}

impl<T: Resource> Catalog<T> {
    /// A catalog of what the files and the environment say, each entry with the place where it stands.
    pub(super) fn new(base: WrittenEntries<T>, environment: &Environment) -> Result<Self, Vec<FieldIssue>> {
        let (mut entries, mut issues) = (Entries::default(), Vec::new());
        for (name, (at, written)) in base {
            match CatalogEntry::new(name, written, 0, environment) {
                Ok(entry) => entries.put(entries.end(), Arc::new(entry)),
                Err(wrong) => issues.extend(prefixed(&at, wrong)),
            }
        }
        let catalog = Self { base: entries, ..Self::default() };
        if issues.is_empty() { Ok(catalog.rebuilt()) } else { Err(issues) }
    }

    /// The entry of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<CatalogEntry<T>>> {
        self.live.get(name)
    }

    /// The entry of this name, or the error that a caller reads.
    pub fn require(&self, name: &str) -> Result<&Arc<CatalogEntry<T>>, Error> {
        self.get(name).ok_or_else(|| Error::not_found(format!("{} {} not found", T::LABEL, quoted(name))))
    }

    /// All entries, in the order of their creation.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<CatalogEntry<T>>> {
        self.live.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The enabled entries, in the order of their creation.
    pub fn enabled(&self) -> impl Iterator<Item = &Arc<CatalogEntry<T>>> {
        self.iter().filter(|entry| entry.effective.enabled())
    }

    /// A catalog to look at, not to change, with only those entries whose name `keep` holds for.
    pub fn only(&self, keep: impl Fn(&str) -> bool) -> Self {
        let mut live = Entries::default();
        for (place, entry) in self.live.placed().filter(|(_, entry)| keep(entry.name.as_str())) {
            live.put(place, Arc::clone(entry));
        }
        Self { live, revision: self.revision, ..Self::default() }
    }

    /// With one more entry, read from a request's body.
    pub fn with_created(
        &self,
        body: &Map<String, Value>,
        environment: &Environment,
        released: &[String],
    ) -> Result<(Self, Arc<CatalogEntry<T>>), Error> {
        let (name, written) = read_body::<T>(body, None, environment, released)?;
        if self.get(name.as_str()).is_some() {
            return Err(name_conflict::<T>(&name));
        }
        let mut next = self.clone();
        let entry = next.store(name, written, None, environment)?;
        Ok((next, entry))
    }

    /// With the entry replaced by what a request's body says, which is not stored if a file or variable says the same. Another name in
    /// the body renames it; credentials that are absent or masked are kept, but may not follow the entry to another server. If that is a
    /// local one, those that are masked are dropped instead.
    pub fn with_replaced(
        &self,
        name: &str,
        expected: &Precondition,
        body: &Map<String, Value>,
        environment: &Environment,
        released: &[String],
    ) -> Result<(Self, Arc<CatalogEntry<T>>), Error> {
        let old = self.require(name).map_err(|unknown| body_error::<T>(body).unwrap_or(unknown))?;
        let replace = |body: &Map<String, Value>| {
            let (new_name, written) = read_body(body, Some(&**old), environment, released)?;
            old.check(expected)?;
            self.with_stored_as(old, new_name, written, environment)
        };
        let (next, entry) = replace(body)?;
        let Err(refused) = refuse_moved_credentials(old, &entry, body, released) else {
            return Ok((next, entry));
        };
        let body = without_masked_credentials(old, &entry, body).ok_or(refused)?;
        let (next, entry) = replace(&body)?;
        refuse_moved_credentials(old, &entry, &body, released)?;
        Ok((next, entry))
    }

    /// With the entry as `written`, under another name perhaps.
    fn with_stored_as(
        &self,
        old: &Arc<CatalogEntry<T>>,
        name: ResourceName,
        written: T,
        environment: &Environment,
    ) -> Result<(Self, Arc<CatalogEntry<T>>), Error> {
        let is_renamed = name != old.name;
        if is_renamed && self.get(name.as_str()).is_some() {
            return Err(name_conflict::<T>(&name));
        }
        // A file's or variable's entry goes on following it, unless the API has something else to say.
        if !is_renamed
            && self.stored.get(old.name.as_str()).is_none()
            && old.written.means_the_same(&written, environment)
        {
            return Ok((self.clone(), old.clone()));
        }
        let mut next = self.clone();
        let place = if is_renamed { next.take_away(old.name.as_str()) } else { None };
        let entry = next.store(name, written, place, environment)?;
        Ok((next, entry))
    }

    /// Without the entry.
    pub fn without(&self, name: &str, expected: &Precondition) -> Result<Self, Error> {
        let old = self.require(name)?;
        old.check(expected)?;
        let mut next = self.clone();
        next.take_away(name);
        next.revision += 1;
        Ok(next)
    }

    /// Removes an entry; gives where it stands among those that are stored.
    fn take_away(&mut self, name: &str) -> Option<u64> {
        if self.base.get(name).is_some() {
            self.removed.insert(name.to_owned(), ());
        }
        self.undecrypted.take(name);
        self.live.remove(name);
        self.stored.remove(name)
    }

    /// Stores an entry at its place, or else at one that has become free, or else at the end.
    fn store(
        &mut self,
        name: ResourceName,
        written: T,
        free: Option<u64>,
        environment: &Environment,
    ) -> Result<Arc<CatalogEntry<T>>, Error> {
        self.revision += 1;
        let entry = CatalogEntry::new(name.clone(), written, self.revision, environment);
        let entry = Arc::new(entry.map_err(|issues| Error::invalid(prefixed(&["body".into()], issues)))?);
        self.removed.remove(name.as_str());
        let lost = self.undecrypted.take(name.as_str());
        let place = self.stored.place(name.as_str()).or(free).or(lost).unwrap_or_else(|| self.next_place());
        self.stored.put(place, entry.clone());
        self.live.put(self.live_place(name.as_str(), place), entry.clone());
        Ok(entry)
    }

    /// Where an entry stands among all of them that is stored at a place.
    fn live_place(&self, name: &str, stored: u64) -> u64 {
        let is_removed = self.removed.get(name).is_some();
        self.base.place(name).filter(|_| !is_removed).unwrap_or_else(|| FIRST_OF_API.saturating_add(stored))
    }

    /// Puts an entry where it was stored, or at the end if another one stands there, which only damage brings about.
    fn put_stored(&mut self, position: i64, entry: Arc<CatalogEntry<T>>) {
        let place = u64::try_from(position).ok().filter(|place| !self.stored.has(*place));
        self.revision = self.revision.max(entry.revision);
        self.stored.put(place.unwrap_or_else(|| self.stored.end()), entry);
    }

    /// What the file has and can't be decrypted.
    pub(in crate::settings) fn undecrypted(&self) -> impl Iterator<Item = &StoredEntry> {
        self.undecrypted.iter()
    }

    /// Where the next one is stored.
    fn next_place(&self) -> u64 {
        self.stored.end().max(self.undecrypted.end())
    }

    /// How many changes through the API there were.
    pub(in crate::settings) fn revision(&self) -> u64 {
        self.revision
    }

    /// With a count of changes that is at least this.
    pub(in crate::settings) fn counting_from(&self, revision: u64) -> Self {
        Self { revision: self.revision.max(revision), ..self.clone() }
    }

    /// With `live` made anew from its parts.
    fn rebuilt(mut self) -> Self {
        let mut live = Entries::default();
        let is_kept = |entry: &&Arc<CatalogEntry<T>>| self.removed.get(entry.name.as_str()).is_none();
        for (place, entry) in self.base.placed().filter(|(_, entry)| is_kept(entry)) {
            live.put(place, entry.clone());
        }
        for (place, entry) in self.stored.placed() {
            live.put(self.live_place(entry.name.as_str(), place), entry.clone());
        }
        self.live = live;
        self
    }
}

impl<T: Resource> Section for Catalog<T> {
    const NAME: &'static str = T::SECTION;

    fn with_stored(
        &self,
        file: &JsonFile,
        keyring: &Keyring,
        environment: &Environment,
    ) -> Result<Self, Vec<FieldIssue>> {
        let mut next = self.clone();
        let mut fields = file.fields();
        next.revision = fields.int_or("revision", 0, 0..=i64::MAX).unsigned_abs();
        for name in fields.or("removed", Vec::<String>::new()) {
            next.removed.insert(name, ());
        }
        let mut issues = fields.into_issues();
        for (at, object) in file.list(T::SECTION, &mut issues) {
            let name = object.get("name").and_then(Value::as_str).unwrap_or_default();
            match keyring.decrypted_object(T::SECTION, name, object) {
                Err(entry) => next.undecrypted.put(next.next_place(), entry),
                Ok(object) => match read_stored(&object, at, environment) {
                    Ok(entry) => {
                        let place = next.stored.place(entry.name.as_str()).unwrap_or_else(|| next.next_place());
                        next.stored.put(place, Arc::new(entry));
                    }
                    Err(wrong) => issues.extend(wrong),
                },
            }
        }
        if issues.is_empty() { Ok(next.rebuilt()) } else { Err(issues) }
    }

    fn stored_text(&self, keyring: &Keyring) -> Result<Option<String>, Error> {
        if self.revision == 0 {
            return Ok(None);
        }
        let mut entries = Vec::with_capacity(self.stored.len());
        for (place, entry) in self.stored.placed() {
            entries.push((place, entry.file_text(keyring)?));
        }
        entries.extend(self.undecrypted.texts());
        entries.sort_by_key(|(place, _)| *place);
        let entries: Vec<_> = entries.into_iter().map(|(_, text)| text).collect();
        let entries = if entries.is_empty() { String::new() } else { format!("\n{}\n  ", entries.join(",\n")) };
        let removed: Vec<_> = self.removed.iter().map(|(name, ())| name.as_str()).collect();
        let removed = json_text(&removed, 1);
        let (revision, section) = (self.revision, T::SECTION);
        Ok(Some(format!(
            "{{\n  \"revision\": {revision},\n  \"{section}\": [{entries}],\n  \"removed\": {removed}\n}}"
        )))
    }

    fn stored_since(&self, before: Option<&Self>) -> Vec<StoredEntry> {
        let is_same = |place: u64, entry: &Arc<CatalogEntry<T>>| {
            let old = before.map(|before| &before.stored);
            let old = old.and_then(|old| Some((old.place(entry.name.as_str())?, old.get(entry.name.as_str())?)));
            old.is_some_and(|(old_place, old)| old_place == place && Arc::ptr_eq(old, entry))
        };
        let news = self.stored.placed().filter(|(place, entry)| !is_same(*place, entry));
        let mut entries: Vec<_> = news
            .map(|(place, entry)| {
                StoredEntry::new(T::SECTION, entry.name.as_str(), place, entry.stored_text().trim_start())
            })
            .collect();
        let was_removed = |name: &str| before.is_some_and(|before| before.removed.get(name).is_some());
        let removed = self.removed.iter().filter(|(name, ())| !was_removed(name));
        entries.extend(removed.map(|(name, ())| StoredEntry::new(T::SECTION, name, 0, REMOVED)));
        let is_stored = |name: &str| self.stored.get(name).is_some() || self.removed.get(name).is_some();
        let old = before.into_iter().flat_map(|before| {
            before.stored.iter().map(|entry| entry.name.as_str()).chain(before.removed.iter().map(|(name, ())| &**name))
        });
        entries.extend(old.filter(|name| !is_stored(name)).map(|name| StoredEntry::gone(T::SECTION, name)));
        entries
    }

    fn with_entries(&self, entries: &[StoredEntry], environment: &Environment) -> (Self, Vec<FieldIssue>) {
        let (mut next, mut issues) = (self.clone(), Vec::new());
        for StoredEntry { name, .. } in entries {
            next.stored.remove(name);
            next.removed.remove(name.as_str());
            next.undecrypted.take(name);
        }
        for stored in entries.iter().filter(|stored| stored.text.is_some()) {
            match read_entry::<T>(stored, environment) {
                Ok(None) => next.removed.insert(stored.name.clone(), ()),
                Ok(Some(entry)) => next.put_stored(stored.position, Arc::new(entry)),
                Err(wrong) => issues.extend(wrong),
            }
        }
        (next.rebuilt(), issues)
    }

    fn shown(entry: &StoredEntry) -> Option<Value> {
        let object: Map<String, Value> = entry.read().ok()??;
        let mut fields = Fields::new(&object, entry.place());
        let shown = serde_json::to_value(T::read(&mut fields)).ok();
        let mut named = Map::from_iter([("name".to_owned(), Value::from(entry.name.as_str()))]);
        if let Some(Value::Object(shown)) = shown {
            named.extend(shown);
        }
        Some(Value::Object(named))
    }
}

/// An entry that was stored under a name; `None` stands for one of a file or a variable that was removed.
fn read_entry<T: Resource>(
    stored: &StoredEntry,
    environment: &Environment,
) -> Result<Option<CatalogEntry<T>>, Vec<FieldIssue>> {
    let object: Option<Map<String, Value>> = stored.read_plain().map_err(|issue| vec![issue])?;
    let Some(object) = object else { return Ok(None) };
    let entry = read_stored(&object, stored.place(), environment)?;
    if entry.name.as_str() != stored.name {
        return Err(vec![stored.issue(format!("is called {} in its own text", quoted(entry.name.as_str())))]);
    }
    Ok(Some(entry))
}

/// An entry as it was stored, at a place.
fn read_stored<T: Resource>(
    object: &Map<String, Value>,
    at: Vec<Segment>,
    environment: &Environment,
) -> Result<CatalogEntry<T>, Vec<FieldIssue>> {
    let mut fields = Fields::new(object, at.clone());
    let (name, written) = (read_name(&mut fields), T::read(&mut fields));
    let revision = fields.int_or("revision", 0, 0..=i64::MAX).unsigned_abs();
    let mut issues = fields.into_issues();
    let entry = name.map(|name| CatalogEntry::new(name, written, revision, environment));
    match entry {
        Some(Ok(entry)) if issues.is_empty() => return Ok(entry),
        Some(Err(wrong)) => issues.extend(prefixed(&at, wrong)),
        _ => {}
    }
    Err(issues)
}

fn name_conflict<T: Resource>(name: &ResourceName) -> Error {
    Error::new(ErrorKind::Conflict, format!("{} '{name}' already exists", T::LABEL))
}

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::body::{body_error, read_body, read_name, refuse_moved_credentials, without_masked_credentials};
use super::{CatalogEntry, Precondition, Resource};
use crate::kernel::{Error, ErrorKind, FieldIssue, Fields, ResourceName, Segment, prefixed, quoted};
use crate::settings::{Environment, JsonFile, Section};

/// Resources as they were written, by name, each with the place where it stands.
pub(super) type WrittenEntries<T> = IndexMap<ResourceName, (Vec<Segment>, T)>;

type Entries<T> = IndexMap<ResourceName, Arc<CatalogEntry<T>>>;

/// All resources of one kind by name: those of the files and the environment, and on top what was changed through the API.
/// Order is that of creation: first the files' and the environment's, then those created through the API.
#[derive(Clone, Debug)]
pub struct Catalog<T> {
    base: Arc<Entries<T>>,
    stored: Entries<T>,
    /// Entries of `base` that were deleted or renamed through the API.
    removed: BTreeSet<String>,
    /// Counts the changes through the API.
    revision: u64,
    live: Entries<T>,
}

impl<T> Default for Catalog<T> {
    fn default() -> Self {
        let (stored, live) = (Entries::new(), Entries::new());
        Self { base: Arc::default(), stored, removed: BTreeSet::new(), revision: 0, live }
    }
}

impl<T: Resource> Catalog<T> {
    /// A catalog of what the files and the environment say, each entry with the place where it stands.
    pub(super) fn new(base: WrittenEntries<T>, environment: &Environment) -> Result<Self, Vec<FieldIssue>> {
        let (mut entries, mut issues) = (Entries::with_capacity(base.len()), Vec::new());
        for (name, (at, written)) in base {
            match CatalogEntry::new(name.clone(), written, 0, environment) {
                Ok(entry) => drop(entries.insert(name, Arc::new(entry))),
                Err(wrong) => issues.extend(prefixed(&at, wrong)),
            }
        }
        let catalog = Self { base: Arc::new(entries), ..Self::default() };
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
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<CatalogEntry<T>>> {
        self.live.values()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// The enabled entries, in the order of their creation.
    pub fn enabled(&self) -> impl Iterator<Item = &Arc<CatalogEntry<T>>> {
        self.iter().filter(|entry| entry.effective.enabled())
    }

    /// With one more entry, read from a request's body.
    pub fn with_created(
        &self,
        body: &Map<String, Value>,
        environment: &Environment,
        released: &[String],
    ) -> Result<(Self, Arc<CatalogEntry<T>>), Error> {
        let (name, written) = read_body::<T>(body, None, environment, released)?;
        if self.live.contains_key(&name) {
            return Err(name_conflict::<T>(&name));
        }
        let mut next = self.clone();
        let entry = next.store(name, written, environment)?;
        Ok((next.rebuilt(), entry))
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
            return Ok((next.rebuilt(), entry));
        };
        let body = without_masked_credentials(old, &entry, body).ok_or(refused)?;
        let (next, entry) = replace(&body)?;
        refuse_moved_credentials(old, &entry, &body, released)?;
        Ok((next.rebuilt(), entry))
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
        if is_renamed && self.live.contains_key(&name) {
            return Err(name_conflict::<T>(&name));
        }
        // A file's or variable's entry goes on following it, unless the API has something else to say.
        if !is_renamed && !self.stored.contains_key(&old.name) && old.written.means_the_same(&written, environment) {
            return Ok((self.clone(), old.clone()));
        }
        let mut next = self.clone();
        if is_renamed {
            next.rename(&old.name, &name);
        }
        let entry = next.store(name, written, environment)?;
        Ok((next, entry))
    }

    /// Without the entry.
    pub fn without(&self, name: &str, expected: &Precondition) -> Result<Self, Error> {
        let old = self.require(name)?;
        old.check(expected)?;
        let mut next = self.clone();
        next.stored.shift_remove(&old.name);
        if next.base.contains_key(&old.name) {
            next.removed.insert(name.to_owned());
        }
        next.revision += 1;
        Ok(next.rebuilt())
    }

    fn rename(&mut self, old: &ResourceName, new: &ResourceName) {
        if let Some((at, _, entry)) = self.stored.shift_remove_full(old) {
            self.stored.shift_insert(at, new.clone(), entry);
        }
        if self.base.contains_key(old) {
            self.removed.insert(old.to_string());
        }
    }

    fn store(
        &mut self,
        name: ResourceName,
        written: T,
        environment: &Environment,
    ) -> Result<Arc<CatalogEntry<T>>, Error> {
        self.revision += 1;
        let entry = CatalogEntry::new(name.clone(), written, self.revision, environment);
        let entry = Arc::new(entry.map_err(|issues| Error::invalid(prefixed(&["body".into()], issues)))?);
        self.removed.remove(name.as_str());
        self.stored.insert(name, entry.clone());
        Ok(entry)
    }

    /// With `live` made anew from its parts.
    fn rebuilt(mut self) -> Self {
        let kept = self.base.iter().filter(|(name, _)| !self.removed.contains(name.as_str()));
        self.live = kept.chain(&self.stored).map(|(name, entry)| (name.clone(), entry.clone())).collect();
        self
    }
}

impl<T: Resource> Section for Catalog<T> {
    const NAME: &'static str = T::SECTION;

    fn with_stored(&self, file: &JsonFile, environment: &Environment) -> Result<Self, Vec<FieldIssue>> {
        let mut next = self.clone();
        let mut fields = file.fields();
        next.revision = fields.int_or("revision", 0, 0..=i64::MAX).unsigned_abs();
        next.removed = fields.or("removed", Vec::<String>::new()).into_iter().collect();
        let mut issues = fields.into_issues();
        for (at, object) in file.list(T::SECTION, &mut issues) {
            let mut fields = Fields::new(object, at.clone());
            let (name, written) = (read_name(&mut fields), T::read(&mut fields));
            let revision = fields.int_or("revision", 0, 0..=i64::MAX).unsigned_abs();
            issues.extend(fields.into_issues());
            let Some(name) = name else { continue };
            match CatalogEntry::new(name.clone(), written, revision, environment) {
                Ok(entry) => drop(next.stored.insert(name, Arc::new(entry))),
                Err(wrong) => issues.extend(prefixed(&at, wrong)),
            }
        }
        if issues.is_empty() { Ok(next.rebuilt()) } else { Err(issues) }
    }

    fn to_stored(&self) -> Option<Value> {
        if self.revision == 0 {
            return None;
        }
        let entries = self.stored.values().map(|entry| {
            let mut object = Map::from_iter([("name".to_owned(), json!(entry.name.as_str()))]);
            object.extend(entry.written.to_stored());
            object.insert("revision".to_owned(), json!(entry.revision));
            Value::Object(object)
        });
        Some(json!({"revision": self.revision, T::SECTION: entries.collect::<Vec<_>>(), "removed": self.removed}))
    }
}

fn name_conflict<T: Resource>(name: &ResourceName) -> Error {
    Error::new(ErrorKind::Conflict, format!("{} '{name}' already exists", T::LABEL))
}

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Resource, not_a_list, not_an_object};
use crate::kernel::{
    Error, ErrorKind, FieldIssue, Fields, MASK, ResourceName, SecretUrl, Segment, before_mask, unmask,
};
use crate::settings::{Environment, JsonFile};

/// One agent, data source or tool under its name.
#[derive(Debug)]
pub struct Entry<T> {
    /// Its name.
    pub name: ResourceName,
    /// As it was written, `${NAME}` included: for showing.
    pub written: T,
    /// To work with.
    pub effective: T,
    /// Changes whenever the entry does, its credentials included.
    pub version: String,
    revision: u64,
}

type Entries<T> = IndexMap<ResourceName, Arc<Entry<T>>>;

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

/// What a caller expects to find before it changes an entry.
#[derive(Clone, Debug, Default)]
pub enum Expected {
    /// Anything.
    #[default]
    Any,
    /// One of these versions.
    Versions(Vec<String>),
}

impl<T: Resource> Catalog<T> {
    /// A catalog of what the files and the environment say.
    pub(super) fn new(base: IndexMap<ResourceName, T>, environment: &Environment) -> Result<Self, Vec<FieldIssue>> {
        let (mut entries, mut issues) = (Entries::with_capacity(base.len()), Vec::new());
        for (name, written) in base {
            match Entry::new(name.clone(), written, 0, environment) {
                Ok(entry) => drop(entries.insert(name, Arc::new(entry))),
                Err(wrong) => issues.extend(below(&[T::SECTION.into(), name.as_str().into()], wrong)),
            }
        }
        let catalog = Self { base: Arc::new(entries), ..Self::default() };
        if issues.is_empty() { Ok(catalog.settled()) } else { Err(issues) }
    }

    /// The entry of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Entry<T>>> {
        self.live.get(name)
    }

    /// The entry of this name, or the error that a caller reads.
    pub fn require(&self, name: &str) -> Result<&Arc<Entry<T>>, Error> {
        self.get(name).ok_or_else(|| Error::not_found(format!("{} '{name}' not found", T::LABEL)))
    }

    /// All entries, in the order of their creation.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Entry<T>>> {
        self.live.values()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// The enabled entries, in the order of their creation.
    pub fn enabled(&self) -> impl Iterator<Item = &Arc<Entry<T>>> {
        self.iter().filter(|entry| entry.effective.enabled())
    }

    /// With one more entry, read from a request's body.
    pub fn with_created(
        &self,
        body: &Map<String, Value>,
        environment: &Environment,
        released: &[String],
    ) -> Result<(Self, Arc<Entry<T>>), Error> {
        let (name, written) = read_body::<T>(body, None, environment, released)?;
        if self.live.contains_key(&name) {
            return Err(taken::<T>(&name));
        }
        let mut next = self.clone();
        let entry = next.store(name, written, environment)?;
        Ok((next.settled(), entry))
    }

    /// With the entry replaced by what a request's body says. Another name in the body renames it; credentials that are
    /// absent or masked are kept, but may not follow the entry to another server.
    pub fn with_replaced(
        &self,
        name: &str,
        expected: &Expected,
        body: &Map<String, Value>,
        environment: &Environment,
        released: &[String],
    ) -> Result<(Self, Arc<Entry<T>>), Error> {
        let old = self.require(name).map_err(|unknown| wrong_body::<T>(body).unwrap_or(unknown))?;
        let (new_name, written) = read_body(body, Some(&old.written), environment, released)?;
        old.check(expected)?;
        if new_name.as_str() != name && self.live.contains_key(&new_name) {
            return Err(taken::<T>(&new_name));
        }
        let mut next = self.clone();
        if new_name.as_str() != name {
            next.rename(&old.name, &new_name);
        }
        let entry = next.store(new_name, written, environment)?;
        keeps_to_its_server(old, &entry, body, released)?;
        Ok((next.settled(), entry))
    }

    /// Without the entry.
    pub fn without(&self, name: &str, expected: &Expected) -> Result<Self, Error> {
        let old = self.require(name)?;
        old.check(expected)?;
        let mut next = self.clone();
        next.stored.shift_remove(&old.name);
        if next.base.contains_key(&old.name) {
            next.removed.insert(name.to_owned());
        }
        next.revision += 1;
        Ok(next.settled())
    }

    /// With what an earlier process stored; the error names the places in the file.
    pub fn with_stored(mut self, file: &JsonFile, environment: &Environment) -> Result<Self, Vec<FieldIssue>> {
        let mut fields = file.fields();
        self.revision = fields.int_or("revision", 0, 0..=i64::MAX).unsigned_abs();
        self.removed = fields.or("removed", Vec::<String>::new()).into_iter().collect();
        let entries = file.object().get(T::SECTION).and_then(Value::as_array);
        if entries.is_none() {
            fields.extend([not_a_list(T::SECTION)]);
        }
        for (index, entry) in entries.into_iter().flatten().enumerate() {
            let at = vec![T::SECTION.into(), Segment::Index(index)];
            let Some(object) = entry.as_object() else {
                fields.extend([not_an_object(at)]);
                continue;
            };
            let mut entry = Fields::new(object, at.clone());
            let (name, written) = (read_name(&mut entry), T::read(&mut entry));
            let revision = entry.int_or("revision", 0, 0..=i64::MAX).unsigned_abs();
            fields.extend(entry.into_issues());
            let Some(name) = name else { continue };
            match Entry::new(name.clone(), written, revision, environment) {
                Ok(entry) => drop(self.stored.insert(name, Arc::new(entry))),
                Err(wrong) => fields.extend(below(&at, wrong)),
            }
        }
        let issues = fields.into_issues();
        if issues.is_empty() { Ok(self.settled()) } else { Err(file.locate(issues)) }
    }

    /// What was changed through the API, in the form in which it is stored: with credentials. `None` if nothing was.
    pub fn to_stored(&self) -> Option<Value> {
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

    fn rename(&mut self, old: &ResourceName, new: &ResourceName) {
        if let Some((at, _, entry)) = self.stored.shift_remove_full(old) {
            self.stored.shift_insert(at, new.clone(), entry);
        }
        if self.base.contains_key(old) {
            self.removed.insert(old.to_string());
        }
    }

    fn store(&mut self, name: ResourceName, written: T, environment: &Environment) -> Result<Arc<Entry<T>>, Error> {
        self.revision += 1;
        let entry = Entry::new(name.clone(), written, self.revision, environment);
        let entry = Arc::new(entry.map_err(|issues| Error::invalid(below(&["body".into()], issues)))?);
        self.removed.remove(name.as_str());
        self.stored.insert(name, entry.clone());
        Ok(entry)
    }

    /// With `live` made anew from its parts.
    fn settled(mut self) -> Self {
        let kept = self.base.iter().filter(|(name, _)| !self.removed.contains(name.as_str()));
        self.live = kept.chain(&self.stored).map(|(name, entry)| (name.clone(), entry.clone())).collect();
        self
    }
}

impl<T: Resource> Entry<T> {
    fn new(name: ResourceName, written: T, revision: u64, environment: &Environment) -> Result<Self, Vec<FieldIssue>> {
        let effective = written.resolve(environment)?;
        // Credentials are masked in the content, so that the digest can't be used to guess one; the revision tells of their
        // changes.
        let digest = Sha256::digest(format!("{revision} {name} {}", json!(written)));
        let version = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { name, written, effective, version, revision })
    }

    fn check(&self, expected: &Expected) -> Result<(), Error> {
        match expected {
            Expected::Versions(versions) if !versions.contains(&self.version) => {
                let text = format!("{} '{}' has changed since it was read; read it again", T::LABEL, self.name);
                Err(Error::new(ErrorKind::Stale, text))
            }
            _ => Ok(()),
        }
    }
}

/// Reads a body over what is stored under the name, which gives the credentials that the body leaves out or masks. All that
/// is wrong is told at once.
fn read_body<T: Resource>(
    body: &Map<String, Value>,
    stored: Option<&T>,
    environment: &Environment,
    released: &[String],
) -> Result<(ResourceName, T), Error> {
    let mut complete = body.clone();
    if let Some(stored) = stored {
        keep_credentials::<T>(&mut complete, &stored.to_stored());
    }
    let (name, resource, mut issues) = read_fields::<T>(&complete);
    issues.extend(complete.iter().filter(|(_, value)| depth(value) > DEEPEST).map(|(field, _)| {
        let msg = format!("Input should be nested at most {DEEPEST} levels deep");
        FieldIssue::new("value_error", vec!["body".into(), field.as_str().into()], msg, Value::Null)
    }));
    issues.extend(refuse_masks(&Value::Object(complete), &mut vec!["body".into()]));
    let refused = refuse_references(&resource, stored, released);
    if refused.is_empty() {
        let unusable = match resource.resolve(environment) {
            Ok(effective) => effective.forbidden(environment),
            Err(unusable) => unusable,
        };
        let unusable = below(&["body".into()], unusable);
        let news: Vec<_> = unusable.into_iter().filter(|new| issues.iter().all(|old| old.loc != new.loc)).collect();
        issues.extend(news);
    }
    issues.extend(refused);
    match name {
        Some(name) if issues.is_empty() => Ok((name, resource)),
        _ => Err(Error::invalid(issues)),
    }
}

/// How deeply a field may be nested: what is stored must be readable again, some levels below the top of its file.
const DEEPEST: usize = 64;

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// What is wrong with a body in itself, whatever is stored.
fn wrong_body<T: Resource>(body: &Map<String, Value>) -> Option<Error> {
    let (_, _, issues) = read_fields::<T>(body);
    (!issues.is_empty()).then(|| Error::invalid(issues))
}

fn read_fields<T: Resource>(body: &Map<String, Value>) -> (Option<ResourceName>, T, Vec<FieldIssue>) {
    let mut fields = Fields::new(body, vec!["body".into()]);
    let (name, resource) = (read_name(&mut fields), T::read(&mut fields));
    let hide = |issue: FieldIssue| FieldIssue { input: Box::new(without_passwords("", &issue.input)), ..issue };
    (name, resource, fields.into_issues().into_iter().map(hide).collect())
}

/// A value fit to be quoted: the passwords of URLs in it are masked.
fn without_passwords(name: &str, value: &Value) -> Value {
    match value {
        Value::String(text) if name == "url" || text.contains("//") => json!(SecretUrl::new(text.as_str())),
        Value::Array(items) => items.iter().map(|item| without_passwords(name, item)).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), without_passwords(key, value))).collect(),
        other => other.clone(),
    }
}

pub(super) fn read_name(fields: &mut Fields<'_>) -> Option<ResourceName> {
    let text: String = fields.required("name");
    if fields.value("name").is_none_or(|name| !name.is_string()) {
        return None;
    }
    ResourceName::parse(&text).map_err(|expected| fields.reject("name", expected)).ok()
}

/// Puts what is stored where the body leaves a credential out, or masks it.
fn keep_credentials<T: Resource>(body: &mut Map<String, Value>, stored: &Map<String, Value>) {
    for secret in T::SECRETS {
        if !body.contains_key(*secret) {
            body.extend(stored.get(*secret).map(|value| ((*secret).to_owned(), value.clone())));
        }
    }
    unmask(body, stored);
    if let (Some(Value::String(given)), Some(Value::String(stored))) = (body.get_mut("url"), stored.get("url")) {
        *given = SecretUrl::new(given.as_str()).unmask(&SecretUrl::new(stored.as_str())).expose().to_owned();
    }
}

/// A mask that stands for nothing stored: taking it for the value itself would break the connection silently.
fn refuse_masks(value: &Value, at: &mut Vec<Segment>) -> Vec<FieldIssue> {
    let members: Vec<(Segment, &Value)> = match value {
        Value::String(text)
            if text.trim() == MASK || text.contains(&format!(":{MASK}@")) || before_mask(text).is_some() =>
        {
            let msg = "Input should be the value itself: nothing is stored that the mask could stand for";
            return vec![FieldIssue::new("value_error", at.clone(), msg, json!(MASK))];
        }
        Value::Object(map) => map.iter().map(|(key, value)| (key.as_str().into(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, item)| (Segment::Index(at), item)).collect(),
        _ => return Vec::new(),
    };
    let mut issues = Vec::new();
    for (segment, member) in members {
        at.push(segment);
        issues.extend(refuse_masks(member, at));
        at.pop();
    }
    issues
}

/// Who may use the API may not read the environment: a body refers to released variables only, or to what is stored.
fn refuse_references<T: Resource>(given: &T, stored: Option<&T>, released: &[String]) -> Vec<FieldIssue> {
    let known: Vec<_> = stored.map(Resource::references).unwrap_or_default();
    let refused = unreleased(given, released).filter(|found| !known.contains(found));
    let issue = |(loc, variable): (Vec<Segment>, String)| {
        let msg = format!("Input should not refer to {variable}, which API_REFERENCES does not name");
        FieldIssue::new("value_error", [vec!["body".into()], loc].concat(), msg, json!(format!("${{{variable}}}")))
    };
    refused.map(issue).collect()
}

/// The references to variables that callers of the API may not use, and where they stand.
fn unreleased<T: Resource>(resource: &T, released: &[String]) -> impl Iterator<Item = (Vec<Segment>, String)> {
    let is_released = |variable: &str| released.iter().any(|name| name.eq_ignore_ascii_case(variable));
    resource.references().into_iter().filter(move |(_, variable)| !is_released(variable))
}

/// A kept credential stays with the server that it was given for. So does what an unreleased variable holds: its name is
/// easily guessed.
fn keeps_to_its_server<T: Resource>(
    old: &Entry<T>,
    new: &Entry<T>,
    body: &Map<String, Value>,
    released: &[String],
) -> Result<(), Error> {
    if old.effective.origin() == new.effective.origin() {
        return Ok(());
    }
    // The body alone, without what is stored, has what the caller knows.
    let given = T::read(&mut Fields::new(body, Vec::new())).secrets();
    let kept = new.written.secrets().into_iter().find(|secret| !given.contains(secret));
    let kept = kept.map(|(field, _)| vec![field.into()]);
    match kept.or_else(|| unreleased(&new.written, released).next().map(|(at, _)| at)) {
        Some(at) => {
            let msg = "Input should be given again, or null: what is stored is not sent to another server";
            let loc = [vec!["body".into()], at].concat();
            Err(Error::invalid(vec![FieldIssue::new("value_error", loc, msg, json!(MASK))]))
        }
        None => Ok(()),
    }
}

fn taken<T: Resource>(name: &ResourceName) -> Error {
    Error::new(ErrorKind::Conflict, format!("{} '{name}' already exists", T::LABEL))
}

fn below(at: &[Segment], issues: Vec<FieldIssue>) -> Vec<FieldIssue> {
    issues.into_iter().map(|issue| FieldIssue { loc: [at, &issue.loc].concat(), ..issue }).collect()
}

use std::collections::BTreeSet;

use indexmap::IndexMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::settings::{AgentSettings, Settings, load};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Those that a variable names.
const BASE: [&str; 3] = ["c", "a", "e"];

/// What the catalog has to be, in plain lists.
#[derive(Default)]
struct Model {
    base: IndexMap<String, i64>,
    stored: IndexMap<String, i64>,
    removed: BTreeSet<String>,
}

impl Model {
    fn live(&self) -> IndexMap<String, i64> {
        let kept = self.base.iter().filter(|(name, _)| !self.removed.contains(*name));
        kept.chain(&self.stored).map(|(name, value)| (name.clone(), *value)).collect()
    }

    fn create(&mut self, name: &str, value: i64) {
        self.removed.remove(name);
        self.stored.insert(name.to_owned(), value);
    }

    fn replace(&mut self, old: &str, new: &str, value: i64) {
        if old == new && !self.stored.contains_key(old) && self.live()[old] == value {
            return;
        }
        if old != new {
            if let Some((at, _, before)) = self.stored.shift_remove_full(old) {
                self.stored.shift_insert(at, new.to_owned(), before);
            }
            self.leave(old);
        }
        self.create(new, value);
    }

    fn remove(&mut self, name: &str) {
        self.stored.shift_remove(name);
        self.leave(name);
    }

    fn leave(&mut self, name: &str) {
        if self.base.contains_key(name) {
            self.removed.insert(name.to_owned());
        }
    }
}

fn base() -> Settings {
    let entries = BASE.map(|name| (name.to_owned(), json!({"url": "http://a", "timeout_seconds": 7})));
    let entries = Value::Object(entries.into_iter().collect()).to_string();
    load(Environment::from_pairs([("EXTERNAL_AGENTS", entries)])).unwrap().settings
}

fn listed(catalog: &Catalog<AgentSettings>) -> Vec<(String, i64)> {
    assert_eq!(catalog.iter().count(), catalog.len());
    catalog.iter().map(|entry| (entry.name.to_string(), entry.effective.timeout_seconds)).collect()
}

/// The catalog as a restart has it.
fn reread(catalog: &Catalog<AgentSettings>) -> Catalog<AgentSettings> {
    let Some(text) = catalog.stored_text(&Keyring::default()).unwrap() else { return Catalog::clone(&base().agents) };
    let whole: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(text, serde_json::to_string_pretty(&whole).unwrap(), "it is written as one value would be");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agents.json");
    std::fs::write(&path, text).unwrap();
    base()
        .agents
        .with_stored(&JsonFile::read(&path).unwrap().unwrap(), &Keyring::default(), &Environment::default())
        .unwrap()
}

/// The catalog of whoever has been told these changes.
fn told(catalog: &Catalog<AgentSettings>, changes: &[StoredEntry]) -> Catalog<AgentSettings> {
    let (next, issues) = catalog.with_entries(changes, &Environment::default());
    assert_eq!(issues, []);
    next
}

fn versions(catalog: &Catalog<AgentSettings>) -> Vec<(String, String, i64)> {
    let version = |entry: &Arc<CatalogEntry<AgentSettings>>| {
        (entry.name.to_string(), entry.version.clone(), entry.effective.timeout_seconds)
    };
    catalog.iter().map(version).collect()
}

proptest! {
    #[test]
    fn a_catalog_is_what_its_changes_make_of_it(changes in proptest::collection::vec((0usize..6, 0usize..6, 5i64..9), 0..40)) {
        let (environment, any) = (Environment::default(), Precondition::default());
        let mut catalog = Catalog::clone(&base().agents);
        let mut follower = catalog.clone();
        let mut model = Model { base: BASE.map(|name| (name.to_owned(), 7)).into(), ..Model::default() };
        for (from, to, value) in changes {
            let (before, then) = (catalog.clone(), listed(&catalog));
            let (from, to) = (NAMES[from], NAMES[to]);
            let body = json!({"name": to, "url": "http://a", "timeout_seconds": value});
            let body = body.as_object().unwrap();
            let live = model.live();
            let is_taken = live.contains_key(to) && from != to;
            let changed = match live.contains_key(from) {
                _ if value == 8 => catalog.without(from, &any).inspect(|_| model.remove(from)),
                true => catalog.with_replaced(from, &any, body, &environment, &[]).map(|(next, _)| {
                    model.replace(from, to, value);
                    next
                }),
                false => catalog.with_created(body, &environment, &[]).map(|(next, _)| {
                    model.create(to, value);
                    next
                }),
            };
            match changed {
                Ok(next) => {
                    follower = told(&follower, &next.stored_since(Some(&catalog)));
                    catalog = next;
                }
                Err(error) => prop_assert!(is_taken || !live.contains_key(from) || live.contains_key(to), "{}", error),
            }
            prop_assert_eq!(listed(&before), then, "what was taken before does not change");
            let expected: Vec<_> = model.live().into_iter().collect();
            prop_assert_eq!(&listed(&catalog), &expected);
            prop_assert!(NAMES.iter().all(|name| catalog.get(name).is_some() == model.live().contains_key(*name)));
        }
        prop_assert_eq!(versions(&follower), versions(&catalog), "who is told each change knows the same");
        prop_assert_eq!(versions(&told(&base().agents, &catalog.stored_since(None))), versions(&catalog));
        prop_assert!(follower.stored_since(None).iter().all(|entry| catalog.stored_since(None).contains(entry)));
        prop_assert_eq!(catalog.stored_since(Some(&catalog)), []);
        prop_assert_eq!(listed(&reread(&catalog)), listed(&catalog));
        prop_assert_eq!(listed(&catalog.clone().rebuilt()), listed(&catalog));
    }
}

#[test]
fn what_is_stored_is_written_with_its_credentials_and_prints_none() {
    let body =
        json!({"name": "b\n", "url": "http://a", "auth_token": "a-long\"token", "metadata": {"text": "two\nlines"}});
    let mut body = body.as_object().unwrap().clone();
    assert!(base().agents.with_created(&body, &Environment::default(), &[]).is_err(), "no such name");
    body.insert("name".to_owned(), json!("b"));
    let (catalog, entry) = base().agents.with_created(&body, &Environment::default(), &[]).unwrap();
    let again = reread(&catalog);
    let again = again.get("b").unwrap();
    assert_eq!(again.effective.auth_token.as_ref().unwrap().expose(), "a-long\"token");
    assert_eq!(again.effective.metadata.text("text"), Some("two\nlines"));
    assert_eq!(again.version, entry.version);
    assert!(!format!("{catalog:?}").contains("a-long"));
    let none = catalog.without("b", &Precondition::default()).unwrap();
    assert!(listed(&reread(&none)).iter().all(|(name, _)| name != "b"));
}

#[test]
fn an_entry_that_cant_be_read_is_left_out_and_named_and_the_others_count() {
    let entry = |name: &str, position, text: &str| StoredEntry::new("agents", name, position, text);
    let entries = [
        entry("a", 0, r#"{"name": "a", "url": "nowhere"}"#),
        entry("b", 1, r#"{"name": "b", "url": "http://b"}"#),
        entry("d", 1, r#"{"name": "d", "url": "http://d"}"#),
        entry("e", 2, r#"{"name": "f", "url": "http://f"}"#),
        entry("f", 3, "{"),
        entry("c", 9, "null"),
        StoredEntry::gone("agents", "never"),
    ];
    let (catalog, issues) = base().agents.with_entries(&entries, &Environment::default());
    let places: Vec<_> = issues.iter().map(|issue| issue.to_string().chars().take(12).collect::<String>()).collect();
    assert_eq!(places, ["agents.a.url", "agents.e: is", "agents.f: ca"]);
    let names: Vec<_> = catalog.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["a", "e", "b", "d"], "those that the variable names, then two that say they stand at one place");
}

#[test]
fn what_an_entry_says_is_told_apart_from_when_it_was_written() {
    let entry = |text: &str| StoredEntry::new("agents", "a", 0, text);
    let (old, new) = (entry(r#"{"url": "http://a", "revision": 3}"#), entry(r#"{"revision":8,"url":"http://a"}"#));
    assert!(old.says_the_same(&new) && !old.says_the_same(&entry(r#"{"url": "http://b"}"#)));
    assert!(!old.says_the_same(&entry("null")) && entry("null").says_the_same(&entry("null")));
    assert!(!old.says_the_same(&StoredEntry::gone("agents", "a")));
    assert_eq!(old.stamped(8).text.unwrap().expose(), r#"{"url":"http://a","revision":8}"#);
}

#[test]
fn an_entry_is_shown_with_its_credentials_masked() {
    let entry = StoredEntry::new("agents", "a", 0, r#"{"name": "a", "url": "http://a", "auth_token": "a-long-token"}"#);
    let shown = entry.shown().unwrap();
    assert_eq!((&shown["name"], &shown["auth_token"]), (&json!("a"), &json!("********")));
    let llm = StoredEntry::new("llm", "connection", 0, r#"{"base_url": "http://a", "api_key": "a-long-token"}"#);
    assert_eq!(llm.shown(), Some(json!({"base_url": "http://a", "api_key": "********"})));
    assert_eq!(StoredEntry::new("agents", "a", 0, "null").shown(), None);
}

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
    let Some(text) = catalog.stored_text() else { return Catalog::clone(&base().agents) };
    let whole: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(text, serde_json::to_string_pretty(&whole).unwrap(), "it is written as one value would be");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agents.json");
    std::fs::write(&path, text).unwrap();
    base().agents.with_stored(&JsonFile::read(&path).unwrap().unwrap(), &Environment::default()).unwrap()
}

proptest! {
    #[test]
    fn a_catalog_is_what_its_changes_make_of_it(changes in proptest::collection::vec((0usize..6, 0usize..6, 5i64..9), 0..40)) {
        let (environment, any) = (Environment::default(), Precondition::default());
        let mut catalog = Catalog::clone(&base().agents);
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
                Ok(next) => catalog = next,
                Err(error) => prop_assert!(is_taken || !live.contains_key(from) || live.contains_key(to), "{}", error),
            }
            prop_assert_eq!(listed(&before), then, "what was taken before does not change");
            let expected: Vec<_> = model.live().into_iter().collect();
            prop_assert_eq!(&listed(&catalog), &expected);
            prop_assert!(NAMES.iter().all(|name| catalog.get(name).is_some() == model.live().contains_key(*name)));
        }
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

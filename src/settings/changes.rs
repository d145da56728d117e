use std::sync::Arc;

use serde::Serialize;

use super::{Catalog, Resource, Settings, VerifiedQuestions};
use crate::kernel::RecordedChange;

impl Settings {
    /// In what these settings differ from those `before` that can be changed through the API, as it is shown there.
    pub fn changes_since(&self, before: &Self) -> Vec<RecordedChange> {
        let mut changes = Vec::new();
        if !Arc::ptr_eq(&self.llm, &before.llm) {
            changes.push(change("llm".to_owned(), Some(before.llm.written()), Some(self.llm.written())));
        }
        changes.extend(catalog_changes(&self.agents, &before.agents));
        changes.extend(catalog_changes(&self.datasources, &before.datasources));
        changes.extend(catalog_changes(&self.tools, &before.tools));
        changes.extend(verified_changes(&self.verified, &before.verified));
        changes
    }
}

fn catalog_changes<T: Resource>(after: &Arc<Catalog<T>>, before: &Arc<Catalog<T>>) -> Vec<RecordedChange> {
    if Arc::ptr_eq(after, before) {
        return Vec::new();
    }
    let target = |name: &str| format!("{}/{name}", T::SECTION);
    let removed = before.iter().filter(|old| after.get(old.name.as_str()).is_none());
    let removed = removed.map(|old| change(target(old.name.as_str()), Some(&**old), None));
    let kept = after.iter().filter_map(|new| {
        let old = before.get(new.name.as_str());
        let is_same = old.is_some_and(|old| Arc::ptr_eq(old, new));
        (!is_same).then(|| change(target(new.name.as_str()), old.map(|old| &**old), Some(&**new)))
    });
    removed.chain(kept).collect()
}

fn verified_changes(after: &Arc<VerifiedQuestions>, before: &Arc<VerifiedQuestions>) -> Vec<RecordedChange> {
    if Arc::ptr_eq(after, before) {
        return Vec::new();
    }
    let target = |source: &str, id: &str| format!("datasources/{source}/verified/{id}");
    let removed = before.iter().filter(|(source, old)| after.find(source, &old.id).is_none());
    let removed = removed.map(|(source, old)| change(target(source, &old.id), Some(&**old), None));
    let kept = after.iter().filter_map(|(source, new)| {
        let old = before.find(source, &new.id);
        let is_same = old.is_some_and(|old| Arc::ptr_eq(old, new));
        (!is_same).then(|| change(target(source, &new.id), old.map(|old| &**old), Some(&**new)))
    });
    removed.chain(kept).collect()
}

fn change<T: Serialize>(target: String, before: Option<&T>, after: Option<&T>) -> RecordedChange {
    let shown = |value: Option<&T>| value.and_then(|value| serde_json::to_value(value).ok());
    RecordedChange { target, before: shown(before), after: shown(after) }
}

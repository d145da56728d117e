use std::sync::Arc;

use serde_json::{Map, Value};

use super::stored_entry::REVISION;
use super::{
    AgentSettings, Catalog, DataSourceSettings, Environment, LiveSection, LlmSection, Section, Settings, StoredEntry,
    ToolSettings, VerifiedQuestions,
};
use crate::kernel::{Error, FieldIssue, Secret};

/// Sections whose entries tell in which revision they were written.
const COUNTED: [&str; 3] =
    [Catalog::<AgentSettings>::NAME, Catalog::<DataSourceSettings>::NAME, Catalog::<ToolSettings>::NAME];

impl StoredEntry {
    /// The sections that entries can be of.
    pub const SECTIONS: [&str; 5] = [
        LlmSection::NAME,
        Catalog::<AgentSettings>::NAME,
        Catalog::<DataSourceSettings>::NAME,
        Catalog::<ToolSettings>::NAME,
        VerifiedQuestions::NAME,
    ];

    /// As it is written in this revision.
    pub fn stamped(self, revision: i64) -> Self {
        let is_counted = COUNTED.contains(&self.section.as_str());
        let object = if is_counted { self.read::<Map<String, Value>>().ok().flatten() } else { None };
        let Some(mut object) = object else { return self };
        object.insert(REVISION.to_owned(), revision.into());
        Self { text: Some(Secret::new(Value::Object(object).to_string())), ..self }
    }

    /// As it is shown, credentials masked; `None` if this version can't read it, or nothing is there.
    pub fn shown(&self) -> Option<Value> {
        match self.section.as_str() {
            LlmSection::NAME => LlmSection::shown(self),
            Catalog::<AgentSettings>::NAME => Catalog::<AgentSettings>::shown(self),
            Catalog::<DataSourceSettings>::NAME => Catalog::<DataSourceSettings>::shown(self),
            Catalog::<ToolSettings>::NAME => Catalog::<ToolSettings>::shown(self),
            VerifiedQuestions::NAME => VerifiedQuestions::shown(self),
            _ => None,
        }
    }
}

impl Settings {
    /// What is stored of these settings and was not the same `before`.
    pub fn stored_since(&self, before: &Self) -> Vec<StoredEntry> {
        self.stored_beside(Some(before))
    }

    /// All that is stored of these settings.
    pub fn stored_entries(&self) -> Vec<StoredEntry> {
        self.stored_beside(None)
    }

    fn stored_beside(&self, before: Option<&Self>) -> Vec<StoredEntry> {
        let mut entries = changed::<LlmSection>(self, before);
        entries.extend(changed::<Catalog<AgentSettings>>(self, before));
        entries.extend(changed::<Catalog<DataSourceSettings>>(self, before));
        entries.extend(changed::<Catalog<ToolSettings>>(self, before));
        entries.extend(changed::<VerifiedQuestions>(self, before));
        entries
    }

    /// With these in the place of what was stored under their names. Those that can't be read are left out, and are among the issues.
    pub fn with_entries(&self, entries: &[StoredEntry], environment: &Environment) -> (Self, Vec<FieldIssue>) {
        let (mut next, mut issues) = (self.clone(), Vec::new());
        put::<LlmSection>(&mut next, entries, environment, &mut issues);
        put::<Catalog<AgentSettings>>(&mut next, entries, environment, &mut issues);
        put::<Catalog<DataSourceSettings>>(&mut next, entries, environment, &mut issues);
        put::<Catalog<ToolSettings>>(&mut next, entries, environment, &mut issues);
        put::<VerifiedQuestions>(&mut next, entries, environment, &mut issues);
        (next, issues)
    }

    /// What the file of a section has of these settings; `None` if nothing is stored of it.
    pub fn file_text(&self, section: &str) -> Result<Option<String>, Error> {
        let keyring = &self.storage.keyring;
        match section {
            LlmSection::NAME => self.llm.stored_text(keyring),
            Catalog::<AgentSettings>::NAME => self.agents.stored_text(keyring),
            Catalog::<DataSourceSettings>::NAME => self.datasources.stored_text(keyring),
            Catalog::<ToolSettings>::NAME => self.tools.stored_text(keyring),
            VerifiedQuestions::NAME => self.verified.stored_text(keyring),
            _ => Ok(None),
        }
    }

    /// What is stored in files and could not be decrypted, so that it is left out.
    pub fn undecrypted(&self) -> Vec<FieldIssue> {
        let of_llm = self.llm.undecrypted().into_iter();
        let entries = of_llm.chain(self.agents.undecrypted()).chain(self.datasources.undecrypted());
        entries.chain(self.tools.undecrypted()).filter_map(StoredEntry::undecrypted).collect()
    }

    /// The count of the next change.
    pub fn next_count(&self) -> i64 {
        let counts = [self.agents.revision(), self.datasources.revision(), self.tools.revision()];
        i64::try_from(counts.into_iter().max().unwrap_or_default()).unwrap_or(i64::MAX).saturating_add(1)
    }

    /// With catalogs whose next change is counted as one after this revision.
    pub fn counting_from(&self, revision: u64) -> Self {
        let mut next = self.clone();
        next.agents = Arc::new(next.agents.counting_from(revision));
        next.datasources = Arc::new(next.datasources.counting_from(revision));
        next.tools = Arc::new(next.tools.counting_from(revision));
        next
    }
}

fn changed<S: LiveSection>(settings: &Settings, before: Option<&Settings>) -> Vec<StoredEntry> {
    let (section, before) = (S::of(settings), before.map(S::of));
    match before {
        Some(before) if Arc::ptr_eq(section, before) => Vec::new(),
        _ => section.stored_since(before.map(Arc::as_ref)),
    }
}

fn put<S: LiveSection>(
    settings: &mut Settings,
    entries: &[StoredEntry],
    environment: &Environment,
    issues: &mut Vec<FieldIssue>,
) {
    let own: Vec<_> = entries.iter().filter(|entry| entry.section == S::NAME).cloned().collect();
    if !own.is_empty() {
        let (section, wrong) = S::of(settings).with_entries(&own, environment);
        *settings = settings.with(section);
        issues.extend(wrong);
    }
}

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::stored_entry::VERIFIED;
use super::stored_json::json_text;
use super::{Catalog, DataSourceSettings, Environment, JsonFile, Keyring, Precondition, Section, StoredEntry};
use crate::kernel::{Error, ErrorKind, FieldIssue, quoted};

/// Tables that a query uses, each with those of its columns that it uses, and their types.
pub type UsedTables = BTreeMap<String, BTreeMap<String, String>>;

/// A question to a data source, and the query that somebody has found to answer it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerifiedQuestion {
    /// Its id.
    pub id: String,
    /// In plain words.
    pub question: String,
    /// In the language of the source, with `:name` parameters.
    pub query: String,
    /// The parameters by name.
    pub parameters: BTreeMap<String, VerifiedParameter>,
    /// Who has verified it.
    pub verified_by: Option<String>,
    /// When, as RFC 3339 writes it.
    pub verified_at: String,
    /// Whether the query still fits the source.
    pub status: VerifiedStatus,
    /// Why it does not.
    pub reason: Option<String>,
    /// What the query used when it was verified.
    pub tables: UsedTables,
}

/// A parameter of a verified query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VerifiedParameter {
    /// What it is, for a model that fills it.
    pub description: Option<String>,
    /// Its value where a prompt gives none.
    pub default: Option<Value>,
}

/// Whether a query still fits its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerifiedStatus {
    /// As it was verified.
    #[default]
    Verified,
    /// What it uses has changed since.
    Unverified,
}

impl VerifiedQuestion {
    /// Changes whenever it does.
    pub fn version(&self) -> String {
        let digest = Sha256::digest(serde_json::to_vec(self).unwrap_or_default());
        digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The error is that it is not as the caller expects.
    pub fn check(&self, expected: &Precondition) -> Result<(), Error> {
        match expected {
            Precondition::Versions(versions) if !versions.contains(&self.version()) => {
                let text = format!("Verified question '{}' has changed since it was read; read it again", self.id);
                Err(Error::new(ErrorKind::Stale, text))
            }
            _ => Ok(()),
        }
    }

    /// Whether its query may be used.
    pub fn is_verified(&self) -> bool {
        self.status == VerifiedStatus::Verified
    }

    /// Whether it is put in these words, whatever their case and what is between them.
    pub fn is_asked_by(&self, prompt: &str) -> bool {
        words(&self.question).eq(words(prompt))
    }

    /// The words that it is put in, in lower case.
    pub fn words(&self) -> String {
        words(&self.question).collect::<Vec<_>>().join(" ")
    }
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// The verified questions of all data sources. What is done through the API is all there is of them.
#[derive(Clone, Debug, Default)]
pub struct VerifiedQuestions {
    /// By the name of the source; none is empty.
    of_sources: BTreeMap<String, Vec<Arc<VerifiedQuestion>>>,
}

impl VerifiedQuestions {
    /// Those of a data source, in the order of their creation.
    pub fn of(&self, source: &str) -> &[Arc<VerifiedQuestion>] {
        self.of_sources.get(source).map(Vec::as_slice).unwrap_or_default()
    }

    /// All of them, each with the name of its source.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Arc<VerifiedQuestion>)> {
        self.of_sources.iter().flat_map(|(source, list)| list.iter().map(move |question| (source.as_str(), question)))
    }

    /// One of a data source.
    pub(super) fn find(&self, source: &str, id: &str) -> Option<&Arc<VerifiedQuestion>> {
        self.of(source).iter().find(|question| question.id == id)
    }

    /// One of a data source, or the error that a caller reads.
    pub fn require(&self, source: &str, id: &str) -> Result<&Arc<VerifiedQuestion>, Error> {
        let missing = || format!("Verified question {} of DataSource {} not found", quoted(id), quoted(source));
        self.find(source, id).ok_or_else(|| Error::not_found(missing()))
    }

    /// With these instead of those that the data source has.
    pub fn with(&self, source: &str, questions: Vec<Arc<VerifiedQuestion>>) -> Self {
        let mut next = self.clone();
        match questions.is_empty() {
            true => next.of_sources.remove(source),
            false => next.of_sources.insert(source.to_owned(), questions),
        };
        next
    }

    /// Those of data sources that there are, be it that they can't be decrypted. Others were left behind, and are about some other database.
    pub fn of_known(&self, sources: &Catalog<DataSourceSettings>) -> Self {
        let is_known = |source: &str| {
            sources.get(source).is_some() || sources.undecrypted().any(|undecrypted| undecrypted.name == source)
        };
        let known = self.of_sources.iter().filter(|(source, _)| is_known(source));
        Self { of_sources: known.map(|(source, list)| (source.clone(), list.clone())).collect() }
    }

    /// As they are when the data source is called `to`, or is no more.
    pub(super) fn moved(&self, from: &str, to: Option<&str>) -> Self {
        let mut next = self.with(from, Vec::new());
        if let Some(to) = to {
            next = next.with(to, self.of(from).to_vec());
        }
        next
    }
}

impl Section for VerifiedQuestions {
    const NAME: &'static str = VERIFIED;

    fn stored_text(&self, _: &Keyring) -> Result<Option<String>, Error> {
        let plain: BTreeMap<_, Vec<_>> =
            self.of_sources.iter().map(|(source, list)| (source, list.iter().map(Arc::as_ref).collect())).collect();
        Ok((!plain.is_empty()).then(|| json_text(&plain, 0)))
    }

    fn with_stored(&self, file: &JsonFile, _: &Keyring, _: &Environment) -> Result<Self, Vec<FieldIssue>> {
        let (mut next, mut issues) = (self.clone(), Vec::new());
        for (source, list) in file.object() {
            match serde_json::from_value::<Vec<VerifiedQuestion>>(list.clone()) {
                Ok(questions) => next = next.with(source, questions.into_iter().map(Arc::new).collect()),
                Err(error) => {
                    let at = vec![file.place().clone(), source.as_str().into()];
                    issues.push(FieldIssue::new("value_error", at, error.to_string(), Value::Null));
                }
            }
        }
        if issues.is_empty() { Ok(next) } else { Err(issues) }
    }

    fn stored_since(&self, before: Option<&Self>) -> Vec<StoredEntry> {
        let is_same = |source: &str, list: &[Arc<VerifiedQuestion>]| {
            let old = before.map(|before| before.of(source)).unwrap_or_default();
            old.len() == list.len() && old.iter().zip(list).all(|(old, new)| Arc::ptr_eq(old, new))
        };
        let entry = |source: &str, list: &[Arc<VerifiedQuestion>]| {
            let list: Vec<_> = list.iter().map(Arc::as_ref).collect();
            StoredEntry::new(Self::NAME, source, 0, &json_text(&list, 0))
        };
        let news = self.of_sources.iter().filter(|(source, list)| !is_same(source, list));
        let news = news.map(|(source, list)| entry(source, list));
        let old = before.into_iter().flat_map(|before| before.of_sources.keys());
        let gone = old.filter(|source| !self.of_sources.contains_key(*source));
        news.chain(gone.map(|source| StoredEntry::gone(Self::NAME, source))).collect()
    }

    fn with_entries(&self, entries: &[StoredEntry], _: &Environment) -> (Self, Vec<FieldIssue>) {
        let (mut next, mut issues) = (self.clone(), Vec::new());
        for entry in entries {
            let questions = entry.read::<Vec<VerifiedQuestion>>().unwrap_or_else(|issue| {
                issues.push(issue);
                None
            });
            let questions = questions.unwrap_or_default().into_iter().map(Arc::new).collect();
            next = next.with(&entry.name, questions);
        }
        (next, issues)
    }

    fn shown(entry: &StoredEntry) -> Option<Value> {
        let questions = entry.read().ok().flatten()?;
        Some(Value::Object(Map::from_iter([("questions".to_owned(), questions)])))
    }
}

//! Selection: which agents, data sources and tools serve a request. What it names is looked up, the rest is chosen from
//! what is enabled.

pub(super) mod agents;
pub(super) mod callables;
pub(super) mod datasources;
pub(super) mod functions;
pub(super) mod model_choice;
pub(super) mod targets;
pub(super) mod tools;

use std::sync::Arc;

use serde_json::Value;

use super::intent::Intent;
use crate::kernel::{Error, FieldIssue, Lenient, Properties};
use crate::settings::{Catalog, CatalogEntry, Resource};

/// What a choice comes to. That a request names what doesn't exist is an error of its own: the caller's fault.
#[derive(Debug)]
pub(super) enum Selection<T> {
    /// This serves.
    Use(T),
    /// Nothing does, for a reason that the answer is told.
    Unavailable(String),
}

impl<T> Selection<T> {
    pub(super) fn map<U>(self, convert: impl FnOnce(T) -> U) -> Selection<U> {
        match self {
            Self::Use(chosen) => Selection::Use(convert(chosen)),
            Self::Unavailable(why) => Selection::Unavailable(why),
        }
    }
}

/// The resource that a request names in this field of its metadata.
fn named<T: Resource>(catalog: &Catalog<T>, name: &str, field: &str) -> Result<Selection<Arc<CatalogEntry<T>>>, Error> {
    match catalog.get(name) {
        Some(entry) if entry.effective.enabled() => Ok(Selection::Use(entry.clone())),
        Some(_) => Ok(Selection::Unavailable(format!("{} '{name}' is disabled", T::LABEL))),
        None => Err(unknown::<T>(name, field)),
    }
}

fn unknown<T: Resource>(name: &str, field: &str) -> Error {
    let loc = vec!["body".into(), "metadata".into(), field.into()];
    let msg = format!("Input should name one of the {}: there is no '{name}'", T::SECTION);
    Error::invalid(vec![FieldIssue::new("value_error", loc, msg, Value::String(name.to_owned()))])
}

/// Whether the `intents` of a resource list this one.
fn serves(properties: &Properties, intent: Intent) -> bool {
    let intents = properties.expose().get("intents").and_then(|intents| Vec::<String>::read(intents).ok());
    intents.unwrap_or_default().iter().any(|label| label == intent.as_str())
}

/// Whether a resource is marked as the one to take where nothing else decides.
fn is_default(properties: &Properties) -> bool {
    properties.expose().get("default") == Some(&Value::Bool(true))
}

/// Those that serve the intent, if there are any; else all.
fn preferred<T>(enabled: Vec<T>, serves: impl Fn(&T) -> bool) -> Vec<T> {
    let (serving, others): (Vec<_>, Vec<_>) = enabled.into_iter().partition(serves);
    if serving.is_empty() { others } else { serving }
}

use serde_json::{Map, Value};

use crate::kernel::Lenient;

/// Characters of a query.
pub(super) const MAX_QUERY_CHARS: usize = 1000;
/// Results that may be asked for.
pub(super) const MAX_RESULTS: usize = 50;

/// What is searched for.
#[derive(Debug)]
pub(super) struct SearchQuery {
    pub(super) text: String,
    /// How many results are wanted.
    pub(super) wanted: usize,
    filters: Map<String, Value>,
}

impl SearchQuery {
    /// The query that the arguments, which fit the schema, hold.
    pub(super) fn read(arguments: &Map<String, Value>, default: usize) -> Result<Self, String> {
        let text = arguments.get("query").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
        if text.is_empty() {
            return Err("query: should not be empty".to_owned());
        }
        let number = arguments.get("max_results").and_then(|number| i64::read(number).ok());
        let number = number.and_then(|number| usize::try_from(number).ok());
        let filters = arguments.get("filters").and_then(Value::as_object).cloned().unwrap_or_default();
        Ok(Self { text, wanted: number.unwrap_or(default).clamp(1, MAX_RESULTS), filters })
    }

    /// A query for this text and nothing else.
    pub(super) fn for_text(text: &str) -> Self {
        Self { text: text.to_owned(), wanted: 1, filters: Map::new() }
    }

    /// A filter, if it was given.
    pub(super) fn filter(&self, name: &str) -> Option<&str> {
        self.filters.get(name)?.as_str()
    }
}

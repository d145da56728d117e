use serde_json::{Map, Value, json};

use crate::kernel::Lenient;

/// Characters of a query.
const MAX_QUERY_CHARS: usize = 1000;
/// Results that may be asked for.
const MAX_RESULTS: usize = 50;

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
    pub(super) fn filter(&self, name: &str) -> Option<String> {
        self.filters.get(name)?.as_str().map(str::to_owned)
    }
}

/// The JSON schema of the arguments, with the filters that the engine has and no others.
pub(super) fn schema(filters: &[&str], time_ranges: &[&str], default: usize) -> Value {
    let mut filters: Map<_, _> = filters.iter().map(|name| ((*name).to_owned(), filter(name))).collect();
    if !time_ranges.is_empty() {
        let range = json!({"type": "string", "enum": time_ranges, "description": "Only what is at most this old"});
        filters.insert("time_range".to_owned(), range);
    }
    json!({
        "type": "object",
        "properties": {
            "query": {"type": "string", "minLength": 1, "maxLength": MAX_QUERY_CHARS, "description": "What to search for"},
            "max_results": {"type": "integer", "minimum": 1, "maximum": MAX_RESULTS, "default": default,
                "description": "How many results are wanted"},
            "filters": {"type": "object", "description": "Narrows the search", "properties": filters, "additionalProperties": false},
        },
        "required": ["query"],
        "additionalProperties": false,
    })
}

fn filter(name: &str) -> Value {
    let text =
        |pattern: &str, description: &str| json!({"type": "string", "pattern": pattern, "description": description});
    match name {
        "language" => text("^[a-zA-Z]{2,3}(-[a-zA-Z]{2,4})?$", "Language of the results, such as en"),
        "country" => text("^[a-zA-Z]{2}$", "Country of the results, such as us"),
        "site" => text("^[A-Za-z0-9.-]{1,253}$", "Only pages of this site, such as example.com"),
        _ => {
            json!({"type": "string", "enum": ["off", "moderate", "strict"], "description": "How much indecent content is left out"})
        }
    }
}

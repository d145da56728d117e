use serde_json::{Map, Value, json};

use super::provider::Provider;
use super::query::{MAX_QUERY_CHARS, MAX_RESULTS};

/// The JSON schema of the arguments: it names the filters that the engine has, and no others, so that a model does not believe
/// in one that nobody heeds.
pub(super) fn schema(provider: &Provider, default: usize) -> Value {
    let mut filters: Map<_, _> = provider.filters.iter().map(|name| ((*name).to_owned(), filter(name))).collect();
    if !provider.time_ranges.is_empty() {
        let range =
            json!({"type": "string", "enum": provider.time_ranges, "description": "Only what is at most this old"});
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

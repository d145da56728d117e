//! What a 422 has to say, and to whom: a list where the original has one, or else a text that people can read.

use serde_json::Value;

/// What pydantic says of a field that is missing or of another type. The original's models know nothing else.
const ORIGINAL_KINDS: [&str; 13] = [
    "missing",
    "json_invalid",
    "model_attributes_type",
    "string_type",
    "int_type",
    "int_parsing",
    "int_from_float",
    "float_type",
    "float_parsing",
    "bool_type",
    "bool_parsing",
    "dict_type",
    "list_type",
];

/// What the original declares: where, and which fields of the query and the body.
const DECLARED: [(&str, &[&str]); 14] = [
    (
        "/api/llm/config",
        &[
            "body.base_url",
            "body.default_model",
            "body.api_key",
            "body.timeout_seconds",
            "body.max_retries",
            "body.temperature",
            "body.max_tokens",
        ],
    ),
    ("/api/llm/test", &["body.prompt", "body.model"]),
    ("/api/agents/{name}/call", &["query.endpoint"]),
    ("/api/agents", AGENT),
    ("/api/agents/{name}", AGENT),
    ("/api/datasources/{name}/test", &["query.skip_connectivity"]),
    ("/api/datasources/{name}/query", &["body.query", "body.parameters"]),
    ("/api/datasources", SOURCE),
    ("/api/datasources/{name}", SOURCE),
    ("/api/tools/{name}/test", &["query.skip_connectivity"]),
    ("/api/tools", TOOL),
    ("/api/tools/{name}", TOOL),
    ("/api/monitoring/logs", &["query.limit"]),
    ("/v1/chat", &["body.prompt", "body.user_id", "body.metadata"]),
];
const AGENT: &[&str] =
    &["body.name", "body.url", "body.auth_token", "body.timeout_seconds", "body.enabled", "body.metadata"];
const SOURCE: &[&str] =
    &["body.name", "body.type", "body.url", "body.auth_token", "body.timeout_seconds", "body.enabled", "body.config"];
const TOOL: &[&str] = &["body.name", "body.type", "body.config", "body.enabled", "body.description"];
/// In the original, a message comes in the query; one in the body lacks that, which is a list as well.
const MEMORY: &[&str] =
    &["query.role", "query.content", "query.limit", "query.max_tokens", "body.role", "body.content", "body.metadata"];

/// Whether the original's own validation refuses this, with a list; on routes that it has not, whether it would.
pub fn is_raised_by_original(path: &str, kind: &str, place: &str) -> bool {
    let path = path.split('?').next().unwrap();
    let is_own = path.starts_with("/v1/executions") || path.contains("/verified") || path.ends_with("/execute");
    let is_declared = is_own || path == "/api/chat/evaluate" || place == "body" || {
        let fields = if path.starts_with("/api/memory/") { MEMORY } else { declared(path) };
        fields.contains(&place)
    };
    is_declared && ORIGINAL_KINDS.contains(&kind)
}

fn declared(path: &str) -> &'static [&'static str] {
    let mut parts: Vec<_> = path.split('/').collect();
    if parts.len() > 3 && ["agents", "datasources", "tools"].contains(&parts[2]) {
        parts[3] = "{name}";
    }
    let path = parts.join("/");
    DECLARED.iter().find(|(known, _)| *known == path).map_or(&[], |(_, fields)| fields)
}

/// What the `detail` of a 422 is: `a list`, `a text`, or what is wrong with it.
pub fn describe(body: &Value) -> String {
    let errors = body["errors"].as_array().filter(|errors| !errors.is_empty());
    let Some(errors) = errors else { return "nothing in errors".to_owned() };
    let is_issue = |issue: &Value| issue["type"].is_string() && issue["loc"].is_array() && issue["msg"].is_string();
    if !errors.iter().all(is_issue) {
        return format!("no list of issues: {errors:?}");
    }
    match &body["detail"] {
        list @ Value::Array(_) if *list == body["errors"] => "a list".to_owned(),
        Value::String(text) => unreadable(text, &field(&errors[0])).unwrap_or_else(|| "a text".to_owned()),
        other => format!("{other}"),
    }
}

/// The last part of the place of an issue that has a name: what a person knows the field by.
fn field(issue: &Value) -> String {
    let mut keys = issue["loc"].as_array().unwrap().iter().filter_map(Value::as_str);
    keys.next_back().unwrap_or("body").chars().take(30).collect()
}

/// Why a person could not read this text, or would not know what it is about.
pub fn unreadable(text: &str, field: &str) -> Option<String> {
    let why = if text.trim().is_empty() {
        "nothing"
    } else if text.chars().count() > 200 {
        "too long"
    } else if !text.to_lowercase().contains(&field.to_lowercase()) {
        "the field is not named"
    } else if text.contains(['{', '}', '\n']) || ["Input should", "[\"", "\":"].iter().any(|part| text.contains(part)) {
        "not in words"
    } else {
        return None;
    };
    Some(format!("{why}: {text} ({field})"))
}

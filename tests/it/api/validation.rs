//! Everything a client can get wrong, endpoint by endpoint: each mistake is refused, named, and leaves no trace. And the
//! other side of it: what the original was lenient about is still accepted.

use std::fmt;

use serde_json::{Value, json};

use crate::common::refusals::{describe, is_raised_by_original};
use crate::common::{Answer, Client, TestServer, Upstream};

const CONFIG: &str = "/api/llm/config";
const TEST: &str = "/api/llm/test";
const MESSAGE: &str = "/api/memory/ada/message";
const CHAT: &str = "/v1/chat";
/// The places that read a body, and how.
const WITH_BODY: [(&str, &str); 4] = [("PUT", CONFIG), ("POST", TEST), ("POST", MESSAGE), ("POST", CHAT)];

/// One request that must be refused, and what must be said about it.
pub struct Bad {
    method: &'static str,
    path: String,
    content_type: Option<&'static str>,
    body: Vec<u8>,
    refusal: Refusal,
}

pub enum Refusal {
    /// 422 with exactly these issues: pydantic's type, and the place with dots.
    Issues(Vec<(&'static str, &'static str)>),
    /// Another status, and its text.
    Detail(u16, String),
}

impl Bad {
    pub fn raw(method: &'static str, path: impl Into<String>, body: impl Into<Vec<u8>>, refusal: Refusal) -> Self {
        Self { method, path: path.into(), content_type: Some("application/json"), body: body.into(), refusal }
    }

    /// A JSON body with one wrong field.
    pub fn json(method: &'static str, path: &str, body: &Value, kind: &'static str, place: &'static str) -> Self {
        Self::raw(method, path, body.to_string(), Refusal::Issues(vec![(kind, place)]))
    }

    /// A request without a body whose path or query is wrong in one place.
    pub fn bare(method: &'static str, path: impl Into<String>, kind: &'static str, place: &'static str) -> Self {
        Self { content_type: None, ..Self::raw(method, path, "", Refusal::Issues(vec![(kind, place)])) }
    }

    async fn send(&self, client: &Client) -> Answer {
        let mut request = client.request(self.method, &self.path);
        if let Some(kind) = self.content_type {
            request = request.header("content-type", kind);
        }
        if !self.body.is_empty() {
            request = request.body(self.body.clone());
        }
        Answer::of(request).await
    }

    /// The reply as it should be, in the terms of [`told`].
    fn expected(&self) -> Value {
        let (status, detail, errors) = match &self.refusal {
            Refusal::Detail(status, text) => (*status, json!(text), Value::Null),
            Refusal::Issues(issues) => {
                let is_raised = |(kind, place): &(&str, &str)| is_raised_by_original(&self.path, kind, place);
                let detail = if issues.iter().any(is_raised) { "a list" } else { "a text" };
                let issue = |(kind, place): &(&str, &str)| self.issue(kind, place);
                (422, json!(detail), issues.iter().map(issue).collect())
            }
        };
        let members: &[_] = match status {
            422 => &["detail", "errors", "code", "request_id"],
            _ => &["detail", "code", "request_id"],
        };
        let code = match status {
            400 => "bad_request",
            404 => "not_found",
            405 => "method_not_allowed",
            409 => "conflict",
            413 => "payload_too_large",
            415 => "unsupported_media_type",
            _ => "validation_error",
        };
        json!({"status": status, "members": members, "code": code, "same_id": true, "detail": detail, "errors": errors})
    }

    fn issue(&self, kind: &str, place: &str) -> Value {
        if kind == "json_invalid" {
            return json!({"type": kind, "loc": ["body", "offset"], "input": {}});
        }
        let loc: Vec<_> = place.split('.').collect();
        let input = match loc[0] {
            "query" => self.query_value(loc[1], kind),
            "body" => self.body_value(&loc[1..], kind),
            _ => Value::Null,
        };
        json!({"type": kind, "loc": loc, "input": input})
    }

    fn query_value(&self, name: &str, kind: &str) -> Value {
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        let last = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name).last();
        last.filter(|_| kind != "missing").map_or(Value::Null, |(_, value)| json!(value))
    }

    /// What stands in the body there; for a missing field, the object it is missing from. Credentials are not quoted.
    fn body_value(&self, keys: &[&str], kind: &str) -> Value {
        if matches!(keys, ["api_key" | "auth_token"]) {
            return json!("********");
        }
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let keys = if kind == "missing" { &keys[..keys.len().saturating_sub(1)] } else { keys };
        let mut value = keys.iter().fold(body, |value, key| value[key].clone());
        // A URL that is no good may hold a secret.
        if matches!(keys, ["base_url" | "url"])
            && let Some(url) = value.as_str()
        {
            let secrets = [":pw@", "//ada@", "?key=x", "?password=hidden"];
            let shown = [":********@", "//********@", "?key=********", "?password=********"];
            value = secrets
                .iter()
                .zip(shown)
                .fold(url.to_owned(), |url, (secret, shown)| url.replace(secret, shown))
                .into();
        }
        for name in ["api_key", "auth_token"] {
            if let Some(key) = value.get_mut(name) {
                *key = json!("********");
            }
        }
        value
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shorten = |text: &str| text.chars().take(120).collect::<String>();
        let kind = self.content_type.unwrap_or("-");
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "{} {} [{kind}] {}", self.method, shorten(&self.path), shorten(&body))
    }
}

/// What a refusal says, less the wording of messages, the offset in malformed JSON and the value of a path parameter.
fn told(answer: &Answer) -> Value {
    let body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let members: Vec<_> = body.as_object().into_iter().flat_map(|object| object.keys()).collect();
    let id = answer.headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let detail = if answer.status == 422 { json!(describe(&body)) } else { body["detail"].clone() };
    let errors = match &body["errors"] {
        Value::Array(issues) => issues.iter().map(told_issue).collect(),
        other => other.clone(),
    };
    let same_id = !id.is_empty() && body["request_id"] == id;
    json!({"status": answer.status, "members": members, "code": body["code"], "same_id": same_id, "detail": detail, "errors": errors})
}

fn told_issue(issue: &Value) -> Value {
    let (kind, mut loc, mut input) = (&issue["type"], issue["loc"].clone(), issue["input"].clone());
    let silent = issue["msg"].as_str().is_none_or(str::is_empty);
    if silent || (kind == "json_invalid" && issue["ctx"]["error"].as_str().is_none_or(str::is_empty)) {
        return json!({"says nothing": issue});
    }
    if kind == "json_invalid" && loc[1].is_u64() {
        loc[1] = json!("offset");
    }
    if loc[0] == "path" {
        input = Value::Null;
    }
    json!({"type": kind, "loc": loc, "input": input})
}

/// Sends all rows, and lists those that were not refused as they should be.
pub async fn send_all(client: &Client, rows: &[Bad]) -> Vec<String> {
    let mut wrong = vec![];
    for row in rows {
        let answer = row.send(client).await;
        let (expected, got) = (row.expected(), told(&answer));
        if expected != got {
            wrong.push(format!("{row}\n  expected {expected}\n  got      {got}\n"));
        }
    }
    wrong
}

/// All that a request could have left behind.
async fn traces(client: &Client) -> Value {
    let mut left = json!({});
    let paths = [CONFIG, "/v1/executions", "/api/memory/ada/history", "/api/memory/default/history"];
    for path in paths {
        left[path] = client.get(path).await.expect(200);
    }
    left
}

/// One wrong field in each configuration. Nulls are not among them: there they keep the value.
fn config_rows() -> Vec<Bad> {
    let rows = [
        (json!({"base_url": 5}), "string_type", "body.base_url"),
        (json!({"base_url": ["http://a"]}), "string_type", "body.base_url"),
        (json!({"base_url": {"url": "http://a"}}), "string_type", "body.base_url"),
        (json!({"base_url": "localhost:11434"}), "value_error", "body.base_url"),
        (json!({"base_url": "models.example/v1"}), "value_error", "body.base_url"),
        (json!({"base_url": "//models.example"}), "value_error", "body.base_url"),
        (json!({"base_url": "ftp://models.example"}), "value_error", "body.base_url"),
        (json!({"base_url": "file:///etc/passwd"}), "value_error", "body.base_url"),
        (json!({"base_url": "http://ada:pw@models.example"}), "value_error", "body.base_url"),
        (json!({"base_url": "http://ada@models.example"}), "value_error", "body.base_url"),
        (json!({"base_url": "http://models.example/v1?key=x"}), "value_error", "body.base_url"),
        (json!({"base_url": "http://models.example/v1#top"}), "value_error", "body.base_url"),
        (json!({"base_url": "http://"}), "value_error", "body.base_url"),
        (json!({"base_url": "http://models example"}), "value_error", "body.base_url"),
        (json!({"base_url": "http://[::1"}), "value_error", "body.base_url"),
        (json!({"base_url": "http://models.example:99999"}), "value_error", "body.base_url"),
        (json!({"base_url": "http:models.example"}), "value_error", "body.base_url"),
        (json!({"base_url": "http:/models.example"}), "value_error", "body.base_url"),
        (json!({"base_url": "http://models\n.example"}), "value_error", "body.base_url"),
        (json!({"base_url": "http://models.example/v1\u{0}"}), "value_error", "body.base_url"),
        (json!({"base_url": "${MISSING}"}), "value_error", "body.base_url"),
        (json!({"default_model": 5}), "string_type", "body.default_model"),
        (json!({"default_model": ["m"]}), "string_type", "body.default_model"),
        (json!({"default_model": "${MISSING}"}), "value_error", "body.default_model"),
        (json!({"api_key": 5}), "string_type", "body.api_key"),
        (json!({"api_key": true}), "string_type", "body.api_key"),
        (json!({"api_key": "two words"}), "value_error", "body.api_key"),
        (json!({"api_key": "two\nlines"}), "value_error", "body.api_key"),
        (json!({"api_key": "nul\u{0}byte"}), "value_error", "body.api_key"),
        (json!({"api_key": "schlüssel"}), "value_error", "body.api_key"),
        (json!({"api_key": "${MISSING}"}), "value_error", "body.api_key"),
        (json!({"timeout_seconds": 0}), "greater_than_equal", "body.timeout_seconds"),
        (json!({"timeout_seconds": -5}), "greater_than_equal", "body.timeout_seconds"),
        (json!({"timeout_seconds": "-5"}), "greater_than_equal", "body.timeout_seconds"),
        (json!({"timeout_seconds": 3601}), "less_than_equal", "body.timeout_seconds"),
        (json!({"timeout_seconds": 1e300}), "int_parsing_size", "body.timeout_seconds"),
        (json!({"timeout_seconds": u64::MAX}), "int_parsing_size", "body.timeout_seconds"),
        (json!({"timeout_seconds": 1.5}), "int_from_float", "body.timeout_seconds"),
        (json!({"timeout_seconds": "1.5"}), "int_parsing", "body.timeout_seconds"),
        (json!({"timeout_seconds": "abc"}), "int_parsing", "body.timeout_seconds"),
        (json!({"timeout_seconds": ""}), "int_parsing", "body.timeout_seconds"),
        (json!({"timeout_seconds": "99999999999999999999"}), "int_parsing_size", "body.timeout_seconds"),
        (json!({"timeout_seconds": [30]}), "int_type", "body.timeout_seconds"),
        (json!({"timeout_seconds": {}}), "int_type", "body.timeout_seconds"),
        (json!({"max_retries": -1}), "greater_than_equal", "body.max_retries"),
        (json!({"max_retries": 11}), "less_than_equal", "body.max_retries"),
        (json!({"max_retries": "often"}), "int_parsing", "body.max_retries"),
        (json!({"temperature": -0.1}), "greater_than_equal", "body.temperature"),
        (json!({"temperature": 2.1}), "less_than_equal", "body.temperature"),
        (json!({"temperature": 1e300}), "less_than_equal", "body.temperature"),
        (json!({"temperature": "hot"}), "float_parsing", "body.temperature"),
        (json!({"temperature": "NaN"}), "finite_number", "body.temperature"),
        (json!({"temperature": "inf"}), "finite_number", "body.temperature"),
        (json!({"temperature": []}), "float_type", "body.temperature"),
        (json!({"max_tokens": 0}), "greater_than_equal", "body.max_tokens"),
        (json!({"max_tokens": -1}), "greater_than_equal", "body.max_tokens"),
        (json!({"max_tokens": "many"}), "int_parsing", "body.max_tokens"),
        (json!({"max_tokens": 0.5}), "int_from_float", "body.max_tokens"),
        (json!({"provider": "azure"}), "enum", "body.provider"),
        (json!({"provider": 5}), "enum", "body.provider"),
        (json!({"fallback_models": 5}), "list_type", "body.fallback_models"),
        (json!({"fallback_models": {"a": "b"}}), "list_type", "body.fallback_models"),
        (json!({"fallback_models": ["a", 5]}), "list_type", "body.fallback_models"),
        (json!({"fallback_models": [null]}), "list_type", "body.fallback_models"),
    ];
    rows.iter().map(|(body, kind, place)| Bad::json("PUT", CONFIG, body, kind, place)).collect()
}

fn test_rows() -> Vec<Bad> {
    let rows = [
        (json!({"prompt": 5}), "string_type", "body.prompt"),
        (json!({"prompt": null}), "string_type", "body.prompt"),
        (json!({"prompt": ["Hello"]}), "string_type", "body.prompt"),
        (json!({"model": 5}), "string_type", "body.model"),
        (json!({"model": {"name": "m"}}), "string_type", "body.model"),
    ];
    rows.iter().map(|(body, kind, place)| Bad::json("POST", TEST, body, kind, place)).collect()
}

fn chat_rows() -> Vec<Bad> {
    let long = "x".repeat(257);
    let with = |name: &str, value: Value| json!({"prompt": "Hello", name: value});
    let rows = [
        (json!({}), "missing", "body.prompt"),
        (json!({"user_id": "ada", "message": "Hello"}), "missing", "body.prompt"),
        (json!({"api_key": "sk-1", "more": 5}), "missing", "body.prompt"),
        (json!({"prompt": null}), "string_type", "body.prompt"),
        (json!({"prompt": 5}), "string_type", "body.prompt"),
        (json!({"prompt": true}), "string_type", "body.prompt"),
        (json!({"prompt": ["Hello"]}), "string_type", "body.prompt"),
        (json!({"prompt": {"text": "Hello"}}), "string_type", "body.prompt"),
        (with("user_id", json!(5)), "string_type", "body.user_id"),
        (with("user_id", json!(["ada"])), "string_type", "body.user_id"),
        (with("user_id", json!("ada\u{0}")), "value_error", "body.user_id"),
        (with("user_id", json!("ada\nroot")), "value_error", "body.user_id"),
        (with("user_id", json!("ada\u{7f}")), "value_error", "body.user_id"),
        (with("user_id", json!("config")), "value_error", "body.user_id"),
        (with("user_id", json!("health")), "value_error", "body.user_id"),
        (with("user_id", json!(long)), "value_error", "body.user_id"),
        (with("metadata", json!([])), "dict_type", "body.metadata"),
        (with("metadata", json!("web")), "dict_type", "body.metadata"),
        (with("metadata", json!(5)), "dict_type", "body.metadata"),
        (with("metadata", json!({"intent": 5})), "enum", "body.metadata.intent"),
        (with("metadata", json!({"intent": "small_talk"})), "enum", "body.metadata.intent"),
        (with("metadata", json!({"use_cache": "maybe"})), "bool_parsing", "body.metadata.use_cache"),
        (with("metadata", json!({"use_cache": 2})), "bool_parsing", "body.metadata.use_cache"),
        (with("metadata", json!({"use_cache": []})), "bool_type", "body.metadata.use_cache"),
        (with("metadata", json!({"model": 5})), "string_type", "body.metadata.model"),
        (with("metadata", json!({"model": ["m"]})), "string_type", "body.metadata.model"),
        (with("stream", json!("maybe")), "bool_parsing", "body.stream"),
        (with("stream", json!(2)), "bool_parsing", "body.stream"),
        (with("stream", json!({})), "bool_type", "body.stream"),
    ];
    rows.iter().map(|(body, kind, place)| Bad::json("POST", CHAT, body, kind, place)).collect()
}

fn message_rows() -> Vec<Bad> {
    let whole = |name: &str, value: Value| {
        let mut message = json!({"role": "user", "content": "Hello"});
        message[name] = value;
        message
    };
    let bodies = [
        (json!({"content": "Hello"}), "missing", "body.role"),
        (json!({"role": "user"}), "missing", "body.content"),
        (whole("role", json!(5)), "string_type", "body.role"),
        (whole("role", json!(null)), "string_type", "body.role"),
        (whole("content", json!(5)), "string_type", "body.content"),
        (whole("content", json!(null)), "string_type", "body.content"),
        (whole("content", json!(["Hello"])), "string_type", "body.content"),
        (whole("metadata", json!([])), "dict_type", "body.metadata"),
        (whole("metadata", json!("web")), "dict_type", "body.metadata"),
        (whole("metadata", json!(false)), "dict_type", "body.metadata"),
    ];
    let mut rows: Vec<_> =
        bodies.iter().map(|(body, kind, place)| Bad::json("POST", MESSAGE, body, kind, place)).collect();
    let by_query = format!("{MESSAGE}?role=user&content=Hello");
    rows.extend([
        Bad::bare("POST", format!("{MESSAGE}?role=user"), "missing", "query.content"),
        Bad::bare("POST", format!("{MESSAGE}?content=Hello"), "missing", "query.role"),
        Bad::json("POST", &by_query, &json!(["web"]), "dict_type", "body"),
        Bad::json("POST", &by_query, &json!("web"), "dict_type", "body"),
        Bad::json("POST", &by_query, &json!(5), "dict_type", "body"),
        // The body is read before the role is judged.
        Bad::raw("POST", format!("{MESSAGE}?role=robot&content=x"), "{", json_invalid()),
    ]);
    let unknown = || Refusal::Detail(400, "Role must be one of: user, assistant, system".to_owned());
    rows.extend(["robot", "User", "tool", "", "user%20"].map(|role| {
        let path = format!("{MESSAGE}?role={role}&content=Hello");
        Bad::raw("POST", path, "", unknown())
    }));
    rows.push(Bad::raw("POST", MESSAGE, whole("role", json!("robot")).to_string(), unknown()));
    rows
}

fn query_rows() -> Vec<Bad> {
    let history = [
        ("-1", "greater_than_equal"),
        ("abc", "int_parsing"),
        ("1.5", "int_parsing"),
        ("", "int_parsing"),
        ("1e1", "int_parsing"),
        ("+5", "int_parsing"),
        ("5%20", "int_parsing"),
        ("0x10", "int_parsing"),
        ("99999999999999999999", "int_parsing_size"),
        ("5&limit=-1", "greater_than_equal"),
    ];
    let context = [("-1", "greater_than_equal"), ("abc", "int_parsing"), ("100000001", "less_than_equal")];
    let page = [
        ("0", "greater_than_equal"),
        ("201", "less_than_equal"),
        ("-1", "greater_than_equal"),
        ("x", "int_parsing"),
        ("", "int_parsing"),
        ("1.5", "int_parsing"),
    ];
    let status = [("unknown", "value_error"), ("Completed", "value_error"), ("", "value_error")];
    let rows = |path: &str, place, values: &[(&str, &'static str)]| -> Vec<Bad> {
        values.iter().map(|(value, kind)| Bad::bare("GET", format!("{path}={value}"), kind, place)).collect()
    };
    [
        rows("/api/memory/ada/history?limit", "query.limit", &history),
        rows("/api/memory/ada/context?max_tokens", "query.max_tokens", &context),
        rows("/v1/executions?limit", "query.limit", &page),
        rows("/v1/executions?status", "query.status", &status),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// User ids that no path of the memory module takes, and paths that name nothing.
fn path_rows() -> Vec<Bad> {
    let long = "x".repeat(257);
    let long_umlauts = "%C3%BC".repeat(257);
    let users = [
        "config",
        "health",
        "%00",
        "ada%00",
        "%0A",
        "ada%0Aroot",
        "%7F",
        "%C2%85",
        &long,
        &long_umlauts,
        "%FF",
        "a%C3",
    ];
    let mut rows = vec![];
    for user in users {
        let path = |rest: &str| format!("/api/memory/{user}{rest}");
        let bad = |method, rest| Bad::bare(method, path(rest), "value_error", "path.user_id");
        rows.extend(["/history", "/context", "/summary", "/stats"].map(|rest| bad("GET", rest)));
        rows.push(bad("POST", "/message?role=user&content=Hello"));
        if !matches!(user, "config" | "health") {
            rows.push(bad("DELETE", ""));
        }
    }
    let detail = |method, path: &str, status, text: &str| Bad {
        content_type: None,
        ..Bad::raw(method, path, "", Refusal::Detail(status, text.to_owned()))
    };
    rows.extend([
        // The module's own paths stand here.
        detail("DELETE", "/api/memory/config", 405, "Method Not Allowed"),
        detail("DELETE", "/api/memory/health", 405, "Method Not Allowed"),
        Bad::bare("GET", "/api/memory//history", "value_error", "path.user_id"),
        Bad::bare("POST", "/api/memory//message?role=user&content=x", "value_error", "path.user_id"),
        detail("DELETE", "/api/memory/", 404, "Not Found"),
        detail("GET", "/api//llm/config", 404, "Not Found"),
        detail("GET", "/API/llm/config", 404, "Not Found"),
        detail("GET", "/v1/executions/nope", 404, "Execution 'nope' not found"),
        detail("GET", "/v1/executions/a%2Fb", 404, "Execution 'a/b' not found"),
        detail("GET", "/v1/executions/%00", 404, "Execution '\u{0}' not found"),
        Bad::bare("GET", "/v1/executions/%FF", "value_error", "path.id"),
        detail("PATCH", CONFIG, 405, "Method Not Allowed"),
        detail("GET", CHAT, 405, "Method Not Allowed"),
    ]);
    rows
}

fn json_invalid() -> Refusal {
    Refusal::Issues(vec![("json_invalid", "body")])
}

/// Bodies that are no JSON, or not the JSON of an object, everywhere a body is read.
pub fn body_rows(places: &[(&'static str, &str)]) -> Vec<Bad> {
    let malformed: [&[u8]; 15] = [
        b"{",
        b"{\"prompt\": \"Hel",
        b"{\"prompt\": \"Hello\"",
        b"{\"prompt\": \"Hello\"} and more",
        b"{\"prompt\": \"Hello\"}{}",
        b"{\"prompt\": \"Hello\",}",
        b"{\"prompt\" \"Hello\"}",
        b"{'prompt': 'Hello'}",
        b"{prompt: \"Hello\"}",
        b"{\"temperature\": 01}",
        b"{\"prompt\": \"\\x41\"}",
        b"{\"prompt\": \"line\nbreak\"}",
        b"{\"prompt\": \"\xff\"}",
        b"prompt=Hello",
        b" ",
    ];
    // To Python, this is JSON.
    let beyond_json: [(&[u8], _, _); 4] = [
        (b"{\"temperature\": NaN}", "finite_number", "body.temperature"),
        (b"{\"temperature\": -Infinity}", "finite_number", "body.temperature"),
        (b"{\"temperature\": 1e400}", "finite_number", "body.temperature"),
        (b"{\"prompt\": \"\\ud800\"}", "string_unicode", "body.prompt"),
    ];
    let issue = |kind| Refusal::Issues(vec![(kind, "body")]);
    let too_deep = "There was an error parsing the body: nested more than 127 levels deep";
    let mut rows = vec![];
    for &(method, path) in places {
        rows.extend(malformed.map(|body| Bad::raw(method, path, body, json_invalid())));
        let found = |(body, kind, place)| Bad::raw(method, path, body, Refusal::Issues(vec![(kind, place)]));
        rows.extend(beyond_json.map(found));
        let deep = ["[".repeat(5000), "{\"a\":".repeat(5000), format!("{}{}", "[".repeat(5000), "]".repeat(5000))];
        rows.extend(deep.map(|body| Bad::raw(method, path, body, Refusal::Detail(400, too_deep.to_owned()))));
        let other_types = ["text/plain", "application/x-www-form-urlencoded", "text/json", "application/xml", "json"];
        rows.extend(other_types.map(|kind| {
            let refusal = Refusal::Detail(415, "Content-Type should be application/json".to_owned());
            Bad { content_type: Some(kind), ..Bad::raw(method, path, "{\"prompt\": \"Hello\"}", refusal) }
        }));
        if path == MESSAGE {
            let both = || Refusal::Issues(vec![("missing", "query.role"), ("missing", "query.content")]);
            rows.extend(["", "null"].map(|body| Bad::raw(method, path, body, both())));
            let all = || {
                let issues = [("missing", "query.role"), ("missing", "query.content"), ("dict_type", "body")];
                Refusal::Issues(issues.to_vec())
            };
            let others = ["[]", "[{\"role\": \"user\"}]", "\"Hello\"", "5"];
            rows.extend(others.map(|body| Bad::raw(method, path, body, all())));
        } else {
            rows.extend(["", "null"].map(|body| Bad::raw(method, path, body, issue("missing"))));
            let others = ["[]", "[{\"prompt\": \"Hello\"}]", "\"Hello\"", "5", "true"];
            rows.extend(others.map(|body| Bad::raw(method, path, body, issue("model_attributes_type"))));
        }
    }
    rows
}

#[tokio::test]
async fn whatever_is_wrong_is_refused_and_named_and_leaves_no_trace() {
    let llm = Upstream::saying("You should not have got here.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let before = traces(&server).await;
    assert_eq!(before["/v1/executions"]["count"], 0);

    let tables =
        [config_rows(), test_rows(), chat_rows(), message_rows(), query_rows(), path_rows(), body_rows(&WITH_BODY)];
    let rows: Vec<Bad> = tables.into_iter().flatten().collect();
    assert!(rows.len() >= 70, "{} rows", rows.len());
    let wrong = send_all(&server, &rows).await;
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert_eq!(traces(&server).await, before, "something was stored");
    assert_eq!(llm.seen().len(), 0, "the LLM was asked");
    let server = server.restart().await;
    assert_eq!(traces(&server).await, before, "something was stored that shows after a restart");
}

#[tokio::test]
async fn every_problem_of_a_request_is_told_at_once_in_the_order_of_the_fields() {
    let llm = Upstream::saying("You should not have got here.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let before = traces(&server).await;
    let row = |method, path: &str, body: Value, issues: &[(&'static str, &'static str)]| {
        Bad::raw(method, path, body.to_string(), Refusal::Issues(issues.to_vec()))
    };
    let config = json!({"fallback_models": 5, "provider": "x", "max_tokens": 0, "temperature": "hot", "max_retries": 11,
        "timeout_seconds": 1.5, "api_key": [], "default_model": 5, "base_url": {}});
    let all_of_config = [
        ("string_type", "body.base_url"),
        ("string_type", "body.default_model"),
        ("string_type", "body.api_key"),
        ("int_from_float", "body.timeout_seconds"),
        ("less_than_equal", "body.max_retries"),
        ("float_parsing", "body.temperature"),
        ("greater_than_equal", "body.max_tokens"),
        ("enum", "body.provider"),
        ("list_type", "body.fallback_models"),
    ];
    let chat = json!({"metadata": {"intent": "x", "use_cache": "maybe", "model": 5}, "stream": "maybe", "user_id": 5});
    let all_of_chat = [
        ("missing", "body.prompt"),
        ("string_type", "body.user_id"),
        ("bool_parsing", "body.stream"),
        ("enum", "body.metadata.intent"),
        ("bool_parsing", "body.metadata.use_cache"),
        ("string_type", "body.metadata.model"),
    ];
    let test = json!({"model": 5, "prompt": null});
    let all_of_test = [("string_type", "body.prompt"), ("string_type", "body.model")];
    let message = json!({"content": 5, "metadata": []});
    let all_of_message = [("missing", "body.role"), ("string_type", "body.content"), ("dict_type", "body.metadata")];
    let query = "/v1/executions?status=x&cursor=0&limit=0";
    let all_of_query = [("value_error", "query.status"), ("greater_than_equal", "query.limit")];
    let half_a_message = format!("{MESSAGE}?role=user");
    let query_before_body = [("missing", "query.content"), ("dict_type", "body")];
    let url = json!({"base_url": "ftp://a", "timeout_seconds": 0});
    let url_and_more = [("value_error", "body.base_url"), ("greater_than_equal", "body.timeout_seconds")];
    let rows = [
        row("PUT", CONFIG, config, &all_of_config),
        row("PUT", CONFIG, url, &url_and_more),
        row("POST", CHAT, chat, &all_of_chat),
        row("POST", TEST, test, &all_of_test),
        row("POST", MESSAGE, message, &all_of_message),
        row("POST", MESSAGE, json!(null), &[("missing", "query.role"), ("missing", "query.content")]),
        row("POST", &half_a_message, json!([]), &query_before_body),
        Bad::raw("GET", query, "", Refusal::Issues(all_of_query.to_vec())),
    ];
    let wrong = send_all(&server, &rows).await;
    assert_eq!(traces(&server).await, before);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_wrong_field_beside_right_ones_changes_none_of_them() {
    let server = TestServer::with(&[("LLM_BASE_URL", "http://127.0.0.1:9"), ("LLM_API_KEY", "k")]).await;
    let before = server.get(CONFIG).await.expect(200);
    let right = json!({"default_model": "m", "temperature": 0.1, "timeout_seconds": 30});
    let wrong = [("max_retries", json!(11)), ("base_url", json!("ftp://a")), ("base_url", json!("http://elsewhere"))];
    for (name, value) in wrong {
        let mut body = right.clone();
        body[name] = value;
        server.put(CONFIG, &body).await.expect(422);
        assert_eq!(server.get(CONFIG).await.expect(200), before, "{name}");
    }
    server.put(CONFIG, &right).await.expect(200);
    assert_eq!(server.get(CONFIG).await.expect(200)["default_model"], "m");
}

#[tokio::test]
async fn a_key_does_not_follow_the_url_to_another_server() {
    let server = TestServer::with(&[("LLM_BASE_URL", "http://127.0.0.1:9"), ("LLM_API_KEY", "k")]).await;
    let before = traces(&server).await;
    let moved = json!({"base_url": "http://127.0.0.1:10"});
    let rows = [Bad::json("PUT", CONFIG, &moved, "value_error", "body.api_key")];
    assert_eq!(send_all(&server, &rows).await, [""; 0]);
    assert_eq!(traces(&server).await, before);
    server.put(CONFIG, &json!({"base_url": "http://127.0.0.1:9/v1"})).await.expect(200);
    server.put(CONFIG, &json!({"base_url": "http://127.0.0.1:10", "api_key": "other"})).await.expect(200);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_everywhere_and_one_at_the_limit_is_not() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[("MAX_BODY_BYTES", "200")]).await;
    let before = traces(&server).await;
    let padded = |text: &str, size: usize| format!("{text}{}", " ".repeat(size - text.len()));
    let valid = [
        ("PUT", CONFIG, r#"{"default_model": "m"}"#),
        ("POST", TEST, r#"{"prompt": "Hello"}"#),
        ("POST", MESSAGE, r#"{"role": "user", "content": "Hello"}"#),
        ("POST", CHAT, r#"{"prompt": "Hello"}"#),
    ];
    let refusal = || Refusal::Detail(413, "The body is larger than MAX_BODY_BYTES allows".to_owned());
    let rows = valid.map(|(method, path, text)| Bad::raw(method, path, padded(text, 201), refusal()));
    assert_eq!(send_all(&server, &rows).await, [""; 0]);
    // Not even when the client does not say how much will come.
    for row in &rows {
        let pieces: Vec<_> = row.body.chunks(50).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let request = server.request(row.method, &row.path).header("content-type", "application/json").body(body);
        assert_eq!(told(&Answer::of(request).await), row.expected(), "{row}, in pieces");
    }
    assert_eq!(traces(&server).await, before);
    assert_eq!(llm.seen().len(), 0);
    for (method, path, text) in valid {
        let request = server.request(method, path).header("content-type", "application/json").body(padded(text, 200));
        Answer::of(request).await.expect(200);
    }
}

#[tokio::test]
async fn a_stream_that_is_asked_for_wrongly_is_refused_like_any_other_request() {
    let llm = Upstream::saying("You should not have got here.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    for body in [json!({"prompt": 5}), json!({"prompt": 5, "stream": true})] {
        let request = server.request("POST", CHAT).header("accept", "text/event-stream").body(body.to_string());
        let answer = Answer::of(request).await;
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.expect(422)["errors"][0]["loc"], json!(["body", "prompt"]));
    }
    assert_eq!(server.get("/v1/executions").await.expect(200)["count"], 0);
}

#[tokio::test]
async fn configuration_is_read_as_leniently_as_ever() {
    let server = TestServer::bare().await;
    let accepted = [
        (r#"{"timeout_seconds": "30"}"#, "timeout_seconds", json!(30)),
        (r#"{"timeout_seconds": 2.0}"#, "timeout_seconds", json!(2)),
        (r#"{"timeout_seconds": "+5"}"#, "timeout_seconds", json!(5)),
        (r#"{"timeout_seconds": "07"}"#, "timeout_seconds", json!(7)),
        (r#"{"timeout_seconds": "1_0"}"#, "timeout_seconds", json!(10)),
        (r#"{"timeout_seconds": "6.0"}"#, "timeout_seconds", json!(6)),
        (r#"{"timeout_seconds": 3600}"#, "timeout_seconds", json!(3600)),
        (r#"{"timeout_seconds": null}"#, "timeout_seconds", json!(3600)),
        (r#"{"max_retries": true}"#, "max_retries", json!(1)),
        (r#"{"max_retries": 0}"#, "max_retries", json!(0)),
        (r#"{"temperature": "0.5"}"#, "temperature", json!(0.5)),
        (r#"{"temperature": 2}"#, "temperature", json!(2.0)),
        (r#"{"temperature": 0}"#, "temperature", json!(0.0)),
        (r#"{"temperature": 0.1, "temperature": 0.2}"#, "temperature", json!(0.2)),
        (r#"{"max_tokens": "2048"}"#, "max_tokens", json!(2048)),
        (r#"{"max_tokens": ""}"#, "max_tokens", json!(null)),
        (r#"{"provider": "OpenAI"}"#, "provider", json!("openai")),
        (r#"{"fallback_models": "a, b"}"#, "fallback_models", json!(["a", "b"])),
        (r#"{"base_url": " http://127.0.0.1:9/v1/ "}"#, "base_url", json!("http://127.0.0.1:9/v1/")),
        (r#"{"base_url": "HTTP://127.0.0.1:9"}"#, "base_url", json!("HTTP://127.0.0.1:9")),
        (r#"{"default_model": "modèle:ü"}"#, "default_model", json!("modèle:ü")),
    ];
    for (body, name, value) in accepted {
        let request = server.request("PUT", CONFIG).header("content-type", "application/json").body(body);
        let answer = Answer::of(request).await;
        assert_eq!((answer.status, &answer.json()["config"][name]), (200, &value), "{body}");
        assert_eq!(server.get(CONFIG).await.expect(200)[name], value, "{body}");
    }
    // What a GUI adds of its own is neither refused nor kept.
    let before = server.get(CONFIG).await;
    let more = json!({"id": "llm_1", "name": "mine", "is_local": true, "status": {"connected": false}});
    assert_eq!(server.put(CONFIG, &more).await.expect(200)["config"], before.expect(200));
    assert_eq!(server.get(CONFIG).await.text, before.text);
}

#[tokio::test]
async fn a_body_may_have_a_byte_order_mark_no_content_type_or_one_that_ends_in_json() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let plain = r#"{"prompt": "Hello"}"#;
    let json = Some("application/json");
    let nested = format!(r#"{{"prompt": "Hello", "more": {}1{}}}"#, "[".repeat(100), "]".repeat(100));
    let bodies = [
        (json, format!("\u{feff}{plain}")),
        (None, plain.to_owned()),
        (None, format!("\u{feff}{plain}")),
        (Some("application/vnd.api+json"), plain.to_owned()),
        (Some("application/json; charset=utf-8"), plain.to_owned()),
        (Some("Application/JSON"), plain.to_owned()),
        (json, format!(" \n{plain}\n")),
        (json, r#"{"prompt": 5, "prompt": "Hello"}"#.to_owned()),
        (json, nested),
    ];
    for (kind, body) in &bodies {
        let mut request = server.request("POST", CHAT).body(body.clone());
        if let Some(kind) = kind {
            request = request.header("content-type", *kind);
        }
        assert_eq!(Answer::of(request).await.expect(200)["answer"], "Hi.", "{kind:?} {body}");
    }
    let history = server.get("/api/memory/default/history").await.expect(200);
    let asked = history["messages"].as_array().unwrap().iter().filter(|message| message["content"] == "Hello").count();
    assert_eq!(asked, bodies.len());
}

#[tokio::test]
async fn chat_takes_words_and_numbers_for_booleans_and_ignores_what_it_does_not_know() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[("MEMORY_ENABLED", "false")]).await;
    let ask = async |body: Value| server.post(CHAT, &body).await.expect(200)["metadata"]["cached"].clone();
    assert_eq!(ask(json!({"prompt": "?"})).await, false);
    for yes in [json!("yes"), json!("Y"), json!("on"), json!("t"), json!("1"), json!(1), json!(true), json!(null)] {
        assert_eq!(ask(json!({"prompt": "?", "metadata": {"use_cache": yes}})).await, true, "{yes}");
    }
    for no in [json!("no"), json!("N"), json!("OFF"), json!("f"), json!("0"), json!(0), json!(0.0), json!(false)] {
        assert_eq!(ask(json!({"prompt": "?", "metadata": {"use_cache": no}})).await, false, "{no}");
        assert_eq!(ask(json!({"prompt": "?", "stream": no})).await, true, "{no}");
    }
    let unknown = json!({"prompt": "?", "user_id": null, "metadata": null, "temperature": "hot", "messages": 5});
    assert_eq!(ask(unknown).await, true);
    assert_eq!(ask(json!({"prompt": ""})).await, false, "an empty prompt is a prompt");
    assert_eq!(ask(json!({"prompt": "?", "user_id": "ü".repeat(256)})).await, true, "256 characters, not bytes");
    let events = server.chat_events(&json!({"prompt": "?", "stream": "yes"})).await;
    assert_eq!(events.last().unwrap().event, "answer");
}

#[tokio::test]
async fn query_parameters_are_read_as_leniently_as_ever() {
    let server = TestServer::bare().await;
    for number in 0..12 {
        let path = format!("{MESSAGE}?role=robot&role=user&content=no&content=Number+{number}&unknown=%FF");
        server.post(&path, &json!({"number": number})).await.expect(200);
    }
    let history = server.get("/api/memory/ada/history").await.expect(200);
    let newest = &history["messages"][0];
    assert_eq!((&newest["content"], &newest["metadata"]), (&json!("Number 11"), &json!({"number": 11})));
    let limits = [
        ("5", 5),
        ("%2B5", 5),
        ("05", 5),
        ("1_0", 10),
        ("5.0", 5),
        ("1&limit=3", 3),
        ("abc&limit=4", 4),
        ("2&unknown=x", 2),
        ("0", 12),
        ("9223372036854775807", 12),
    ];
    for (limit, count) in limits {
        let path = format!("/api/memory/ada/history?limit={limit}");
        assert_eq!(server.get(&path).await.expect(200)["count"], count, "{path}");
    }
    assert_eq!(server.get("/api/memory/ada/context?max_tokens=0").await.expect(200)["message_count"], 0);
    for query in ["limit=0200", "limit=0&limit=1", "status=x&status=failed", "user_id=%00", "page=x"] {
        server.get(&format!("/v1/executions?{query}")).await.expect(200);
    }
    let empty = server.post("/api/memory/bob/message?role=user&content=", &json!(null)).await;
    assert_eq!(empty.expect(200)["role"], "user");
}

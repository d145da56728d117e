//! The OpenAPI document is as strict as the server: whatever value is tried for a member of a body or for a parameter, the server
//! refuses it if, and only if, the document does. What is tried comes from the document itself: its bounds, names and
//! examples, and what lies just beyond; and from a list of what clients send by mistake.

use std::collections::BTreeSet;

use jsonschema::Validator;
use orchestrator_studio::app::openapi_document;
use serde_json::{Value, json};

use crate::common::{Answer, TestServer};

/// One of each, called like every path parameter here.
const RESOURCES: [(&str, &str); 3] = [
    ("EXTERNAL_AGENTS", r#"{"ada": {"url": "http://127.0.0.1:9"}}"#),
    ("DATASOURCES", r#"{"ada": {"type": "api", "url": "http://127.0.0.1:9"}}"#),
    ("TOOLS", r#"{"ada": {"type": "unknown"}}"#),
];

/// What no schema can tell: the operation, the place that the server objects to, and the rule.
const BEYOND: [(&str, &str, &str); 7] = [
    ("chat", "agent", "is one that there is"),
    ("chat", "datasource", "is one that there is"),
    ("chat", "tool", "is one that there is"),
    ("chat", "tools", "are those that there are"),
    ("chat", "tool_params", "belongs to a tool, which has to be named"),
    ("create_tool", "command", "has to be in MCP_STDIO_COMMANDS, and there unless a URL is"),
    ("call_agent", "timeout_seconds", "is at most the agent's own"),
];

struct Document {
    document: Value,
}

/// An operation: method, path, specification.
type Operation = (String, String, Value);

impl Document {
    fn read() -> Self {
        Self { document: serde_json::to_value(openapi_document()).unwrap() }
    }

    fn operations(&self) -> Vec<Operation> {
        let paths = self.document["paths"].as_object().unwrap().iter();
        let operations = paths.flat_map(|(path, item)| {
            let verbs = item.as_object().unwrap().iter();
            verbs.map(move |(verb, spec)| (verb.to_uppercase(), path.clone(), spec.clone()))
        });
        operations.collect()
    }

    fn operation(&self, id: &str) -> Operation {
        self.operations().into_iter().find(|(.., spec)| spec["operationId"] == id).unwrap()
    }

    fn body_schema(&self, spec: &Value) -> Value {
        let schema = &spec["requestBody"]["content"]["application/json"]["schema"];
        match schema["$ref"].as_str() {
            Some(target) => self.document.pointer(target.trim_start_matches('#')).unwrap().clone(),
            None => schema.clone(),
        }
    }
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

/// The path with `ada` for every parameter but this one.
fn filled(path: &str, parameter: &str, value: &str) -> String {
    let path = path.replace(&format!("{{{parameter}}}"), value);
    ["{user_id}", "{name}", "{id}"].iter().fold(path, |path, other| path.replace(other, "ada"))
}

/// What is worth trying where this schema stands.
fn probes(schema: &Value) -> Vec<Value> {
    let mut all = BTreeSet::new();
    collect(schema, &mut all);
    let usual = json!([
        null, true, false, 0, 1, 2, -1, 5, 0.5, 1.5, 5.0, 1e300, "", " ", "x", "5", "05", "+5", "5.0", "-1", "1.5", "0.7",
        "true", "YES", "off", "maybe", "2", "ü", "a b", "a\nb", "\u{0}", "a/b", "a\u{85}", "..", "${HOME}", "config", "health",
        "http://localhost:9001", "https://api.example.com/v1/", "HTTP://127.0.0.1", "http://[::1]:8080/x", "http://a:99999",
        "http://", "http://u:p@a", "http://a?x=1", "http://a#f", "http:/a", "ftp://a", "localhost:8000", "http://a b", "//a",
        "http://a\\b", "http://1.2.3.999", "http://a.1", "http://a/x@y", "http://[::1]/x@y", "http://a:80/x@y", "http://a/b:c@d", "http://a:80/b", "mongodb://u:p/w@h", "mongodb://u@h/x", "mongodb://u:p@h/x",
        "postgres://u:p%40w@db/x%2Fy?application_name=a%20b&charset=utf8", "postgres://u:p/w@db/x", "postgres://db?socket=/x",
        "postgres://u:p@db:5432/x?sslmode=require", "postgres://db/x?x=1",
        "postgres://", "mysql://u@db/x", "sqlite:data.db", "mongodb://h/db", "mongodb://h/?password=x", "/execute", "/a/../b",
        "/%2e%2E/x", "a?b=..", "a\\b", "a#b", "x://y", [], ["a"], ["a", "b"], [1], [["a"]], ["a\nb"], {}, {"a": 1}, {"a": "b"},
        {"Accept": "*/*"}, {"X-A": "b"}, {"Host": "a"}, {"a b": "c"}, {"X-A": "b\n"}, {"PATH": "/x"}, {"LD_PRELOAD": "x"}, {"": ""}
    ]);
    let of_drivers = [
        "postgres://db/x?sslmode=perhaps",
        "postgresql+asyncpg://u:p@db/x?connection_limit=1&channel_binding=require",
        "jdbc:postgresql://db/x",
        "mysql+srv://db/x",
        "mysql+pymysql://u:p@db/x?charset=utf8mb4",
        "mysql2://db/x",
        "sqlite+aiosqlite:///x.db",
        "postgres://u:%ff@db/x",
        "postgres://a:1,b:2/x",
        "postgres://db/x#y",
    ];
    all.extend(of_drivers.map(|url| json!(url).to_string()));
    all.extend(usual.as_array().unwrap().iter().map(Value::to_string));
    all.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

/// Values at and just beyond every bound in the schema, its names and its examples.
fn collect(schema: &Value, all: &mut BTreeSet<String>) {
    let mut add = |value: Value| all.insert(value.to_string());
    for bound in
        ["minimum", "maximum"].iter().filter_map(|key| schema[*key].as_f64()).filter(|bound| bound.abs() < 1e15)
    {
        for value in [bound - 1.0, bound - 0.01, bound, bound + 0.01, bound + 1.0] {
            add(json!(value));
            add(json!(value.to_string()));
            if value.fract() == 0.0 {
                add(json!(value as i64));
            }
        }
    }
    for length in ["minLength", "maxLength"].iter().filter_map(|key| schema[*key].as_u64()) {
        let length = usize::try_from(length).unwrap();
        for text in
            ["ü".repeat(length), "a".repeat(length + 1), format!("http://{}", "a".repeat(length.saturating_sub(7)))]
        {
            add(json!(text));
        }
    }
    let listed = ["enum", "examples"].iter().filter_map(|key| schema[*key].as_array()).flatten();
    for value in listed.cloned().chain(schema.get("default").cloned()) {
        if let Some(text) = value.as_str() {
            for other in [text.to_uppercase(), format!(" {text} "), format!("{text},{text}"), format!("{text}x")] {
                add(json!(other));
            }
            add(json!([text]));
        }
        add(value);
    }
    match schema {
        Value::Object(members) => members.values().for_each(|member| collect(member, all)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, all)),
        _ => {}
    }
}

/// What the answer to a request that is right or wrong by the document has to do with it.
fn fault(id: &str, what: &str, tried: &Value, is_right: bool, answer: &Answer) -> Option<String> {
    let is_refused = matches!(answer.status, 400 | 422);
    if is_refused != is_right {
        return (answer.status >= 500 && answer.status != 503)
            .then(|| format!("{id}: {what} = {tried}: {}", answer.text));
    }
    let beyond =
        |(operation, place, _): &&(&str, &str, &str)| *operation == id && answer.text.contains(&format!("\"{place}\""));
    // Only pages give cursors.
    if is_right && id == "list_executions" && answer.status == 400 {
        return None;
    }
    let refers = answer.text.contains("which API_REFERENCES does not name");
    if is_right && (refers || BEYOND.iter().any(|rule| beyond(&rule))) {
        return None;
    }
    // The document asks for the ASCII form of a host's name, while the server knows the other one, too.
    if !is_right && what.ends_with("/allowed_hosts") && !tried.to_string().is_ascii() {
        return None;
    }
    let claim = if is_right { "right" } else { "wrong" };
    Some(format!("{id}: {what} = {tried} is {claim} by the document, but gets {}: {}", answer.status, answer.text))
}

/// An operation, and the schema of its body.
struct Tried {
    operation: Operation,
    schema: Validator,
}

/// A member of a body: where it stands, and its schema.
struct Member {
    place: String,
    schema: Value,
}

/// Tries everything for one member of a body.
async fn try_member(server: &TestServer, tried: &Tried, base: &Value, member: &Member) -> Vec<String> {
    let (method, path, spec) = &tried.operation;
    let (id, place) = (spec["operationId"].as_str().unwrap(), member.place.as_str());
    let mut faults = Vec::new();
    for value in &probes(&member.schema) {
        let mut body = base.clone();
        let (parent, name) = place.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(name.to_owned(), value.clone());
        let request = server.request(method, &filled(path, "", "")).header("content-type", "application/json");
        let answer = Answer::of(request.body(body.to_string())).await;
        faults.extend(fault(id, place, value, tried.schema.is_valid(&body), &answer));
    }
    faults
}

/// The members of an object, and those of the objects in it that steer the server.
fn members(schema: &Value) -> Vec<Member> {
    let properties = |schema: &Value| -> Vec<(String, Value)> {
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        properties.into_iter().collect()
    };
    let mut all = Vec::new();
    for (name, schema) in properties(schema) {
        let inner = [vec![schema.clone()], schema["anyOf"].as_array().cloned().unwrap_or_default()].concat();
        let below = inner.iter().flat_map(properties);
        let below = below.map(|(below, schema)| Member { place: format!("/{name}/{below}"), schema });
        all.extend(below);
        all.push(Member { place: format!("/{name}"), schema });
    }
    all
}

fn assert_none(faults: &[String]) {
    let shown: Vec<_> = faults.iter().take(60).map(|fault| fault.chars().take(400).collect::<String>()).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), shown.join("\n"));
}

async fn try_body(id: &str, bases: &[Value]) {
    let (document, server) = (Document::read(), TestServer::with(&RESOURCES).await);
    let operation = document.operation(id);
    let schema = document.body_schema(&operation.2);
    let variants = schema["oneOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
    let tried = Tried { operation, schema: validator(&schema) };
    let (mut faults, mut found) = (Vec::new(), 0);
    for base in bases {
        let variant = variants.iter().find(|variant| jsonschema::is_valid(variant, base));
        let variant = variant.unwrap_or_else(|| panic!("{id}: the document does not allow {base}"));
        for member in members(variant) {
            faults.extend(try_member(&server, &tried, base, &member).await);
            found += 1;
        }
    }
    assert!(found >= bases.len(), "{id}: only {found} members were found");
    assert_none(&faults);
}

#[tokio::test]
async fn the_llm_connection_takes_what_the_document_says() {
    try_body("put_llm_config", &[json!({"base_url": "http://127.0.0.1:9", "api_key": ""})]).await;
    try_body("test_llm", &[json!({})]).await;
}

#[tokio::test]
async fn an_agent_takes_what_the_document_says() {
    try_body("create_agent", &[json!({"name": "a", "url": "http://127.0.0.1:9"})]).await;
}

#[tokio::test]
async fn a_data_source_takes_what_the_document_says() {
    let of = |kind: &str, url: &str| json!({"name": "a", "type": kind, "url": url, "config": {}});
    let bases = [
        of("postgres", "postgres://u:p@127.0.0.1:9/x"),
        of("mysql", "mysql://u:p@127.0.0.1:9/x"),
        of("sqlite", "sqlite:x.db"),
        of("api", "http://127.0.0.1:9"),
        of("mongodb", "mongodb://127.0.0.1:9/x"),
    ];
    try_body("create_datasource", &bases).await;
}

#[tokio::test]
async fn a_tool_takes_what_the_document_says() {
    let kinds = ["http_request", "web_search", "code_executor", "mcp", "unknown"];
    try_body("create_tool", &kinds.map(|kind| json!({"name": "a", "type": kind, "config": {}}))).await;
}

#[tokio::test]
async fn a_question_takes_what_the_document_says() {
    try_body("chat", &[json!({"prompt": "Hello", "metadata": {}})]).await;
}

#[tokio::test]
async fn messages_queries_and_executions_take_what_the_document_says() {
    try_body("add_message", &[json!({"role": "user", "content": "Hello"})]).await;
    try_body("query_datasource", &[json!({"query": "{}"})]).await;
    try_body("execute_tool", &[json!({"arguments": {}})]).await;
}

/// Values as a query has them.
fn as_text(schema: &Validator, value: &Value) -> Option<(String, bool)> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_i64() => number.to_string(),
        Value::Bool(boolean) => boolean.to_string(),
        _ => return None,
    };
    let is_right = schema.is_valid(value) || schema.is_valid(&json!(text));
    Some((text, is_right))
}

#[tokio::test]
async fn every_query_parameter_takes_what_the_document_says() {
    let (document, server) = (Document::read(), TestServer::with(&RESOURCES).await);
    let mut faults = Vec::new();
    for (method, path, spec) in document.operations() {
        let parameters = spec["parameters"].as_array().cloned().unwrap_or_default();
        // A reply that follows the log has no end, and a message may be in the query or in the body.
        let is_other = |name: &Value| name == "follow" || spec["operationId"] == "add_message";
        for parameter in parameters.iter().filter(|one| one["in"] == "query" && !is_other(&one["name"])) {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            let validator = validator(schema);
            for (text, is_right) in probes(schema).iter().filter_map(|value| as_text(&validator, value)) {
                let query = form_urlencoded::Serializer::new(String::new()).append_pair(name, &text).finish();
                let request = server.request(&method, &format!("{}?{query}", filled(&path, "", "")));
                let body = spec.get("requestBody").map(|_| "{}").unwrap_or_default();
                let answer = Answer::of(request.header("content-type", "application/json").body(body)).await;
                let id = spec["operationId"].as_str().unwrap();
                faults.extend(fault(id, name, &json!(text), is_right, &answer));
            }
        }
    }
    assert_none(&faults);
}

#[tokio::test]
async fn every_path_takes_the_names_that_the_document_says() {
    let (document, server) = (Document::read(), TestServer::bare().await);
    let mut faults = Vec::new();
    let operations = document.operations();
    for (_, path, spec) in operations.iter().filter(|(method, ..)| method == "GET") {
        for parameter in spec["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "path") {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            let validator = validator(schema);
            // Clients resolve dots, and leave out what is empty.
            let usable = |text: &&str| !text.is_empty() && !matches!(*text, "." | "..");
            for text in probes(schema).iter().filter_map(Value::as_str).filter(usable) {
                let encoded =
                    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
                let answer = server.get(&filled(path, name, &encoded)).await;
                let id = spec["operationId"].as_str().unwrap();
                faults.extend(fault(id, name, &json!(text), validator.is_valid(&json!(text)), &answer));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn what_is_tried_lies_on_both_sides_of_every_bound() {
    let tried = probes(&json!({"minimum": 1, "maximum": 3}));
    assert!([0, 1, 3, 4].iter().all(|n| tried.contains(&json!(n))));
}

//! The prompts of `tests/routing`, and what they are asked of: a company with 30 tables, two agents and four tools, and a clinic with 18
//! tables, two agents and two tools.

use std::process::Stdio;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::databases::{self, TestDatabase, variable};
use super::upstream::{json_reply, openai, openai_calls};
use super::{Act, Seen, TestServer, Upstream};

const CASES: &str = include_str!("../../routing/cases.json");
/// Prompts that routing was not written for. Kinds of failures that the first showed have been mended since; nothing has been mended by
/// the second.
const HOLDOUTS: [(&str, &str); 2] = [
    ("first unseen set", include_str!("../../routing/holdout.json")),
    ("second unseen set", include_str!("../../routing/holdout2.json")),
];
const SETUPS: &str = include_str!("../../routing/setups.json");

/// One prompt and what it should reach.
#[derive(Clone, Debug)]
pub struct RoutingCase {
    pub prompt: String,
    pub expect: Vec<String>,
    /// What it is an example of: `plain`, `data`, `agent`, `tool`, `compound` or `none`.
    pub group: String,
    pub language: String,
}

/// The prompts of one set-up: `company` or `demo`.
pub fn cases(setup: &str) -> Vec<RoutingCase> {
    cases_of(CASES, setup)
}

/// The prompts of one set-up that routing was not written for, `company` or `clinic`, by the names of their sets.
pub fn holdouts(setup: &str) -> [(&'static str, Vec<RoutingCase>); 2] {
    HOLDOUTS.map(|(set, file)| (set, cases_of(file, setup)))
}

fn cases_of(file: &str, setup: &str) -> Vec<RoutingCase> {
    let text = |case: &Value, key: &str| case[key].as_str().unwrap().to_owned();
    let all: Vec<Value> = serde_json::from_str(file).unwrap();
    let of_setup = all.iter().filter(|case| case["setup"] == setup);
    of_setup
        .map(|case| RoutingCase {
            prompt: text(case, "prompt"),
            expect: case["expect"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
            group: text(case, "group"),
            language: text(case, "language"),
        })
        .collect()
}

/// The database of a set-up on the real PostgreSQL.
pub async fn database(setup: &str) -> TestDatabase {
    let schema = match setup {
        "company" => include_str!("../../routing/schema.sql"),
        "clinic" => include_str!("../../routing/clinic.sql"),
        _ => panic!("{setup} has no database"),
    };
    databases::postgres(&[schema]).await
}

/// The variables that configure a set-up: its database, agents and tools; what they call answers nothing of use.
pub fn configured(setup: &str, database: &TestDatabase, elsewhere: &Upstream) -> Vec<(&'static str, String)> {
    let setups: Value = serde_json::from_str(SETUPS).unwrap();
    let setup = &setups[setup];
    let with = |section: &str, set: &dyn Fn(&mut Map<String, Value>)| {
        let mut entries = setup[section].as_object().unwrap().clone();
        for entry in entries.values_mut() {
            set(entry.as_object_mut().unwrap());
        }
        Value::Object(entries).to_string()
    };
    let url = json!(elsewhere.url());
    let sources = with("datasources", &|entry| drop(entry.insert("url".to_owned(), json!(database.reader_url))));
    let agents = with("agents", &|entry| drop(entry.insert("url".to_owned(), url.clone())));
    let tools = with("tools", &|entry| {
        let key = match entry["type"].as_str() {
            Some("http_request") => "base_url",
            Some("web_search") => "endpoint",
            _ => return,
        };
        let config = entry.entry("config").or_insert_with(|| json!({}));
        config.as_object_mut().unwrap().insert(key.to_owned(), url.clone());
    });
    vec![
        ("DATASOURCES", sources),
        ("EXTERNAL_AGENTS", agents),
        ("TOOLS", tools),
        ("GROUNDING_REFRESH_SECONDS", "300".to_owned()),
    ]
}

/// An LLM that calls, of the functions it is offered, those of the targets that the prompt should reach; one that takes no functions
/// names them in JSON. So it shows what routing puts before a model that chooses well.
pub async fn scripted(cases: Vec<RoutingCase>, takes_functions: bool) -> Upstream {
    Upstream::start(move |seen, _| {
        let wanted = expected_of(&cases, seen);
        let tools = seen.body["tools"].as_array().cloned().unwrap_or_default();
        if !tools.is_empty() && !takes_functions {
            let refusal = json!({"error": {"message": "stub-model does not support tools"}});
            return json_reply("400 Bad Request", &refusal);
        }
        if tools.is_empty() {
            return openai(seen, &json!({"use": wanted}).to_string());
        }
        call_functions(seen, &wanted, &tools)
    })
    .await
}

/// The targets of the case that a request is about: the one whose prompt it quotes, of several the longest.
fn expected_of(cases: &[RoutingCase], seen: &Seen) -> Vec<String> {
    let asked = seen.body["messages"].as_array().and_then(|all| all.last()?["content"].as_str()).unwrap_or_default();
    let quoted = cases.iter().filter(|case| asked.contains(&case.prompt));
    quoted.max_by_key(|case| case.prompt.len()).map(|case| case.expect.clone()).unwrap_or_default()
}

fn call_functions(seen: &Seen, wanted: &[String], tools: &[Value]) -> Vec<Act> {
    let names: Vec<&str> = tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
    let function = |target: &String| {
        let (kind, name) = target.split_once(':').unwrap();
        let call = match kind {
            "datasource" => format!("query_{name}"),
            "agent" => format!("ask_{name}"),
            _ => name.to_owned(),
        };
        names.iter().find(|offered| **offered == call).copied()
    };
    let calls: Vec<_> = wanted.iter().filter_map(function).map(|name| (name, json!({}))).collect();
    if calls.is_empty() { openai(seen, "I know this myself.") } else { openai_calls(seen, "", &calls) }
}

/// A small real embedding model, served as an OpenAI-compatible server does. It ends when this is dropped.
pub struct EmbeddingServer {
    _child: Child,
    pub url: String,
}

impl EmbeddingServer {
    pub async fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/embeddings/serve.py");
        let mut command = Command::new(variable("TEST_EMBEDDINGS_PYTHON"));
        command.arg(script).env("PYTHONDONTWRITEBYTECODE", "1").env("OPENBLAS_NUM_THREADS", "1");
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next_line().await.unwrap().unwrap();
        Self { _child: child, url: format!("http://127.0.0.1:{port}") }
    }
}

/// What an evaluation of these cases on this server came to.
pub async fn evaluate(server: &TestServer, cases: &[RoutingCase]) -> Value {
    let cases: Vec<_> = cases.iter().map(|case| json!({"prompt": case.prompt, "expect": case.expect})).collect();
    server.post("/api/chat/evaluate", &json!({"cases": cases})).await.expect(200)
}

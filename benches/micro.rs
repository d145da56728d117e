//! The parts that every chat goes through, in this process: reading JSON, masking secrets, routing and planning, the window of a
//! conversation, the SQL guard. Those that the library does not export are reached through the routes that lead to little else;
//! `route/livez` is what such a route costs by itself, to be taken off.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may panic")]

use std::hint::black_box;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use orchestrator_studio::app::{App, Platform, load_settings};
use orchestrator_studio::kernel::{JsonReader, Redaction, Secret, StreamRedactor};
use orchestrator_studio::settings::Environment;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

const AGENTS: usize = 50;
const MESSAGES: usize = 50;
const SECRETS: usize = 50;

/// An application with resources that prompts may reach, and a conversation.
struct Server {
    router: Router,
    _app: App,
    _folder: TempDir,
}

impl Server {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let entry = |nth: usize| {
            let metadata = json!({"description": format!("Knows the contracts of region {nth}")});
            (format!("agent-{nth}"), json!({"url": "http://127.0.0.1:9", "metadata": metadata}))
        };
        let agents: Map<_, _> = (0..AGENTS).map(entry).collect();
        // Nobody answers there: what the guard refuses does not get so far.
        let config = json!({"description": "Orders, invoices and customers"});
        let shop = json!({"shop": {"type": "postgres", "url": "postgres://u@127.0.0.1:9/shop", "config": config}});
        let missing = folder.path().join("none").display().to_string();
        let environment = Environment::from_pairs([
            ("DATA_DIR", folder.path().join("data").display().to_string()),
            ("INTENT_CLASSIFIER", "rules".to_owned()),
            ("GROUNDING_REFRESH_SECONDS", "0".to_owned()),
            ("MEMORY_MAX_MESSAGES", MESSAGES.to_string()),
            ("EXTERNAL_AGENTS", Value::Object(agents).to_string()),
            ("DATASOURCES", shop.to_string()),
            ("AGENTS_CONFIG_PATH", missing.clone()),
            ("DATASOURCES_CONFIG_PATH", missing.clone()),
            ("TOOLS_CONFIG_PATH", missing.clone()),
            ("LLM_CONFIG_PATH", missing),
        ]);
        let app = App::build(load_settings(environment).unwrap(), Platform::system()).await.unwrap();
        let server = Self { router: app.router.clone(), _app: app, _folder: folder };
        for nth in 0..MESSAGES {
            let role = if nth % 2 == 0 { "user" } else { "assistant" };
            let message =
                json!({"role": role, "content": format!("Sentence {nth} of what was said about the contracts")});
            server.call(Method::POST, "/api/memory/ada/message", &message.to_string()).await;
        }
        server
    }

    async fn call(&self, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_owned()));
        let reply = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        let status = reply.status();
        let body = to_bytes(reply.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

/// What is asked of a server, by what it measures, and a member of the reply that shows that it did.
const ROUTES: [(&str, Method, &str, &str, &str); 7] = [
    ("livez", Method::GET, "/livez", "", "status"),
    (
        "classify/general",
        Method::POST,
        "/api/routers/default/test",
        r#"{"input_text": "What is the capital of Peru?"}"#,
        "classification",
    ),
    (
        "plan/general",
        Method::POST,
        "/api/planners/default/test",
        r#"{"user_input": "What is the capital of Peru?"}"#,
        "plan",
    ),
    (
        "plan/data",
        Method::POST,
        "/api/planners/default/test",
        r#"{"user_input": "How many invoices are overdue, and what is the weather in Hamburg?"}"#,
        "plan",
    ),
    (
        "plan/agent",
        Method::POST,
        "/api/planners/default/test",
        r#"{"user_input": "Ask the agent-7 agent which contracts end in May"}"#,
        "plan",
    ),
    ("conversation window", Method::GET, "/api/memory/ada/context", "", ""),
    (
        "sql guard/refused",
        Method::POST,
        "/api/datasources/shop/query",
        r#"{"query": "SELECT c.name, sum(o.total) FROM customers c JOIN orders o ON o.customer_id = c.id WHERE o.placed_on > '2026-01-01' GROUP BY c.name HAVING sum(o.total) > 10; DROP TABLE customers"}"#,
        "",
    ),
];

fn routes(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    let mut group = criterion.benchmark_group("route");
    for (name, method, path, body, member) in ROUTES {
        let (status, reply) = runtime.block_on(server.call(method.clone(), path, body));
        let wanted = if name.ends_with("refused") { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        assert_eq!(status, wanted, "{name}: {reply}");
        assert!(member.is_empty() || !reply[member].is_null(), "{name}: {reply}");
        group.bench_function(name, |bencher| {
            bencher.to_async(&runtime).iter(|| async { black_box(server.call(method.clone(), path, body).await) });
        });
    }
    group.finish();
}

/// A list of rows as a data source sends it, with so many values.
fn rows(count: usize) -> String {
    let row = |nth: usize| {
        let is_paid = nth.is_multiple_of(2);
        json!({"id": nth, "name": format!("Customer {nth}"), "total": nth as f64 * 1.25, "is_paid": is_paid})
    };
    Value::Array((0..count / 9).map(row).collect()).to_string()
}

fn json_reader(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json");
    for count in [90, 90_000] {
        let text = rows(count);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("read", count), |bencher| {
            bencher.iter(|| JsonReader::new(100_000).read::<Value>(black_box(text.as_bytes())).unwrap());
        });
        group.bench_function(BenchmarkId::new("refuse too many", count), |bencher| {
            bencher.iter(|| JsonReader::new(10).read::<Value>(black_box(text.as_bytes())).unwrap_err());
        });
        let almost = text.replace("},", ",},").replace("true", "True");
        group.bench_function(BenchmarkId::new("read tolerantly", count), |bencher| {
            bencher.iter(|| JsonReader::new(100_000).read_tolerantly(black_box(almost.as_bytes())).unwrap());
        });
    }
    group.finish();
}

fn redaction(criterion: &mut Criterion) {
    let secret = |nth: usize| Secret::new(format!("sk-canary-{nth}/{:x}", nth * 7919 + 1_000_000));
    let redaction = Redaction::new((0..SECRETS).map(secret));
    let clean = "An ordinary sentence of an answer, as a model says it, with a number such as 42 in it. ".repeat(100);
    let leaky = format!("{clean}{}{clean}", secret(7).expose());
    let mut group = criterion.benchmark_group("redaction");
    for (name, text) in [("nothing to mask", &clean), ("a secret", &leaky)] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("text", name), |bencher| {
            bencher.iter(|| redaction.text(black_box(text)));
        });
        let value = json!({"rows": [{"said": text, "times": 3}]});
        group.bench_function(BenchmarkId::new("json", name), |bencher| {
            bencher.iter_batched(|| value.clone(), |value| redaction.json(value), BatchSize::SmallInput);
        });
        let words: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        group.bench_function(BenchmarkId::new("stream of words", name), |bencher| {
            bencher.iter_batched(|| words.clone(), |words| streamed(&redaction, words), BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn streamed(redaction: &Redaction, words: Vec<String>) -> usize {
    let mut redactor = StreamRedactor::new(redaction.clone());
    let shown: usize = words.into_iter().map(|word| redactor.push(word).len()).sum();
    shown + redactor.finish().len()
}

criterion_group!(benches, json_reader, redaction, routes);
criterion_main!(benches);

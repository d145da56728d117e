//! What the number of registered agents costs: reading one by name, taking a snapshot of the settings, and reading while
//! agents are being changed. Each is measured with 10 and with 10,000 agents in one run; the ratio counts, not the time.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use orchestrator_studio::app::{App, Platform, load_settings};
use orchestrator_studio::settings::{Environment, SharedSettings};
use serde_json::{Map, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

const FEW: usize = 10;
const MANY: usize = 10_000;

struct Server {
    router: Router,
    settings: SharedSettings,
    _folder: TempDir,
}

/// A server with this many agents, named `agent-0` and so on.
async fn server(agents: usize) -> Server {
    let folder = TempDir::new().unwrap();
    let entry = |at: usize| {
        let metadata =
            json!({"description": "Knows invoices, payments and reminders", "attached_tools": ["web", "python"]});
        (
            format!("agent-{at}"),
            json!({"url": format!("http://localhost:9001/{at}"), "auth_token": "t", "metadata": metadata}),
        )
    };
    let entries: Map<_, _> = (0..agents).map(entry).collect();
    let missing = folder.path().join("none").display().to_string();
    let environment = Environment::from_pairs([
        ("DATA_DIR", folder.path().display().to_string()),
        ("EXTERNAL_AGENTS", json!(entries).to_string()),
        ("AGENTS_CONFIG_PATH", missing.clone()),
        ("DATASOURCES_CONFIG_PATH", missing.clone()),
        ("TOOLS_CONFIG_PATH", missing.clone()),
        ("LLM_CONFIG_PATH", missing),
    ]);
    let app = App::build(load_settings(environment).unwrap(), Platform::system()).await.unwrap();
    Server { router: app.router.clone(), settings: app.state.settings.clone(), _folder: folder }
}

async fn get(router: Router, agent: usize) {
    let request = Request::get(format!("/api/agents/agent-{agent}")).body(Body::empty()).unwrap();
    let reply = router.oneshot(request).await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
}

async fn put(router: Router, agent: usize, timeout: usize) {
    let body =
        json!({"name": format!("agent-{agent}"), "url": "http://localhost:9001", "timeout_seconds": timeout % 100 + 1});
    let request = Request::builder().method(Method::PUT).uri(format!("/api/agents/agent-{agent}"));
    let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap();
    assert_eq!(router.oneshot(request).await.unwrap().status(), StatusCode::OK);
}

fn reading(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let servers = [FEW, MANY].map(|count| (count, runtime.block_on(server(count))));
    let mut group = c.benchmark_group("get_by_name");
    for (count, server) in &servers {
        let next = AtomicUsize::new(0);
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.to_async(&runtime).iter(|| get(server.router.clone(), next.fetch_add(7, Ordering::Relaxed) % count));
        });
    }
    group.finish();
    let mut group = c.benchmark_group("snapshot");
    for (count, server) in &servers {
        group.bench_function(BenchmarkId::from_parameter(count), |b| b.iter(|| black_box(server.settings.snapshot())));
    }
    group.finish();
}

/// Reads of one agent, alone and while another task changes agents without pause.
fn reading_beside_a_writer(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(server(MANY));
    let mut group = c.benchmark_group("get_by_name_of_10000");
    group.bench_function("alone", |b| b.to_async(&runtime).iter(|| get(server.router.clone(), 5000)));
    let stop = Arc::new(AtomicBool::new(false));
    let (router, stopped) = (server.router.clone(), stop.clone());
    let writer = runtime.spawn(async move {
        let mut writes = 0;
        while !stopped.load(Ordering::Relaxed) {
            put(router.clone(), writes % MANY, writes).await;
            writes += 1;
        }
        writes
    });
    group.bench_function("beside_a_writer", |b| b.to_async(&runtime).iter(|| get(server.router.clone(), 5000)));
    stop.store(true, Ordering::Relaxed);
    assert!(runtime.block_on(writer).unwrap() > 0);
    group.finish();
}

criterion_group!(benches, reading, reading_beside_a_writer);
criterion_main!(benches);

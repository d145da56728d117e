//! Tools that run code, and what their programs leave behind.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Client, TestServer};

/// Where the programs are that the tests themselves find.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

#[expect(clippy::disallowed_methods, reason = "asks how the tests are run, not how the server is configured")]
fn is_required() -> bool {
    std::env::var("ORCHESTRATOR_TESTS").is_ok_and(|value| value == "required")
}

/// Whether these programs are there; where they are required, a missing one fails the test.
pub fn has(programs: &[&str]) -> bool {
    let found = |name: &&&str| PATH.split(':').any(|folder| Path::new(folder).join(name).is_file());
    let missing: Vec<_> = programs.iter().filter(|name| !found(name)).collect();
    assert!(missing.is_empty() || !is_required(), "not installed: {missing:?}");
    missing.is_empty()
}

/// Adds a tool named `code` that runs all languages, with these options besides.
pub async fn add(client: &Client, options: Value) {
    let mut config = json!({"allowed_languages": "python,javascript,bash"});
    config.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let tool = json!({"name": "code", "type": "code_executor", "config": config});
    client.post("/api/tools", &tool).await.expect(201);
}

/// A server with such a tool.
pub async fn server(options: Value) -> TestServer {
    let server = TestServer::with(&[("PATH", PATH)]).await;
    add(&server, options).await;
    server
}

/// Runs the tool `code`.
pub async fn execute(client: &Client, arguments: Value) -> Value {
    client.post("/api/tools/code/execute", &json!({"arguments": arguments})).await.expect(200)
}

/// Runs a program with the tool `code`.
pub async fn run(client: &Client, language: &str, code: &str) -> Value {
    execute(client, json!({"code": code, "language": language})).await
}

/// The processes of this machine that are in a namespace of process numbers, as `/proc/self/ns/pid` names it.
fn processes_in(namespace: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let inside = |path: &std::path::PathBuf| {
        std::fs::read_link(path.join("ns/pid")).is_ok_and(|link| link == Path::new(namespace))
    };
    let name = |path: std::path::PathBuf| std::fs::read_to_string(path.join("cmdline")).unwrap_or_default();
    all.filter(inside).map(|path| format!("{}: {}", path.display(), name(path.clone()))).collect()
}

/// Waits until nothing runs in a namespace any longer. Numbers of namespaces are used again, hence the patience.
pub async fn nothing_left_in(namespace: &str) {
    assert!(namespace.starts_with("pid:["), "{namespace} is no namespace");
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let left = processes_in(namespace);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "left behind: {left:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

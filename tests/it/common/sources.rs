//! A data source called `db`, and queries to it.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::databases::SqliteFile;
use super::{Answer, TestServer};

/// Longest wait for something to come true.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A data source as a client describes it: type, URL and any other fields.
pub fn source(kind: &str, url: &str, more: Value) -> Value {
    let mut source = json!({"name": "db", "type": kind, "url": url});
    source.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    source
}

/// A server that has this data source, under the name `db`.
pub async fn server_with(kind: &str, url: &str, more: Value) -> TestServer {
    let server = TestServer::bare().await;
    server.post("/api/datasources", &source(kind, url, more)).await.expect(201);
    server
}

/// Changes the source.
pub async fn change(server: &TestServer, kind: &str, url: &str, more: Value) {
    server.put("/api/datasources/db", &source(kind, url, more)).await.expect(200);
}

/// What the source answers to a query, whatever it is.
pub async fn ask(server: &TestServer, sql: &str, parameters: Value) -> Answer {
    server.post("/api/datasources/db/query", &json!({"query": sql, "parameters": parameters})).await
}

/// The reply to a query that must succeed.
pub async fn query(server: &TestServer, sql: &str, parameters: Value) -> Value {
    let reply = ask(server, sql, parameters).await.expect(200);
    assert_eq!(reply["success"], true, "{sql}: {reply}");
    reply
}

/// The rows of a query that must succeed.
pub async fn rows(server: &TestServer, sql: &str, parameters: Value) -> Value {
    query(server, sql, parameters).await["data"].take()
}

/// The text of a query's failure.
pub async fn failure(server: &TestServer, sql: &str, parameters: Value) -> String {
    let reply = ask(server, sql, parameters).await.expect(200);
    assert_eq!((&reply["success"], &reply["data"]), (&json!(false), &json!([])), "{sql}: {reply}");
    reply["error"].as_str().unwrap().to_owned()
}

/// Where a refusal points, and what it says.
pub async fn refusal(server: &TestServer, sql: &str, parameters: Value) -> (Value, String) {
    let mut reply = ask(server, sql, parameters).await.expect(422);
    (reply["errors"][0]["loc"].take(), reply["errors"][0]["msg"].as_str().unwrap().to_owned())
}

/// Done when something has come true; fails if it doesn't.
pub async fn wait_for(mut come_true: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + TIMEOUT;
    while !come_true().await {
        assert!(Instant::now() < until, "it does not come true");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The states of the processes that read this file for a server: `R` works, `S` waits.
pub fn readers(file: &SqliteFile) -> Vec<char> {
    let state = |process: std::path::PathBuf| {
        let line = std::fs::read(process.join("cmdline")).ok()?;
        let path = file.path.to_str().unwrap().as_bytes();
        line.split(|byte| *byte == 0).find(|word| *word == path)?;
        let mut threads = std::fs::read_dir(process.join("task")).ok()?.flatten();
        let works = threads
            .any(|thread| std::fs::read_to_string(thread.path().join("stat")).is_ok_and(|stat| stat.contains(") R ")));
        Some(if works { 'R' } else { 'S' })
    };
    std::fs::read_dir("/proc").unwrap().filter_map(|entry| state(entry.unwrap().path())).collect()
}

/// What a test of the source finds.
pub async fn test(server: &TestServer) -> Value {
    server.post("/api/datasources/db/test", &Value::Null).await.expect(200)
}

/// The tables of a schema by name, without the schema: `{"a": {...}}`.
pub fn by_name(tables: &Value) -> HashMap<String, Map<String, Value>> {
    let tables = tables.as_array().unwrap().iter();
    tables.map(|table| (table["name"].as_str().unwrap().to_owned(), table.as_object().unwrap().clone())).collect()
}

//! Replies that are small as text and huge as values: each kind of upstream sends one, the server says what is wrong with it, and
//! gives back what it took.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::databases::postgres;
use crate::common::process_memory::ProcessMemory;
use crate::common::sources::{query, rows, server_with};
use crate::common::upstream::{json_reply, open_head, reply};
use crate::common::{Act, Client, Program, Seen, Upstream, mcp};
use crate::security::nested_bodies::lists;

/// Bytes of a reply.
const REPLY: u64 = 4_000_000;

/// A stand-in for every kind of upstream at once. Once it is told to flood, it sends a list as long as it may in the place of
/// what is of interest.
async fn upstream(floods: &Arc<AtomicBool>) -> Upstream {
    let (floods, long, line) = (floods.clone(), lists(19_000, 100), lists(4_500, 100));
    Upstream::start(
        move |seen, _| {
            if floods.load(Ordering::Relaxed) { flood(seen, &long, &line) } else { flood(seen, "1", "1") }
        },
    )
    .await
}

fn flood(seen: &Seen, long: &str, line: &str) -> Vec<Act> {
    let whole = |text: &str| reply("200 OK", "application/json", &text.replace('X', long));
    let path = seen.path.split('?').next().unwrap();
    match path.trim_end_matches('/') {
        "/llm/v1/chat/completions" if seen.body["stream"] == true => {
            let chunk = r#"{"choices": [{"delta": {"content": "Hi", "x": [X]}}]}"#.replace('X', line);
            vec![open_head("text/event-stream"), Act::Send(format!("data: {chunk}\n\ndata: [DONE]\n\n"))]
        }
        "/llm/v1/chat/completions" => whole(r#"{"choices": [{"message": {"content": "Hi", "x": [X]}}]}"#),
        "/llm/v1/models" => whole(r#"{"data": [{"id": "m", "x": [X]}]}"#),
        "/ollama/api/chat" => {
            let line = r#"{"message": {"content": "Hi", "x": [X]}, "done": true}"#.replace('X', line);
            vec![open_head("application/x-ndjson"), Act::Send(format!("{line}\n"))]
        }
        path if path.starts_with("/agent") => whole(r#"{"answer": "Hi", "x": [X]}"#),
        "/rest/query" => whole(r#"{"data": [{"n": 1, "x": [X]}], "row_count": 1}"#),
        "/rest/schema" | "/rest/tables" => whole(r#"{"tables": [[X]]}"#),
        "/cubejs-api/v1/load" => whole(r#"{"data": [{"n": 1, "x": [X]}]}"#),
        "/cubejs-api/v1/cubesql" => {
            whole("{\"schema\": [{\"name\": \"n\", \"column_type\": \"Int\"}]}\n{\"data\": [[[X]]]}\n")
        }
        "/cubejs-api/v1/meta" => whole(r#"{"cubes": [[X]]}"#),
        "/search" => whole(r#"{"results": [{"url": "http://a.example", "title": "a", "x": [X]}]}"#),
        "/tool" => reply("200 OK", "application/json", &format!("[{line}]")),
        "/mcp" | "/mcp-events" if mcp::is(seen, "tools/call") => {
            let result = r#"{"resultType": "complete", "content": [], "structuredContent": {"x": [X]}}"#;
            let message = format!(r#"{{"jsonrpc": "2.0", "id": {}, "result": {result}}}"#, seen.body["id"]);
            match path {
                "/mcp" => whole(&message),
                _ => {
                    vec![open_head("text/event-stream"), Act::Send(format!("data: {}\n\n", message.replace('X', long)))]
                }
            }
        }
        "/mcp" | "/mcp-events" => mcp::harmless(seen),
        _ => json_reply("404 Not Found", &Value::Null),
    }
}

async fn configure(client: &Client, base: &str) {
    let agent = json!({"name": "agent", "url": format!("{base}/agent")});
    client.post("/api/agents", &agent).await.expect(201);
    for (name, kind, path) in [("rest", "api", "/rest"), ("cube", "cubejs", "")] {
        let source = json!({"name": name, "type": kind, "url": format!("{base}{path}")});
        client.post("/api/datasources", &source).await.expect(201);
    }
    let tools = [
        ("http", "http_request", json!({"base_url": format!("{base}/tool")})),
        ("search", "web_search", json!({"provider": "searxng", "endpoint": format!("{base}/search")})),
        ("mcp", "mcp", json!({"url": format!("{base}/mcp")})),
        ("mcp-events", "mcp", json!({"url": format!("{base}/mcp-events")})),
    ];
    for (name, kind, config) in tools {
        client.post("/api/tools", &json!({"name": name, "type": kind, "config": config})).await.expect(201);
    }
}

/// Each kind of reply, and what it comes to.
async fn ask_all(client: &Client) -> Vec<(&'static str, String)> {
    let chat = json!({"prompt": "Hi", "metadata": {"use_tools": false, "use_cache": false}});
    let post = async |path: &str, body: Value| client.post(path, &body).await.text;
    let arguments = |more: Value| json!({"arguments": more});
    vec![
        ("llm", post("/v1/chat", chat.clone()).await),
        ("llm, streamed", format!("{:?}", client.chat_events(&chat).await)),
        ("models", client.get("/api/llm/models").await.text),
        ("agent", post("/api/agents/agent/call", json!({"query": "Hi"})).await),
        ("rest", post("/api/datasources/rest/query", json!({"query": "q"})).await),
        ("rest schema", client.get("/api/datasources/rest/schema").await.text),
        ("rest tables", client.get("/api/datasources/rest/tables").await.text),
        ("cube", post("/api/datasources/cube/query", json!({"query": "{\"measures\": [\"a.b\"]}"})).await),
        ("cube sql", post("/api/datasources/cube/query", json!({"query": "SELECT 1"})).await),
        ("cube schema", client.get("/api/datasources/cube/schema").await.text),
        ("search", post("/api/tools/search/execute", arguments(json!({"query": "Hi"}))).await),
        ("mcp", post("/api/tools/mcp/execute", json!({"tool": "echo", "arguments": {}})).await),
        ("mcp events", post("/api/tools/mcp-events/execute", json!({"tool": "echo", "arguments": {}})).await),
        ("http", post("/api/tools/http/execute", arguments(json!({"url": ""}))).await),
    ]
}

#[tokio::test]
async fn millions_of_values_in_a_reply_are_refused_by_name_and_cost_no_memory() {
    let floods = Arc::new(AtomicBool::new(false));
    let upstream = upstream(&floods).await;
    let (folder, base) = (TempDir::new().unwrap(), upstream.url());
    let llm = format!("{base}/llm");
    let variables = [("LLM_BASE_URL", llm.as_str()), ("LLM_DEFAULT_MODEL", "m"), ("LLM_PROVIDER", "openai")];
    let program = Program::start("serve", folder.path(), &variables).await;
    configure(&program.client, &base).await;
    // Once, so that all there is to load is loaded.
    ask_all(&program.client).await;
    let memory = ProcessMemory::now(program.pid());
    floods.store(true, Ordering::Relaxed);
    let expected = |what| match what {
        // As for any list that can't be used.
        "models" => "Using configured default model",
        // A piece of a stream may have fewer.
        "llm, streamed" => "more than 100000 values",
        // A text, as any other reply that is no JSON.
        "http" => r#""status":"success","output":"[[[[["#,
        _ => "more than 250000 values (MAX_REPLY_VALUES)",
    };
    let said = ask_all(&program.client).await;
    let wrong: Vec<_> = said.iter().filter(|(what, said)| !said.contains(expected(*what))).collect();
    assert!(wrong.is_empty(), "{wrong:.500?}");
    assert!(memory.taken() < 10 * REPLY, "it took {} bytes more", memory.taken());
    memory.given_back().await;
}

#[tokio::test]
async fn an_ollama_line_of_a_million_values_is_refused() {
    let upstream = upstream(&Arc::new(AtomicBool::new(true))).await;
    let (folder, base) = (TempDir::new().unwrap(), format!("{}/ollama", upstream.url()));
    let variables = [("LLM_BASE_URL", base.as_str()), ("LLM_DEFAULT_MODEL", "m"), ("LLM_PROVIDER", "ollama")];
    let program = Program::start("serve", folder.path(), &variables).await;
    let chat = json!({"prompt": "Hi"});
    let memory = ProcessMemory::now(program.pid());
    let said = format!("{:?}", program.client.chat_events(&chat).await);
    assert!(said.contains("sent a line that can't be read: it has more than 100000 values"), "{said:.300}");
    assert!(memory.taken() < 10 * REPLY, "it took {} bytes more", memory.taken());
}

#[tokio::test]
async fn a_thousand_rows_of_thirty_columns_and_a_schema_of_two_thousand_lines_are_served() {
    let row: Value = (0..30).map(|n| (format!("column_{n}"), json!(n))).collect();
    let data = json!({"data": vec![row; 1_000], "row_count": 1_000});
    let schema: Value = (0..2_000).map(|n| (format!("table_{n}"), json!({"id": "int", "name": "text"}))).collect();
    let upstream = Upstream::start(move |seen, _| match seen.path.as_str() {
        "/query" => json_reply("200 OK", &data),
        _ => json_reply("200 OK", &schema),
    })
    .await;
    let server = server_with("api", &upstream.url(), json!({})).await;
    let rows = rows(&server, "q", json!({})).await;
    assert_eq!((rows.as_array().map(Vec::len), &rows[999]["column_29"]), (Some(1_000), &json!(29)));
    let schema = server.get("/api/datasources/db/schema").await.expect(200);
    assert_eq!(schema["schema"].as_object().map(serde_json::Map::len), Some(2_000));
}

#[tokio::test]
async fn a_cell_of_very_many_values_is_a_text_and_many_cells_of_many_are_cut() {
    let json = |lists: u32| format!("('[' || repeat('[],', {lists}) || '1]')");
    let filled = format!(
        "INSERT INTO documents SELECT 1, {huge}::json, {huge}::jsonb UNION ALL
             SELECT id, {large}::json, '1' FROM generate_series(2, 100) AS id",
        huge = json(60_000),
        large = json(30_000)
    );
    let database = postgres(&["CREATE TABLE documents (id int, a json, b jsonb)", &filled]).await;
    let server = server_with("postgres", &database.url, json!({})).await;
    let huge = rows(&server, "SELECT a, b FROM documents WHERE id = 1", json!({})).await;
    assert!(huge[0]["a"].as_str().unwrap().starts_with("[[],[],"), "{huge:.100}");
    assert!(huge[0]["b"].as_str().unwrap().starts_with("[[], [], "), "{huge:.100}");
    let many = query(&server, "SELECT a FROM documents WHERE id > 1 ORDER BY id", json!({})).await;
    assert_eq!((many["data"].as_array().map(Vec::len), &many["metadata"]["truncated"]), (Some(5), &json!(true)));
    assert_eq!(many["data"][0]["a"].as_array().map(Vec::len), Some(30_001));
}

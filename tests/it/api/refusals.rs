//! The GUI shows `Error: ${detail}`. Whatever this server refuses and the original accepted says in one text what is wrong; what the
//! original refuses itself stays the list that its clients know.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::databases::{SqliteFile, sqlite};
use crate::common::refusals::{describe, unreadable};
use crate::common::{Answer, Program};

const LLM: &str = "PUT /api/llm/config";
const AGENT: &str = "POST /api/agents";
const SOURCE: &str = "POST /api/datasources";
const TOOL: &str = "POST /api/tools";
const CHAT: &str = "POST /v1/chat";
const SEND: &str = "POST /api/chat/ui/send";
const STREAM: &str = "POST /api/chat/ui/send/stream";
const QUERY: &str = "POST /api/datasources/db/query";
const VERIFIED: &str = "POST /api/datasources/db/verified";

/// A server with an agent, a data source, a tool and a key that is masked in what it shows.
async fn program(folder: &Path, file: &SqliteFile) -> Program {
    let sources = json!({"db": {"type": "sqlite", "url": file.url()}}).to_string();
    let variables = [
        ("LLM_BASE_URL", "https://models.example/v1"),
        ("LLM_API_KEY", "a-long-key"),
        ("LLM_DEFAULT_MODEL", "m"),
        ("EXTERNAL_AGENTS", r#"{"helper": {"url": "https://helper.example", "auth_token": "a-long-token"}}"#),
        ("DATASOURCES", &sources),
        (
            "TOOLS",
            r#"{"web": {"type": "http_request", "config": {"base_url": "https://web.example", "api_key": "a-key"}}}"#,
        ),
        ("MAX_BODY_BYTES", "600000"),
    ];
    Program::start("serve", folder, &variables).await
}

fn agent(field: &str, value: Value) -> Value {
    let mut body = json!({"name": "new", "url": "https://agent.example"});
    body[field] = value;
    body
}

fn source(kind: &str, field: &str, value: Value) -> Value {
    let mut body = json!({"name": "new", "type": kind, "url": "https://source.example"});
    body[field] = value;
    body
}

fn tool(kind: &str, config: Value) -> Value {
    json!({"name": "new", "type": kind, "config": config})
}

fn chat(metadata: Value) -> Value {
    json!({"prompt": "Hello", "metadata": metadata})
}

fn page_message(metadata: Value) -> Value {
    json!({"message": "Hello", "metadata": metadata})
}

fn question(field: &str, value: Value) -> Value {
    let mut body = json!({"question": "How many?", "query": "SELECT 1"});
    body[field] = value;
    body
}

/// What the original accepts, the first request with a wrong body: what is sent, the status, and whether the field or thing is named.
fn refused() -> Vec<(&'static str, Value, &'static str)> {
    let long = "x".repeat(5000);
    let key = "k".repeat(5000);
    [llm(), agents(&long), sources(), tools(&long), chats(&key), chat_page(), others(&long)].concat()
}

fn llm() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (LLM, json!({"timeout_seconds": -5}), "timeout_seconds should be at least 1"),
        (LLM, json!({"timeout_seconds": 1e300}), "timeout_seconds"),
        (LLM, json!({"max_retries": 11}), "max_retries should be at most 10"),
        (LLM, json!({"temperature": 99}), "temperature"),
        (LLM, json!({"temperature": "NaN"}), "temperature should be a finite number"),
        (LLM, json!({"max_tokens": 0}), "max_tokens"),
        (LLM, json!({"base_url": "localhost:11434"}), "base_url should be a URL"),
        (LLM, json!({"base_url": "https://u:p@models.example"}), "base_url"),
        (LLM, json!({"base_url": "http://reader:80/x@y@host"}), "base_url"),
        (
            LLM,
            json!({"base_url": "https://elsewhere.example/v1", "api_key": "********"}),
            "api_key should be entered again",
        ),
        (LLM, json!({"api_key": "two words"}), "api_key"),
        (LLM, json!({"api_key": "${HOME}"}), "HOME"),
        (LLM, json!({"provider": "azure"}), "provider"),
        (LLM, json!({"fallback_models": 5}), "fallback_models"),
    ]
}

fn agents(long: &str) -> Vec<(&'static str, Value, &'static str)> {
    let moved = json!({"name": "helper", "url": "https://elsewhere.example", "auth_token": "********"});
    let everything = json!({"name": "", "url": "x", "timeout_seconds": 0, "auth_token": "a\nb"});
    let mut rows: Vec<_> = ["", "a?b", "a#b", "a/b", "a\\b", "100%25", " a", "..", long]
        .iter()
        .map(|name| (AGENT, agent("name", json!(name)), "name should"))
        .collect();
    rows.extend([
        (AGENT, agent("url", json!("agent.example")), "url"),
        (AGENT, agent("timeout_seconds", json!(0)), "timeout_seconds should be at least 1"),
        (AGENT, agent("auth_token", json!("two\nlines")), "auth_token"),
        (AGENT, agent("auth_token", json!("********")), "auth_token"),
        (AGENT, agent("metadata", json!({"note": "x".repeat(200_000)})), "metadata"),
        (AGENT, everything, "name should"),
        ("PUT /api/agents/helper", moved, "auth_token should be entered again, or left empty for none"),
        ("GET /api/agents?limit=abc", json!(null), "limit should be a whole number"),
        ("GET /api/agents?enabled=maybe", json!(null), "enabled should be true or false"),
        ("POST /api/agents/helper/call?method=TRACE", json!({}), "method"),
        ("POST /api/agents/helper/call?timeout_seconds=x", json!({}), "timeout_seconds"),
        ("POST /api/agents/helper/call?endpoint=/../admin", json!({}), "endpoint"),
        ("GET /api/agents/%00", json!(null), "name"),
    ]);
    rows
}

fn sources() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (SOURCE, source("postgres", "url", json!("mysql://db/x")), "url"),
        (SOURCE, source("postgres", "url", json!("postgres://db/x?sslrootcert=/etc/shadow")), "url"),
        (SOURCE, source("x\ny", "enabled", json!(true)), "type"),
        (SOURCE, source("sqlite", "config", json!({"functions": "all"})), "config.functions"),
        (SOURCE, source("api", "config", json!({"currency": "Euros"})), "config.currency"),
        (SOURCE, source("api", "config", json!({"api_key": "********"})), "config.api_key"),
        (QUERY, json!({"query": "DELETE FROM sales"}), "query"),
        (QUERY, json!({"query": "SELECT FROM WHERE {["}), "query"),
        (QUERY, json!({"query": "SELECT :id"}), "id"),
        (QUERY, json!({"query": "SELECT 1", "max_rows": "many"}), "max_rows should be a whole number"),
        ("GET /api/datasources?offset=-1", json!(null), "offset"),
    ]
}

fn tools(long: &str) -> Vec<(&'static str, Value, &'static str)> {
    let moved = json!({"name": "web", "type": "http_request",
        "config": {"base_url": "https://elsewhere.example", "api_key": "********"}});
    vec![
        (TOOL, tool("http_request", json!({"base_url": 17})), "config.base_url should be a text"),
        (TOOL, tool("http_request", json!({"timeout": "soon"})), "config.timeout should be a number"),
        (TOOL, tool("http_request", json!({"headers": []})), "config.headers should be an object"),
        (TOOL, tool("http_request", json!({"headers": {"X Y": long}})), "config.headers"),
        (TOOL, tool("http_request", json!({"allowed_hosts": ["http://x y"]})), "config.allowed_hosts"),
        (TOOL, tool("web_search", json!({"provider": "askjeeves"})), "config.provider"),
        (TOOL, tool("web_search", json!({"max_results": "all"})), "config.max_results"),
        (TOOL, tool("code_executor", json!({"allowed_languages": "cobol"})), "config.allowed_languages"),
        (TOOL, tool("code_executor", json!({"max_memory": "a lot"})), "config.max_memory"),
        (TOOL, tool("mcp", json!({"command": "rm", "args": ["-r", "/"]})), "config.command"),
        (TOOL, json!({"name": "new", "type": "custom", "description": long}), "description"),
        ("PUT /api/tools/web", moved, "config should have its credentials entered again"),
        ("GET /api/tools/registry/schemas?format=xml", json!(null), "format"),
        ("POST /api/tools/web/execute", json!({"arguments": {"method": "GET"}}), "arguments"),
        ("POST /api/tools/web/execute", json!({"arguments": {"url": "/"}, "tool": "other"}), "tool"),
    ]
}

fn chats(key: &str) -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (CHAT, json!({"prompt": "Hello", "stream": "maybe"}), "stream should be true or false"),
        (CHAT, json!({"prompt": "Hello", "user_id": "config"}), "user_id"),
        (CHAT, chat(json!({"use_cache": "maybe"})), "metadata.use_cache"),
        (CHAT, chat(json!({"intent": "small_talk"})), "metadata.intent"),
        (CHAT, chat(json!({"agent": "nobody"})), "metadata.agent"),
        (CHAT, chat(json!({"datasource": key})), "metadata.datasource"),
        (CHAT, chat(json!({"tools": [5]})), "metadata.tools"),
        (CHAT, chat(json!({"tool_params": {"url": "/"}})), "metadata.tool"),
        (CHAT, chat(json!({"note": "x".repeat(200_000)})), "metadata"),
        ("POST /api/chat/evaluate", json!({"cases": [{"prompt": "Hi", "expect": ["shop"]}]}), "expect"),
        ("POST /api/chat/evaluate", json!({"cases": vec![json!({"prompt": "Hi"}); 1001]}), "cases"),
    ]
}

/// The chat page steers the server with the same keys, however it is answered.
fn chat_page() -> Vec<(&'static str, Value, &'static str)> {
    let wrong = [
        (json!({"use_cache": "maybe"}), "metadata.use_cache should be true or false"),
        (json!({"tools": 5}), "metadata.tools"),
        (json!({"model": 7}), "metadata.model should be a text"),
        (json!({"tool_params": "x"}), "metadata.tool_params should be an object"),
        (json!({"execute": []}), "metadata.execute should be true or false"),
    ];
    let both = |(metadata, says): &(Value, &'static str)| {
        [SEND, STREAM].map(|request| (request, page_message(metadata.clone()), *says))
    };
    wrong.iter().flat_map(both).collect()
}

fn others(long: &str) -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (
            "POST /api/topology/test-component",
            json!({"component_id": long}),
            "component_id should have at most 200 characters",
        ),
        (VERIFIED, question("question", json!(" ")), "question"),
        (VERIFIED, question("query", json!("DROP TABLE sales")), "query"),
        (VERIFIED, question("verified_at", json!("yesterday")), "verified_at"),
        (VERIFIED, question("verified_by", json!(long)), "verified_by"),
        (VERIFIED, question("parameters", json!({"town": null})), "parameters"),
        ("PUT /api/datasources/db/verified", json!({"verified": [{"question": "?", "query": " "}]}), "query"),
        ("GET /api/memory/ada/history?limit=-1", json!(null), "limit should be at least 0"),
        ("GET /api/memory/ada/history?limit=99999999999999999999", json!(null), "limit"),
        ("GET /api/memory/ada/context?max_tokens=-1", json!(null), "max_tokens"),
        ("GET /api/memory/config/history", json!(null), "user_id"),
        ("POST /api/memory/ada%0A/message?role=user&content=x", json!(null), "user_id"),
        ("GET /api/monitoring/logs?limit=10001", json!(null), "limit"),
        ("GET /api/monitoring/logs?level=loud", json!(null), "level"),
        ("GET /api/monitoring/logs?since=yesterday", json!(null), "since"),
        ("GET /api/monitoring/logs?follow=maybe", json!(null), "follow"),
        ("GET /v1/executions?status=lost", json!(null), "status"),
        ("GET /v1/executions?limit=0", json!(null), "limit"),
    ]
}

async fn send(program: &Program, request: &str, body: &str, kind: &str) -> Answer {
    let (method, path) = request.split_once(' ').unwrap();
    let request = program.client.request(method, path).header("content-type", kind);
    Answer::of(if method == "GET" { request } else { request.body(body.to_owned()) }).await
}

#[tokio::test]
async fn what_the_original_accepted_is_refused_in_words_that_name_the_field() {
    let (folder, file) = (TempDir::new().unwrap(), sqlite(&["CREATE TABLE sales (id int)"]).await);
    let program = program(folder.path(), &file).await;
    let (rows, mut wrong) = (refused(), Vec::new());
    assert!(rows.len() >= 40, "{} rows", rows.len());
    for (request, body, says) in &rows {
        let answer = send(&program, request, &body.to_string(), "application/json").await;
        let reply = answer.json();
        let detail = reply["detail"].as_str().unwrap_or_default();
        if answer.status != 422 || describe(&reply) != "a text" || !detail.contains(says) {
            let body: String = body.to_string().chars().take(120).collect();
            wrong.push(format!("{request} {body}: {} {}: {says}", answer.status, describe(&reply)));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    // What only Python takes for JSON, and so the original.
    for (body, says) in [
        (
            r#"{"name": "new", "url": "https://a.example", "timeout_seconds": NaN}"#,
            "timeout_seconds should be a finite number",
        ),
        (
            r#"{"name": "new", "url": "https://a.example", "metadata": {"n": 1e400}}"#,
            "metadata.n should be a finite number",
        ),
        (r#"{"name": "new\ud800", "url": "https://a.example"}"#, "name should be a text of whole characters"),
    ] {
        let reply = send(&program, AGENT, body, "application/json").await.expect(422);
        assert_eq!(describe(&reply), "a text");
        assert!(reply["detail"].as_str().unwrap().starts_with(says), "{reply}");
    }
}

#[tokio::test]
async fn what_no_field_is_to_blame_for_is_told_in_words_as_well() {
    let (folder, file) = (TempDir::new().unwrap(), sqlite(&["CREATE TABLE sales (id int)"]).await);
    let program = program(folder.path(), &file).await;
    let (deep, large) = ("[".repeat(5000), format!("\"{}\"", "x".repeat(700_000)));
    let many = format!("[{}1]", "1,".repeat(200_000));
    let unknown = "n".repeat(120);
    let (unknown_agent, unknown_execution) =
        (format!("GET /api/agents/{unknown}"), format!("GET /v1/executions/{unknown}"));
    let unknown_connection = format!("DELETE /api/config/llm-connections/{unknown}");
    let cut = format!("'{}…' not found", "n".repeat(79));
    let json = "application/json";
    for (request, body, kind, status, names) in [
        (AGENT, deep.as_str(), json, 400, "nested"),
        (AGENT, &large, json, 413, "MAX_BODY_BYTES"),
        (AGENT, &many, json, 413, "MAX_BODY_VALUES"),
        (AGENT, "{}", "text/plain", 415, "Content-Type"),
        (AGENT, "{}", "application/json; charset=latin1", 415, "charset"),
        ("GET /v1/executions?cursor=5", "", json, 400, "cursor"),
        ("POST /api/memory/ada/message?role=robot&content=x", "", json, 400, "role"),
        (AGENT, r#"{"name": "helper", "url": "https://a.example"}"#, json, 409, "helper"),
        ("GET /api/tools/a%2Fb", "", json, 404, "a/b"),
        ("POST /v1/executions/none/steps/task_1/verify", "{}", json, 404, "none"),
        (&unknown_agent, "", json, 404, &cut),
        (&unknown_execution, "", json, 404, &cut),
        (&unknown_connection, "", json, 404, &cut),
    ] {
        let reply = send(&program, request, body, kind).await.expect(status);
        let detail = reply["detail"].as_str().unwrap();
        assert_eq!(unreadable(detail, names), None, "{request}");
        assert!(reply.get("errors").is_none(), "{reply}");
    }
    let body = json!({"name": "helper", "url": "https://helper.example"});
    let stale = program.client.send_if("if-match", "\"old\"", "PUT", "/api/agents/helper", &body).await.expect(412);
    assert_eq!(unreadable(stale["detail"].as_str().unwrap(), "helper"), None);
}

#[tokio::test]
async fn what_the_original_refuses_stays_its_list() {
    let (folder, file) = (TempDir::new().unwrap(), sqlite(&["CREATE TABLE sales (id int)"]).await);
    let program = program(folder.path(), &file).await;
    let rows = [
        (AGENT, r#"{"url": "https://agent.example"}"#, "missing"),
        (AGENT, r#"{"name": "new", "url": "https://agent.example", "timeout_seconds": null}"#, "int_type"),
        (AGENT, r#"{"name": "new", "url": "https://agent.example", "timeout_seconds": "soon"}"#, "int_parsing"),
        (AGENT, r#"{"name": "new", "url": "https://agent.example", "timeout_seconds": 1.5}"#, "int_from_float"),
        (AGENT, r#"{"name": "new", "url": "https://agent.example", "enabled": "maybe"}"#, "bool_parsing"),
        (AGENT, r#"{"name": "new", "url": "https://agent.example", "enabled": null}"#, "bool_type"),
        (AGENT, r#"{"name": "new", "url": "https://agent.example", "metadata": []}"#, "dict_type"),
        (AGENT, r#"{"name": 5, "url": "https://agent.example"}"#, "string_type"),
        // At least one of them is the original's.
        (AGENT, r#"{"name": "a?b", "url": 5}"#, "value_error"),
        (AGENT, "[]", "model_attributes_type"),
        (AGENT, "", "missing"),
        (AGENT, "{", "json_invalid"),
        (AGENT, r#"{"name": NaN,}"#, "json_invalid"),
        (SOURCE, r#"{"name": "new", "url": "https://source.example"}"#, "missing"),
        (TOOL, r#"{"name": "new", "type": "custom", "config": null}"#, "dict_type"),
        ("POST /api/tools/web/test", "[]", "dict_type"),
        ("POST /api/tools/web/test?skip_connectivity=maybe", "{}", "bool_parsing"),
        (QUERY, r#"{"query": 5}"#, "string_type"),
        (LLM, r#"{"temperature": "hot"}"#, "float_parsing"),
        (LLM, r#"{"temperature": []}"#, "float_type"),
        (CHAT, "{}", "missing"),
        (CHAT, r#"{"prompt": "Hello", "metadata": "x"}"#, "dict_type"),
        ("POST /api/memory/ada/message?role=user", "", "missing"),
        ("GET /api/monitoring/logs?limit=abc", "", "int_parsing"),
        // The server's own routes keep to it.
        (VERIFIED, r#"{"query": "SELECT 1"}"#, "missing"),
        ("POST /api/chat/evaluate", "{}", "missing"),
        ("POST /api/chat/evaluate", r#"{"cases": 5}"#, "list_type"),
        ("GET /v1/executions?limit=abc", "", "int_parsing"),
        ("POST /api/tools/web/execute", r#"{"arguments": []}"#, "dict_type"),
    ];
    for (request, body, kind) in rows {
        let reply = send(&program, request, body, "application/json").await.expect(422);
        assert_eq!(
            (describe(&reply).as_str(), &reply["detail"][0]["type"]),
            ("a list", &json!(kind)),
            "{request} {body}"
        );
    }
}

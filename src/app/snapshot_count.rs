//! Counts the snapshots of the settings that requests take.

use std::collections::BTreeSet;

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::settings::Environment;

/// That of an administrator.
const KEY: &str = "Vt7qYx2LmR9cZw4KpHs8NbJd3FgUa6Eo";

/// A request to each endpoint of the document, those that remove things last.
fn requests() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let (none, chat) = (Value::Null, json!({"prompt": "What is my name?", "user_id": "ada"}));
    let agent = json!({"name": "retention", "url": "http://127.0.0.1:9"});
    let source = json!({"name": "shop", "type": "api", "url": "http://127.0.0.1:9"});
    let tool = json!({"name": "weather", "type": "code_executor"});
    let message = json!({"message": "What is my name?"});
    let verified =
        json!({"question": "How many plans are there?", "query": "SELECT count(DISTINCT plan) FROM subscriptions"});
    let named = |entry: &Value, name: &str| {
        let mut entry = entry.clone();
        entry["name"] = name.into();
        entry
    };
    vec![
        ("post", "/v1/chat", "", chat),
        ("post", "/v1/chat", "", json!({"prompt": "Which plans are there?", "metadata": {"datasource": "shop"}})),
        (
            "post",
            "/v1/chat",
            "",
            json!({"prompt": "How is the weather in Lisbon? Use the tool weather", "stream": true}),
        ),
        ("post", "/v1/chat", "", json!({"prompt": "How do I keep customers?", "metadata": {"agent": "retention"}})),
        ("get", "/v1/chat/health", "", none.clone()),
        (
            "post",
            "/api/chat/evaluate",
            "",
            json!({"cases": [{"prompt": "Weather in Lisbon", "expect": ["tool:weather"]}]}),
        ),
        ("post", "/v1/executions/{id}/steps/{step}/verify", "x task_1", json!({})),
        ("get", "/v1/executions", "", none.clone()),
        ("get", "/v1/executions/{id}", "x", none.clone()),
        ("get", "/v1/executions/{id}/events", "x", none.clone()),
        ("get", "/", "", none.clone()),
        ("get", "/health", "", none.clone()),
        ("get", "/livez", "", none.clone()),
        ("get", "/readyz", "", none.clone()),
        ("get", "/api/auth/me", "", none.clone()),
        ("get", "/api/auth/usage", "", none.clone()),
        ("post", "/api/auth/token", "", none.clone()),
        ("post", "/api/auth/ticket", "", none.clone()),
        ("post", "/api/auth/keys", "", json!({"name": "gui", "role": "user"})),
        ("get", "/api/auth/keys", "", none.clone()),
        ("delete", "/api/auth/keys/{id}", "x", none.clone()),
        ("get", "/api/audit", "", none.clone()),
        ("get", "/api/agents", "", none.clone()),
        ("get", "/api/agents/health/all", "", none.clone()),
        ("get", "/api/agents/{name}", "retention", none.clone()),
        ("post", "/api/agents/{name}/call", "retention", json!({"prompt": "hi"})),
        ("post", "/api/agents/{name}/test", "retention", none.clone()),
        ("post", "/api/agents", "", named(&agent, "other")),
        ("put", "/api/agents/{name}", "retention", agent),
        ("get", "/api/datasources", "", none.clone()),
        ("get", "/api/datasources/health/all", "", none.clone()),
        ("get", "/api/datasources/{name}", "shop", none.clone()),
        ("get", "/api/datasources/{name}/schema", "shop", none.clone()),
        ("get", "/api/datasources/{name}/tables", "shop", none.clone()),
        ("post", "/api/datasources/{name}/query", "shop", json!({"query": "SELECT 1"})),
        ("post", "/api/datasources/{name}/test", "shop", none.clone()),
        ("post", "/api/datasources", "", named(&source, "other")),
        ("put", "/api/datasources/{name}", "shop", source),
        ("post", "/api/datasources/{name}/verified", "shop", verified.clone()),
        ("get", "/api/datasources/{name}/verified", "shop", none.clone()),
        ("put", "/api/datasources/{name}/verified", "shop", json!({"verified": [verified]})),
        ("get", "/api/datasources/{name}/verified/{id}", "shop x", none.clone()),
        ("put", "/api/datasources/{name}/verified/{id}", "shop x", verified),
        ("delete", "/api/datasources/{name}/verified/{id}", "shop x", none.clone()),
        ("delete", "/api/datasources/{name}/verified", "shop", none.clone()),
        ("get", "/api/tools", "", none.clone()),
        ("get", "/api/tools/registry/schemas", "", none.clone()),
        ("get", "/api/tools/types/available", "", none.clone()),
        ("get", "/api/tools/{name}", "weather", none.clone()),
        ("post", "/api/tools/{name}/execute", "weather", json!({"arguments": {"url": "/weather/Lisbon"}})),
        ("post", "/api/tools/{name}/test", "weather", none.clone()),
        ("post", "/api/tools", "", named(&tool, "other")),
        ("put", "/api/tools/{name}", "weather", tool),
        ("get", "/api/config/history", "", none.clone()),
        ("get", "/api/config/revisions/{number}", "1", none.clone()),
        ("get", "/api/config/revisions/{number}/diff", "1", none.clone()),
        ("post", "/api/config/rollback", "", json!({"revision": 1})),
        ("get", "/api/llm/config", "", none.clone()),
        ("get", "/api/llm/health", "", none.clone()),
        ("get", "/api/llm/models", "", none.clone()),
        ("post", "/api/llm/test", "", json!({})),
        ("put", "/api/llm/config", "", json!({"temperature": 0.2})),
        ("get", "/api/memory/config", "", none.clone()),
        ("get", "/api/memory/health", "", none.clone()),
        ("post", "/api/memory/{user_id}/message", "ada", json!({"role": "user", "content": "hi"})),
        ("get", "/api/memory/{user_id}/context", "ada", none.clone()),
        ("get", "/api/memory/{user_id}/history", "ada", none.clone()),
        ("get", "/api/memory/{user_id}/stats", "ada", none.clone()),
        ("get", "/api/memory/{user_id}/summary", "ada", none.clone()),
        ("get", "/api/monitoring/connectivity", "", none.clone()),
        ("get", "/api/monitoring/health", "", none.clone()),
        ("get", "/api/monitoring/logs", "", none.clone()),
        ("get", "/api/monitoring/metrics", "", none.clone()),
        ("get", "/api/monitoring/status", "", none.clone()),
        ("get", "/api/chat/ui/models", "", none.clone()),
        ("get", "/api/chat/ui/profiles", "", none.clone()),
        ("post", "/api/chat/ui/conversations", "", json!({})),
        ("get", "/api/chat/ui/conversations", "", none.clone()),
        ("get", "/api/chat/ui/conversations/{id}", "x", none.clone()),
        ("post", "/api/chat/ui/send", "", message.clone()),
        ("post", "/api/chat/ui/send/stream", "", message),
        ("post", "/api/chat/ui/prompt-profiles", "", json!({"name": "terse", "system_prompt": "Be brief."})),
        ("get", "/api/chat/ui/prompt-profiles", "", none.clone()),
        ("get", "/api/chat/ui/metrics", "", none.clone()),
        ("delete", "/api/chat/ui/conversations/{id}", "x", none.clone()),
        ("get", "/api/config/llm-connections", "", none.clone()),
        ("get", "/api/config/llm-connections/{id}/models", "default", none.clone()),
        ("post", "/api/config/llm-connections/{id}/test", "default", none.clone()),
        ("post", "/api/config/llm-connections", "", json!({"temperature": 0.3})),
        ("post", "/api/llm/config", "", json!({"temperature": 0.4})),
        ("get", "/api/topology/graph", "", none.clone()),
        ("post", "/api/topology/execute", "", json!({"input_data": {}})),
        ("get", "/api/topology/execution/{id}", "x", none.clone()),
        ("delete", "/api/topology/execution/{id}", "x", none.clone()),
        ("post", "/api/topology/test-component", "", json!({"component_id": "agent:retention"})),
        ("get", "/api/routers", "", none.clone()),
        ("get", "/api/routers/{name}", "default", none.clone()),
        ("post", "/api/routers/{name}/test", "default", json!({"input_text": "hi"})),
        ("get", "/api/planners", "", none.clone()),
        ("get", "/api/planners/{name}", "default", none.clone()),
        ("post", "/api/planners/{name}/test", "default", json!({"user_input": "hi"})),
        ("get", "/api/credentials", "", none.clone()),
        ("get", "/api/certs", "", none.clone()),
        ("get", "/api/config/timeout", "", none.clone()),
        ("get", "/api/memory/stats", "", none.clone()),
        ("post", "/api/memory/clear", "", none.clone()),
        ("delete", "/api/memory/stats", "", none.clone()),
        ("delete", "/api/memory/clear", "", none.clone()),
        ("delete", "/api/config/llm-connections/{id}", "default", none.clone()),
        ("delete", "/api/agents/{name}", "other", none.clone()),
        ("delete", "/api/datasources/{name}", "other", none.clone()),
        ("delete", "/api/tools/{name}", "other", none.clone()),
        ("delete", "/api/llm/config", "", none.clone()),
        ("delete", "/api/memory/{user_id}", "ada", none),
    ]
}

#[tokio::test]
async fn a_request_takes_one_snapshot_of_the_settings_at_most() {
    let folder = TempDir::new().unwrap();
    // No background task looks at the settings while requests are counted.
    let variables = [
        ("DATA_DIR", folder.path().to_str().unwrap()),
        ("MONITORING_EXPORT_INTERVAL", "86400"),
        ("AUTH_ENABLED", "true"),
        ("AUTH_SECRET_KEY", "Qm7Zt1kXvR4cN8yWb3Hs6LpDf0JgUa5E9oTiKe2MxBz"),
        ("AUTH_BOOTSTRAP_KEY", KEY),
    ];
    let (environment, _) = demo::start(&Environment::from_pairs(variables)).await.unwrap();
    let app = App::build(load_settings(environment).unwrap(), Platform::system()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;

    let (mut wrong, mut covered) = (Vec::new(), BTreeSet::new());
    for (method, path, parameter, body) in requests() {
        covered.insert(format!("{method} {path}"));
        let mut parameters = parameter.split(' ');
        let filled = path.split('/').map(|part| if part.starts_with('{') { parameters.next().unwrap() } else { part });
        let uri = filled.collect::<Vec<_>>().join("/");
        let request = Request::builder().method(method.to_uppercase().as_str()).uri(&uri);
        let request = request.header(header::HOST, "localhost").header(header::CONTENT_TYPE, "application/json");
        let request = request.header(header::AUTHORIZATION, format!("Bearer {KEY}"));
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let before = app.state.settings.snapshots_taken();
        let reply = app.router.clone().oneshot(request.body(Body::from(text)).unwrap()).await.unwrap();
        let status = reply.status();
        let text = to_bytes(reply.into_body(), usize::MAX).await.unwrap();
        let taken = app.state.settings.snapshots_taken() - before;
        // What a query uses is asked of its source before the change, which sees whether the source is still the same.
        // And an LLM connection is tested before it is saved.
        let asks_first = path.contains("/verified") || path == "/api/config/llm-connections";
        let allowed = if asks_first && matches!(method, "post" | "put") { 2 } else { 1 };
        if taken > allowed || status.is_server_error() || status == 422 {
            let text = String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned();
            wrong.push(format!("{method} {uri} {body}: {status}, {taken} snapshots: {text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let document = serde_json::to_value(openapi_document()).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    let documented: BTreeSet<_> = paths
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| format!("{method} {path}")))
        .collect();
    assert_eq!(covered, documented);
}

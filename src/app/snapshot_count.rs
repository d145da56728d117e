//! Counts the snapshots of the settings that requests take.

use std::collections::BTreeSet;

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::settings::Environment;

/// A request to each endpoint of the document, those that remove things last.
fn requests() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let (none, chat) = (Value::Null, json!({"prompt": "What is my name?", "user_id": "ada"}));
    let agent = json!({"name": "retention", "url": "http://127.0.0.1:9"});
    let source = json!({"name": "shop", "type": "api", "url": "http://127.0.0.1:9"});
    let tool = json!({"name": "weather", "type": "code_executor"});
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
        ("get", "/v1/executions", "", none.clone()),
        ("get", "/v1/executions/{id}", "x", none.clone()),
        ("get", "/", "", none.clone()),
        ("get", "/health", "", none.clone()),
        ("get", "/livez", "", none.clone()),
        ("get", "/readyz", "", none.clone()),
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
        ("get", "/api/tools", "", none.clone()),
        ("get", "/api/tools/registry/schemas", "", none.clone()),
        ("get", "/api/tools/types/available", "", none.clone()),
        ("get", "/api/tools/{name}", "weather", none.clone()),
        ("post", "/api/tools/{name}/execute", "weather", json!({"arguments": {"url": "/weather/Lisbon"}})),
        ("post", "/api/tools/{name}/test", "weather", none.clone()),
        ("post", "/api/tools", "", named(&tool, "other")),
        ("put", "/api/tools/{name}", "weather", tool),
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
    let variables = [("DATA_DIR", folder.path().to_str().unwrap()), ("MONITORING_EXPORT_INTERVAL", "86400")];
    let (environment, _) = demo::start(&Environment::from_pairs(variables)).await.unwrap();
    let app = App::build(load_settings(environment).unwrap(), Platform::system()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;

    let (mut wrong, mut covered) = (Vec::new(), BTreeSet::new());
    for (method, path, parameter, body) in requests() {
        covered.insert(format!("{method} {path}"));
        let start = path.find('{').unwrap_or(path.len());
        let end = path.find('}').map_or(path.len(), |at| at + 1);
        let uri = format!("{}{parameter}{}", &path[..start], &path[end..]);
        let request = Request::builder().method(method.to_uppercase().as_str()).uri(&uri);
        let request = request.header(header::HOST, "localhost").header(header::CONTENT_TYPE, "application/json");
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let before = app.state.settings.snapshots_taken();
        let reply = app.router.clone().oneshot(request.body(Body::from(text)).unwrap()).await.unwrap();
        let status = reply.status();
        let text = to_bytes(reply.into_body(), usize::MAX).await.unwrap();
        let taken = app.state.settings.snapshots_taken() - before;
        if taken > 1 || status.is_server_error() || status == 422 {
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

//! A planted secret must appear in no reply, no log line and no file that others may read.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use tempfile::TempDir;

use crate::common::upstream::{json_reply, open_head};
use crate::common::{Act, Answer, Program, Upstream};

const CANARY: &str = "sk-canary-7f3a9c";

/// An LLM that quotes the key it was sent wherever it can: in errors, answers, streams, lists.
async fn parrot() -> Upstream {
    Upstream::start(|seen, nth| {
        let key = seen.headers.get("authorization").cloned().unwrap_or_default();
        let said = json!({"choices": [{"message": {"content": format!("your key is {key}")}, "finish_reason": "stop"}], "model": key});
        if seen.method == "GET" {
            return json_reply("200 OK", &json!({"data": [{"id": key}]}));
        }
        match nth % 3 {
            0 => json_reply("401 Unauthorized", &json!({"error": {"message": format!("bad key {key}")}})),
            _ if seen.body["stream"] == true => {
                let chunk = json!({"choices": [{"delta": {"content": format!("key {key} ")}, "finish_reason": "stop"}]});
                vec![open_head("text/event-stream"), Act::Send(format!("data: {chunk}\n\ndata: [DONE]\n\n"))]
            }
            _ => json_reply("200 OK", &said),
        }
    })
    .await
}

#[tokio::test]
async fn the_key_appears_nowhere() {
    let llm = parrot().await;
    let folder = TempDir::new().unwrap();
    let base = llm.url();
    let variables = [
        ("LLM_BASE_URL", base.as_str()),
        ("LLM_DEFAULT_MODEL", "m"),
        ("LLM_PROVIDER", "openai"),
        ("LLM_API_KEY", CANARY),
        ("LOG_LEVEL", "trace"),
        ("POSTGRES_DSN", "postgres://u:sk-canary-7f3a9c@db/x"),
        ("REDIS_URL", "redis://:sk-canary-7f3a9c@cache/0"),
    ];
    let program = Program::start("serve", folder.path(), &variables).await;
    let client = &program.client;

    let document = client.get("/openapi.json").await.json();
    let mut replies = Vec::new();
    for _ in 0..3 {
        for (path, operations) in document["paths"].as_object().unwrap() {
            let path = path.replace("{user_id}", "ada").replace("{id}", "none");
            for method in operations.as_object().unwrap().keys().filter(|method| *method != "delete") {
                let method = method.to_uppercase();
                let body = match path.as_str() {
                    "/api/llm/config" => json!({"api_key": CANARY, "temperature": 9}),
                    _ => json!({"prompt": "hello", "role": "user", "content": "hi", "metadata": {"use_cache": false}}),
                };
                let request =
                    client.request(&method, &path).header("content-type", "application/json").body(body.to_string());
                let mut reply = Answer::of(request).await;
                if path == "/api/llm/config" && method == "PUT" {
                    // A 422 quotes the wrong value, which is the temperature, not the key.
                    assert_eq!(reply.status, 422);
                    reply = client.put(&path, &json!({"api_key": CANARY})).await;
                }
                replies.push((method, path.clone(), reply));
            }
        }
        client.chat_events(&json!({"prompt": "stream it", "user_id": "ada"})).await;
        for event in client.chat_events(&json!({"prompt": "again", "metadata": {"use_cache": false}})).await {
            assert!(!event.data.to_string().contains(CANARY), "{event:?}");
        }
    }
    replies.push(("GET".into(), "/v1/executions".into(), client.get("/v1/executions?limit=200").await));
    assert!(llm.chats().iter().any(|seen| seen.headers["authorization"].contains(CANARY)), "the key was used");
    for (method, path, reply) in &replies {
        assert!(
            !reply.text.contains(CANARY) && !format!("{:?}", reply.headers).contains(CANARY),
            "{method} {path}: {}",
            reply.text
        );
    }
    let log = program.log();
    assert!(log.contains("served"));
    let line = log.lines().find(|line| line.contains(CANARY));
    assert_eq!(line, None);

    let stored = folder.path().join("data/config/llm.json");
    assert!(std::fs::read_to_string(&stored).unwrap().contains(CANARY), "the store itself must have it");
    assert_eq!(std::fs::metadata(&stored).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(folder.path().join("data")).unwrap().permissions().mode() & 0o777, 0o700);
    let database = std::fs::metadata(folder.path().join("data/studio.db")).unwrap();
    assert_eq!(database.permissions().mode() & 0o777, 0o600);
}

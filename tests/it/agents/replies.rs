//! What agents of other frameworks answer, as a chat hears it, and where they redirect to.

use serde_json::{Value, json};

use crate::common::chat::notes_of;
use crate::common::tools::{ask, of_action};
use crate::common::upstream::{json_reply, reply};
use crate::common::{TestServer, Upstream};

const SAID: &str = "Two invoices are open.";

/// What becomes of a prompt that is handed over to an agent with this reply: the step's status, its error, and what the LLM is told.
async fn handed_over(kind: &'static str, body: String) -> (String, String, String) {
    let agent = Upstream::start(move |_, _| reply("200 OK", kind, &body)).await;
    let llm = Upstream::saying("Here you are.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    server.post("/api/agents", &json!({"name": "a", "url": agent.url()})).await.expect(201);
    let answer = ask(&server, "Which invoices are open?", json!({"agent": "a", "use_cache": false})).await;
    let of_step =
        |member: &str| of_action(&answer, "external_agent", member)[0].as_str().unwrap_or_default().to_owned();
    (of_step("status"), of_step("error"), llm.chats().last().map(notes_of).unwrap_or_default())
}

fn chat_completion() -> Value {
    json!({"id": "x", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": SAID}}], "usage": {"total_tokens": 3}})
}

#[tokio::test]
async fn a_chat_hears_what_an_agent_says_in_the_form_of_its_framework() {
    let events = |data: &[Value]| data.iter().map(|data| format!("data: {data}\n\n")).collect::<String>();
    let lines = |data: &[Value]| data.iter().map(|data| format!("{data}\n")).collect::<String>();
    let pieces = ["Two invoices", " are open."].map(|piece| json!({"type": "item", "content": piece}));
    let deltas = ["Two invoices", " are open."].map(|piece| json!({"choices": [{"delta": {"content": piece}}]}));
    let rows = [
        ("application/json", json!([{"output": SAID}]).to_string()),
        ("application/json", chat_completion().to_string()),
        (
            "application/json",
            json!({"messages": [{"type": "human", "content": "Which?"}, {"type": "ai", "content": SAID}]}).to_string(),
        ),
        (
            "application/json",
            json!({"jsonrpc": "2.0", "id": 1, "result": {"kind": "task", "id": "t", "status": {"state": "completed"},
            "artifacts": [{"artifactId": "a", "parts": [{"kind": "text", "text": SAID}]}]}})
            .to_string(),
        ),
        ("application/json", json!({"content": [{"type": "text", "text": SAID}]}).to_string()),
        ("application/json", format!("\u{feff}{}", json!({"answer": SAID}))),
        ("application/x-ndjson", lines(&pieces)),
        ("application/json", lines(&pieces)),
        ("application/jsonl; charset=utf-8", json!({"output": SAID}).to_string()),
        ("text/event-stream", events(&deltas)),
        ("text/plain", SAID.to_owned()),
    ];
    for (kind, body) in rows {
        let (status, error, told) = handed_over(kind, body.clone()).await;
        assert_eq!((status.as_str(), error.as_str()), ("completed", ""), "{body}");
        assert!(told.contains(&format!("\n{SAID}\n")), "{body}: {told}");
    }
    let (_, _, told) = handed_over("application/json", json!({"rows": [{"n": 7}]}).to_string()).await;
    assert!(told.contains("\"n\": 7"), "{told}");
}

#[tokio::test]
async fn an_error_in_whatever_form_is_a_failure() {
    let rows = [
        ("application/json", json!({"success": false, "error": "no quota"}).to_string()),
        ("application/json", json!([{"error": "no quota"}]).to_string()),
        (
            "application/json",
            json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "no quota"}}).to_string(),
        ),
        (
            "application/json",
            json!({"result": {"status": {"state": "failed", "message": {"parts": [{"text": "no quota"}]}}}})
                .to_string(),
        ),
        (
            "application/x-ndjson",
            "{\"content\": \"Two\"}\n{\"type\": \"error\", \"message\": \"no quota\"}\n".to_owned(),
        ),
        ("text/event-stream", "data: {\"content\": \"Two\"}\n\nevent: error\ndata: no quota\n\n".to_owned()),
    ];
    for (kind, body) in rows {
        let (status, error, told) = handed_over(kind, body.clone()).await;
        assert_eq!(status, "failed", "{body}: {told}");
        assert!(error.contains("Agent 'a' answered with an error: ") && error.contains("no quota"), "{body}: {error}");
    }
}

#[tokio::test]
async fn a_redirect_on_the_agents_own_server_is_followed_with_body_and_token() {
    let agent = Upstream::start(|seen, _| match seen.path.as_str() {
        "/execute" => reply("307 Temporary Redirect\r\nlocation: /execute/", "text/plain", ""),
        "/health" => reply("301 Moved Permanently\r\nlocation: /health/", "text/plain", ""),
        _ => json_reply("200 OK", &json!({"answer": SAID})),
    })
    .await;
    let server = TestServer::bare().await;
    let entry = json!({"name": "a", "url": agent.url(), "auth_token": "token-of-the-agent"});
    server.post("/api/agents", &entry).await.expect(201);
    let answer = server.post("/api/agents/a/call", &json!({"prompt": "Which?"})).await.expect(200);
    assert_eq!((&answer["success"], &answer["data"]["answer"]), (&json!(true), &json!(SAID)), "{answer}");
    let seen = agent.seen();
    assert_eq!((seen[1].path.as_str(), seen[1].method.as_str()), ("/execute/", "POST"));
    assert_eq!(
        (&seen[1].body, &seen[1].headers["authorization"]),
        (&json!({"prompt": "Which?"}), &"Bearer token-of-the-agent".to_owned())
    );
    assert_eq!(server.post("/api/agents/a/test", &json!({})).await.expect(200)["success"], true);
}

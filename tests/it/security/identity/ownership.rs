//! What belongs to one user is not there for another, whichever way he asks.

use serde_json::{Value, json};

use super::{ADMIN, client_with, user, with_authentication};
use crate::common::{Client, TestServer, Upstream};

const SECRET_WORD: &str = "heliotrope";

/// What Ada has left on the server.
struct Traces {
    execution: String,
    conversation: String,
}

async fn leave_traces(ada: &Client) -> Traces {
    let said = json!({"prompt": format!("Remember {SECRET_WORD}"), "metadata": {"use_cache": true}});
    let answer = ada.post("/v1/chat", &said).await.expect(200);
    let conversation = ada.post("/api/chat/ui/conversations", &json!({"title": SECRET_WORD})).await.expect(200);
    let conversation = conversation["conversation"]["id"].as_str().unwrap().to_owned();
    let message = json!({"conversation_id": conversation, "message": format!("Remember {SECRET_WORD}")});
    ada.post("/api/chat/ui/send", &message).await.expect(200);
    Traces { execution: answer["execution_id"].as_str().unwrap().to_owned(), conversation }
}

#[tokio::test]
async fn nobody_reaches_what_is_another_users() {
    let llm = Upstream::saying("Noted").await;
    let server = TestServer::with_llm(&llm, &with_authentication(&[("CACHE_ENABLED", "true")])).await;
    let (ada, eve) = (user(&server, "ada").await, user(&server, "eve").await);
    let Traces { execution, conversation } = leave_traces(&ada).await;
    let key = format!("chat-ui:{conversation}");

    let nothing = Value::Null;
    let send = json!({"conversation_id": conversation, "message": "What was it?"});
    let attempts: Vec<(&str, String, Value, u16)> = vec![
        ("GET", format!("/v1/executions/{execution}"), nothing.clone(), 404),
        ("GET", format!("/v1/executions/{execution}?user_id=ada"), nothing.clone(), 404),
        ("GET", format!("/v1/executions/{execution}/"), nothing.clone(), 404),
        ("GET", format!("/v1/executions/{execution}/events"), nothing.clone(), 404),
        ("GET", format!("/v1/executions/{execution}/events?after=1"), nothing.clone(), 404),
        ("POST", format!("/v1/executions/{execution}/steps/task_1/verify"), json!({}), 403),
        ("GET", "/v1/executions?user_id=ada".to_owned(), nothing.clone(), 200),
        ("GET", "/v1/executions?user_id=ADA".to_owned(), nothing.clone(), 200),
        ("GET", "/v1/executions?user_id=".to_owned(), nothing.clone(), 200),
        ("GET", "/v1/executions?user_id=eve&user_id=ada".to_owned(), nothing.clone(), 200),
        ("GET", "/v1/executions".to_owned(), nothing.clone(), 200),
        ("GET", "/v1/executions?status=completed&limit=200".to_owned(), nothing.clone(), 200),
        ("GET", "/api/memory/ada/history".to_owned(), nothing.clone(), 404),
        ("GET", "/api/memory/%61da/history".to_owned(), nothing.clone(), 404),
        ("GET", "/api/memory/ada/context".to_owned(), nothing.clone(), 404),
        ("GET", "/api/memory/ada/summary".to_owned(), nothing.clone(), 404),
        ("GET", "/api/memory/ada/stats".to_owned(), nothing.clone(), 404),
        ("GET", format!("/api/memory/{key}/history"), nothing.clone(), 404),
        ("GET", format!("/api/memory/{key}/context"), nothing.clone(), 404),
        ("POST", "/api/memory/ada/message?role=system&content=Tell%20eve".to_owned(), nothing.clone(), 404),
        ("DELETE", "/api/memory/ada".to_owned(), nothing.clone(), 404),
        ("DELETE", format!("/api/memory/{key}"), nothing.clone(), 404),
        ("DELETE", "/api/memory/clear".to_owned(), nothing.clone(), 403),
        ("POST", "/api/memory/clear".to_owned(), nothing.clone(), 403),
        ("DELETE", "/api/memory/stats".to_owned(), nothing.clone(), 403),
        ("GET", "/api/memory/stats".to_owned(), nothing.clone(), 403),
        ("POST", "/v1/chat".to_owned(), json!({"prompt": "What was it?", "user_id": "ada"}), 403),
        ("POST", "/v1/chat".to_owned(), json!({"prompt": "What was it?", "user_id": "ada", "stream": true}), 403),
        ("POST", "/v1/chat".to_owned(), json!({"prompt": "What was it?", "user_id": "eve"}), 200),
        ("POST", "/v1/chat".to_owned(), json!({"prompt": "What was it?"}), 200),
        ("POST", "/v1/chat".to_owned(), json!({"prompt": format!("Remember {SECRET_WORD}x")}), 200),
        ("GET", "/api/chat/ui/conversations".to_owned(), nothing.clone(), 200),
        ("GET", "/api/chat/ui/conversations?user_id=ada".to_owned(), nothing.clone(), 200),
        ("GET", "/api/chat/ui/conversations?user_id=".to_owned(), nothing.clone(), 200),
        ("GET", format!("/api/chat/ui/conversations/{conversation}"), nothing.clone(), 404),
        ("DELETE", format!("/api/chat/ui/conversations/{conversation}"), nothing.clone(), 404),
        ("POST", "/api/chat/ui/send".to_owned(), send.clone(), 404),
        ("POST", "/api/chat/ui/send/stream".to_owned(), send, 404),
        ("POST", "/api/chat/ui/conversations".to_owned(), json!({"title": "x", "user_id": "ada"}), 403),
        ("GET", "/api/chat/ui/metrics".to_owned(), nothing.clone(), 403),
        ("GET", "/api/monitoring/logs".to_owned(), nothing.clone(), 403),
        ("GET", format!("/api/monitoring/logs?execution_id={execution}"), nothing.clone(), 403),
        ("GET", "/api/monitoring/metrics".to_owned(), nothing.clone(), 403),
        ("GET", "/metrics".to_owned(), nothing.clone(), 403),
        ("GET", format!("/api/topology/execution/{execution}"), nothing.clone(), 403),
        ("DELETE", format!("/api/topology/execution/{execution}"), nothing.clone(), 403),
        ("POST", "/api/topology/execute".to_owned(), json!({"prompt": "x"}), 403),
        ("GET", "/api/auth/keys".to_owned(), nothing.clone(), 403),
    ];
    for (method, path, body, status) in &attempts {
        let request = eve.request(method, path).header("content-type", "application/json");
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        let answer = crate::common::Answer::of(request).await;
        assert_eq!(answer.status, *status, "{method} {path}: {}", answer.text);
        // What Eve says herself is hers.
        let text = answer.text.replace(&format!("Remember {SECRET_WORD}x"), "");
        let tells_execution = text.contains(&execution) && !path.contains(&execution);
        assert!(!text.contains(SECRET_WORD) && !tells_execution, "{method} {path}: {text}");
    }
    // No request to the model had Ada's words in it that Eve has caused.
    let caused: Vec<_> = llm.chats().into_iter().filter(|seen| seen.text.contains("What was it?")).collect();
    assert!(caused.len() >= 2);
    for seen in caused {
        // Her own words were almost the same.
        let others = seen.text.replace(&format!("{SECRET_WORD}x"), "");
        assert!(!others.contains(SECRET_WORD), "{}", seen.text);
    }

    // It is all there for Ada, and for an administrator.
    for client in [&ada, &server.with_credential(ADMIN)] {
        client.get(&format!("/v1/executions/{execution}")).await.expect(200);
        client.get(&format!("/v1/executions/{execution}/events")).await.expect(200);
        let shown = client.get(&format!("/api/chat/ui/conversations/{conversation}")).await.expect(200);
        assert_eq!(shown["messages"].as_array().unwrap().len(), 2, "Eve has added nothing");
        let history = client.get("/api/memory/ada/history").await.expect(200);
        assert_eq!(history["count"], 2, "{history}");
    }
}

#[tokio::test]
async fn a_cached_answer_is_for_those_only_who_see_the_same() {
    let llm = Upstream::saying("It is 42").await;
    let server =
        TestServer::with_llm(&llm, &with_authentication(&[("CACHE_ENABLED", "true"), ("MEMORY_ENABLED", "false")]))
            .await;
    let (ada, eve) = (user(&server, "ada").await, user(&server, "eve").await);
    let question = json!({"prompt": "What is the answer to everything?"});
    let cached =
        async |client: &Client| client.post("/v1/chat", &question).await.expect(200)["metadata"]["cached"].clone();
    assert_eq!(cached(&ada).await, json!(false));
    assert_eq!(cached(&ada).await, json!(true));
    assert_eq!(cached(&eve).await, json!(false), "Ada's answer");
    assert_eq!(cached(&eve).await, json!(true));
    let narrowed = client_with(&server, json!({"role": "user", "user_id": "ada", "scopes": ["chat"]})).await;
    assert_eq!(cached(&narrowed).await, json!(false), "she may use less with this key");
}

#[tokio::test]
async fn who_does_not_say_whom_he_speaks_for_speaks_for_himself() {
    let llm = Upstream::saying("Noted").await;
    let server = TestServer::with_llm(&llm, &with_authentication(&[])).await;
    let ada = user(&server, "ada").await;
    ada.post("/v1/chat", &json!({"prompt": "My name is Ada"})).await.expect(200);
    assert_eq!(ada.get("/api/memory/ada/history").await.expect(200)["count"], 2);
    assert_eq!(ada.get("/v1/executions").await.expect(200)["executions"][0]["user_id"], "ada");

    // Whoever may everything speaks for others, and for himself otherwise.
    let admin = server.with_credential(ADMIN);
    let own = admin.get("/api/auth/me").await.expect(200)["user_id"].as_str().unwrap().to_owned();
    assert!(own.starts_with("key:"), "{own}");
    admin.post("/v1/chat", &json!({"prompt": "For Ada", "user_id": "ada"})).await.expect(200);
    admin.post("/v1/chat", &json!({"prompt": "For me"})).await.expect(200);
    assert_eq!(ada.get("/api/memory/ada/history").await.expect(200)["count"], 4);
    assert_eq!(admin.get(&format!("/api/memory/{own}/history")).await.expect(200)["count"], 2);
}

//! Keys and tokens as people use them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tokio::sync::Notify;

use super::{ADMIN, SECRET, client_with, new_key, with_authentication};
use crate::common::{Answer, Client, TestServer, Upstream};

#[tokio::test]
async fn a_key_is_shown_once_lists_without_its_text_and_ends_when_it_is_revoked() {
    let server = TestServer::with(&with_authentication(&[])).await;
    let admin = server.with_credential(ADMIN);
    let body = json!({"name": "gui", "role": "user", "user_id": "ada", "scopes": ["chat", "memory:own"], "expires_in_days": 7});
    let made = admin.post("/api/auth/keys", &body).await.expect(201);
    let key = made["key"].as_str().unwrap();
    assert_eq!(key.len(), 47);
    assert!(key.starts_with(made["details"]["prefix"].as_str().unwrap()));
    let client = server.with_credential(key);
    let me = client.get("/api/auth/me").await.expect(200);
    assert_eq!((&me["user_id"], &me["role"]), (&json!("ada"), &json!("user")));
    assert_eq!(me["scopes"], json!(["chat", "memory:own"]));
    let by_header = Answer::of(server.request("GET", "/api/auth/me").header("x-api-key", key)).await.expect(200);
    assert_eq!(by_header, me);

    let listed = admin.get("/api/auth/keys").await;
    assert!(!listed.text.contains(key), "the text is kept nowhere");
    let keys = listed.expect(200);
    assert_eq!((&keys["count"], &keys["keys"][0]["name"]), (&json!(2), &json!("gui")));
    let id = keys["keys"][0]["id"].as_str().unwrap();
    admin.delete(&format!("/api/auth/keys/{id}")).await.expect(200);
    client.get("/api/auth/me").await.expect(401);
    admin.delete(&format!("/api/auth/keys/{id}")).await.expect(404);
    admin.delete("/api/auth/keys/none").await.expect(404);

    // Nothing of it comes back with a restart, and nothing is lost.
    let (key, other) = (key.to_owned(), new_key(&server, json!({"role": "viewer"})).await);
    let server = server.restart().await;
    server.with_credential(&key).get("/api/auth/me").await.expect(401);
    server.with_credential(&other).get("/api/agents").await.expect(200);
    server.with_credential(ADMIN).get("/api/auth/keys").await.expect(200);
}

#[tokio::test]
async fn nobody_makes_a_key_that_may_more_than_they() {
    let server = TestServer::with(&with_authentication(&[])).await;
    let narrow = client_with(&server, json!({"role": "admin", "scopes": ["keys", "chat", "tools.use:weather"]})).await;
    for members in [
        json!({"role": "admin"}),
        json!({"role": "user"}),
        json!({"role": "admin", "scopes": ["keys", "audit"]}),
        json!({"role": "user", "scopes": ["tools:use"]}),
        json!({"role": "user", "scopes": ["tools.use:payroll"]}),
    ] {
        let mut body = json!({"name": "more"});
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        assert_eq!(narrow.post("/api/auth/keys", &body).await.status, 403, "{body}");
    }
    let less = json!({"name": "less", "role": "user", "scopes": ["chat", "tools.use:weather"]});
    narrow.post("/api/auth/keys", &less).await.expect(201);
}

#[tokio::test]
async fn a_token_is_narrowed_short_lived_and_made_from_a_key_only() {
    let server = TestServer::with(&with_authentication(&[("AUTH_TOKEN_EXPIRE_MINUTES", "5")])).await;
    let client = client_with(&server, json!({"role": "operator", "user_id": "ada"})).await;
    let made = client
        .post("/api/auth/token", &json!({"scopes": ["chat", "keys"], "expires_in_minutes": 60}))
        .await
        .expect(200);
    assert_eq!((&made["token_type"], &made["expires_in"]), (&json!("bearer"), &json!(300)));
    let token = server.with_credential(made["access_token"].as_str().unwrap());
    let me = token.get("/api/auth/me").await.expect(200);
    assert_eq!(
        (&me["user_id"], &me["scopes"]),
        (&json!("ada"), &json!(["chat"])),
        "what the key may not, its token may not"
    );
    token.get("/api/agents").await.expect(403);
    token.post("/api/auth/token", &json!({})).await.expect(403);
    client.post("/api/auth/token", &json!({"scopes": ["everything"]})).await.expect(422);
    Answer::of(client.request("POST", "/api/auth/token")).await.expect(200);

    // A ticket stands in the query of a stream, and nowhere else.
    let operator = client.post("/api/auth/ticket", &json!(null)).await.expect(200);
    let ticket = operator["ticket"].as_str().unwrap();
    assert_eq!(operator["expires_in"], 60);
    server.get(&format!("/api/monitoring/logs?ticket={ticket}")).await.expect(200);
    server.get(&format!("/api/agents?ticket={ticket}")).await.expect(401);
    server.get(&format!("/api/monitoring/logs?ticket={}", made["access_token"].as_str().unwrap())).await.expect(401);
    server.get("/api/monitoring/logs?ticket=x").await.expect(401);
    server.with_credential(ticket).get("/api/auth/me").await.expect(401);
    let short = client.post("/api/auth/token", &json!({"expires_in_minutes": 1})).await.expect(200);
    let short = short["access_token"].as_str().unwrap();
    server.with_credential(short).get("/api/monitoring/logs").await.expect(200);
    server.get(&format!("/api/monitoring/logs?ticket={short}")).await.expect(401);
}

/// The bytes of a reply up to its end, which has to come, and whether it was complete.
async fn read_to_end(reply: reqwest::Response) -> (String, bool) {
    let (mut text, mut chunks) = (String::new(), reply.bytes_stream());
    let reading = async {
        while let Some(chunk) = chunks.next().await {
            let Ok(chunk) = chunk else { return false };
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        true
    };
    let is_complete = tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap();
    (text, is_complete)
}

#[tokio::test]
async fn streams_break_off_when_their_key_is_revoked_and_no_others() {
    let word = Arc::new(Notify::new());
    let llm = Upstream::paced(&["The answer", " is 42."], &word).await;
    let server = TestServer::with_llm(&llm, &with_authentication(&[])).await;
    let admin = server.with_credential(ADMIN);
    let made = admin.post("/api/auth/keys", &json!({"name": "lost", "role": "operator"})).await.expect(201);
    let lost = server.with_credential(made["key"].as_str().unwrap());
    let token = lost.post("/api/auth/token", &json!({})).await.expect(200);
    let token = server.with_credential(token["access_token"].as_str().unwrap());
    let other = client_with(&server, json!({"role": "operator"})).await;
    let open = async |client: &Client| {
        client.request("GET", "/api/monitoring/logs?follow=true").send().await.unwrap().error_for_status().unwrap()
    };
    let (by_key, by_token) = (open(&lost).await, open(&token).await);
    let question = json!({"prompt": "What is the answer?", "stream": true});
    let mut by_other = other.open_stream(&question).await;
    let chat = lost.request("POST", "/v1/chat").header("content-type", "application/json");
    let chat = chat.body(question.to_string()).send().await.unwrap();
    while llm.chats().len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    admin.delete(&format!("/api/auth/keys/{}", made["details"]["id"].as_str().unwrap())).await.expect(200);
    for reply in [by_key, by_token, chat] {
        let (text, is_complete) = read_to_end(reply).await;
        assert!(!is_complete && !text.contains("event: answer"), "{text}");
    }
    llm.client_left().await;
    while by_other.next().await.unwrap().event != "answer" {
        word.notify_one();
    }
}

#[tokio::test]
async fn what_says_who_calls_is_read_once_and_strictly() {
    let server = TestServer::with(&with_authentication(&[])).await;
    let ask = |headers: &[(&str, &str)]| {
        let request = server.request("GET", "/api/auth/me");
        Answer::of(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
    };
    let bearer = format!("Bearer {ADMIN}");
    for headers in [
        vec![("authorization", bearer.as_str()), ("authorization", bearer.as_str())],
        vec![("authorization", bearer.as_str()), ("x-api-key", ADMIN)],
        vec![("x-api-key", ADMIN), ("x-api-key", ADMIN)],
        vec![("authorization", ADMIN)],
        vec![("authorization", "Bearer")],
        vec![("authorization", "Bearer ")],
        vec![("authorization", "Basic dTpw")],
        vec![("x-api-key", "")],
        vec![("x-api-key", SECRET)],
    ] {
        let refused = ask(&headers).await;
        assert_eq!(refused.status, 401, "{headers:?}");
        assert!(refused.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer realm="), "{headers:?}");
        assert!(!refused.text.contains(ADMIN));
    }
    for headers in [[("authorization", format!("bearer   {ADMIN}").as_str())], [("x-api-key", ADMIN)]] {
        ask(&headers).await.expect(200);
    }
}

#[tokio::test]
async fn without_authentication_anybody_may_everything_and_there_are_no_keys() {
    let server = TestServer::bare().await;
    let me = server.get("/api/auth/me").await.expect(200);
    assert_eq!((&me["authenticated"], &me["user_id"]), (&json!(false), &json!(null)));
    server.get("/api/auth/keys").await.expect(503);
    server.post("/api/auth/keys", &json!({"name": "x", "role": "admin"})).await.expect(503);
    server.post("/api/auth/token", &json!({})).await.expect(503);
    let document = server.get("/openapi.json").await.expect(200);
    assert!(document["paths"]["/api/agents"]["get"]["security"].is_null(), "nothing to say who calls with");
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_ask_first_whether_it_may_send_a_key() {
    let server = TestServer::with(&with_authentication(&[("CORS_ORIGINS", "http://localhost:3000")])).await;
    let origin = "http://localhost:3000";
    let asked = server.request("OPTIONS", "/api/agents").header("origin", origin);
    let asked = asked.header("access-control-request-method", "GET");
    let asked = Answer::of(asked.header("access-control-request-headers", "authorization,x-api-key")).await;
    assert_eq!(asked.status, 200);
    assert!(asked.headers["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
    let refused = Answer::of(server.request("GET", "/api/agents").header("origin", origin)).await;
    assert_eq!((refused.status, &refused.headers["access-control-allow-origin"]), (401, &origin.parse().unwrap()));
}

//! Conversations: added to, read back, limited, expired, forgotten.

use std::time::Duration;

use orchestrator_studio::kernel::Clock;
use serde_json::{Value, json};

use crate::common::{TestServer, Upstream};

async fn say(server: &TestServer, user: &str, role: &str, content: &str) {
    let body = json!({"role": role, "content": content});
    server.post(&format!("/api/memory/{user}/message"), &body).await.expect(200);
}

fn contents(reply: &Value, list: &str) -> Vec<String> {
    reply[list].as_array().unwrap().iter().map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn messages_are_added_in_both_ways_and_read_newest_first() {
    let server = TestServer::bare().await;
    let body = json!({"role": "user", "content": "first", "metadata": {"n": 1}});
    let added = server.post("/api/memory/ada/message", &body).await.expect(200);
    let expected =
        json!({"success": true, "message": "Message added to conversation history", "user_id": "ada", "role": "user"});
    assert_eq!(added, expected);

    let query = "/api/memory/ada/message?role=assistant&content=second%20%2B%20more";
    server.post(query, &json!({"from": "script"})).await.expect(200);
    let plain = server.request("POST", "/api/memory/ada/message?role=system&content=");
    assert_eq!(crate::common::Answer::of(plain).await.status, 200, "no body, empty content");

    let history = server.get("/api/memory/ada/history").await.expect(200);
    assert_eq!((&history["success"], &history["user_id"], &history["count"]), (&json!(true), &json!("ada"), &json!(3)));
    assert_eq!(contents(&history, "messages"), ["", "second + more", "first"]);
    let roles: Vec<_> = history["messages"].as_array().unwrap().iter().map(|message| message["role"].clone()).collect();
    assert_eq!(roles, ["system", "assistant", "user"]);
    assert_eq!(history["messages"][1]["metadata"], json!({"from": "script"}));
    assert_eq!(history["messages"][2]["metadata"], json!({"n": 1}));
    let timestamp = history["messages"][0]["timestamp"].as_str().unwrap();
    assert!(timestamp.starts_with("20") && timestamp.ends_with('Z'), "{timestamp}");

    assert_eq!(contents(&server.get("/api/memory/ada/history?limit=1").await.expect(200), "messages"), [""]);
    assert_eq!(server.get("/api/memory/ada/history?limit=0").await.expect(200)["count"], 3);
    assert_eq!(server.get("/api/memory/ada/history?limit=99999999999").await.expect(200)["count"], 3);
    assert_eq!(server.get("/api/memory/nobody/history").await.expect(200)["messages"], json!([]));
}

#[tokio::test]
async fn a_query_parameter_does_not_silence_the_body() {
    let server = TestServer::bare().await;
    let message = json!({"role": "user", "content": "Hi.", "metadata": {"n": 1}});
    let newest = async |query: &str, body: &Value| {
        server.post(&format!("/api/memory/ada/message?{query}"), body).await.expect(200);
        server.get("/api/memory/ada/history?limit=1").await.expect(200)["messages"][0].clone()
    };
    for (query, body, role, content, metadata) in [
        ("trace=7", message.clone(), "user", "Hi.", json!({"n": 1})),
        ("role=system", message.clone(), "system", "Hi.", json!({"n": 1})),
        ("content=Ho.", message.clone(), "user", "Ho.", json!({"n": 1})),
        ("role=assistant", json!({"content": "Hi."}), "assistant", "Hi.", json!({})),
        ("role=assistant&content=Ho.", message.clone(), "assistant", "Ho.", message.clone()),
    ] {
        let stored = newest(query, &body).await;
        assert_eq!((&stored["role"], &stored["content"]), (&json!(role), &json!(content)), "{query}");
        assert_eq!(stored["metadata"], metadata, "{query}");
    }
    let refused = server.post("/api/memory/ada/message?role=user", &json!({"text": "Hi."})).await.expect(422);
    assert_eq!(refused["errors"][0]["loc"], json!(["body", "content"]));
}

#[tokio::test]
async fn the_context_is_the_newest_turns_that_fit_in_order() {
    let server = TestServer::bare().await;
    say(&server, "ada", "system", "Be brief.").await;
    for number in 0..6 {
        say(&server, "ada", "user", &format!("question {number}")).await;
    }
    let context = server.get("/api/memory/ada/context").await.expect(200);
    assert_eq!(context["message_count"], 7);
    assert_eq!(context["context"][0], json!({"role": "system", "content": "Be brief."}));
    // 8 tokens are 32 characters: 9 for the system message, 10 for each of two questions.
    let context = server.get("/api/memory/ada/context?max_tokens=8").await.expect(200);
    assert_eq!(contents(&context, "context"), ["Be brief.", "question 4", "question 5"]);
    let empty = server.get("/api/memory/nobody/context").await.expect(200);
    assert_eq!((&empty["context"], &empty["message_count"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn statistics_count_code_points() {
    let server = TestServer::bare().await;
    say(&server, "ada", "user", "héllo").await;
    say(&server, "ada", "assistant", "日本").await;
    let stats = server.get("/api/memory/ada/stats").await.expect(200);
    let expected = json!({"total_messages": 2, "user_messages": 1, "assistant_messages": 1, "system_messages": 0,
        "total_characters": 7, "has_summary": false, "memory_enabled": true, "max_messages": 50});
    assert_eq!(stats, json!({"success": true, "user_id": "ada", "stats": expected}));
}

#[tokio::test]
async fn the_oldest_messages_go_when_the_limit_is_reached() {
    let server = TestServer::with(&[("MEMORY_MAX_MESSAGES", "3")]).await;
    for number in 0..5 {
        say(&server, "ada", "user", &number.to_string()).await;
    }
    assert_eq!(contents(&server.get("/api/memory/ada/history").await.expect(200), "messages"), ["4", "3", "2"]);
    assert_eq!(contents(&server.get("/api/memory/ada/context").await.expect(200), "context"), ["2", "3", "4"]);
}

#[tokio::test]
async fn clearing_takes_one_conversation_and_no_other() {
    let server = TestServer::bare().await;
    say(&server, "ada", "user", "a").await;
    say(&server, "bob", "user", "b").await;
    let cleared = server.delete("/api/memory/ada").await.expect(200);
    assert_eq!(cleared, json!({"success": true, "message": "Conversation memory cleared for user ada"}));
    assert_eq!(server.get("/api/memory/ada/history").await.expect(200)["count"], 0);
    assert_eq!(server.get("/api/memory/bob/history").await.expect(200)["count"], 1);
    server.delete("/api/memory/nobody").await.expect(200);
    let summary = server.get("/api/memory/bob/summary").await.expect(200);
    assert_eq!(summary, json!({"success": true, "user_id": "bob", "summary": null, "has_summary": false}));
}

#[tokio::test]
async fn a_conversation_is_forgotten_after_its_time_and_lives_on_with_each_message() {
    let clock = Clock::manual(1_700_000_000_000);
    let server = TestServer::with_clock(&[("REDIS_TTL_SECONDS", "100")], clock.clone()).await;
    say(&server, "ada", "user", "one").await;
    clock.advance(Duration::from_secs(90));
    say(&server, "ada", "user", "two").await;
    clock.advance(Duration::from_secs(90));
    let history = server.get("/api/memory/ada/history").await.expect(200);
    assert_eq!(contents(&history, "messages"), ["two", "one"]);
    assert_eq!(history["messages"][1]["timestamp"], "2023-11-14T22:13:20.000Z");
    clock.advance(Duration::from_secs(10));
    assert_eq!(server.get("/api/memory/ada/history").await.expect(200)["count"], 0);
    say(&server, "ada", "user", "three").await;
    assert_eq!(contents(&server.get("/api/memory/ada/history").await.expect(200), "messages"), ["three"]);
}

#[tokio::test]
async fn a_user_may_have_any_printable_name_but_the_modules_own() {
    let server = TestServer::bare().await;
    for (path, user) in [
        ("J%C3%BCrgen%20%F0%9F%98%80", "Jürgen 😀"),
        ("a%2Fb", "a/b"),
        ("..%2F", "../"),
        ("%25", "%"),
        ("'%3B--", "';--"),
    ] {
        say(&server, path, "user", "hi").await;
        let history = server.get(&format!("/api/memory/{path}/history")).await.expect(200);
        assert_eq!((&history["user_id"], &history["count"]), (&json!(user), &json!(1)));
        server.delete(&format!("/api/memory/{path}")).await.expect(200);
    }
    for user in ["config", "health"] {
        let refused = server.get(&format!("/api/memory/{user}/history")).await.expect(422);
        assert_eq!(refused["errors"][0]["loc"], json!(["path", "user_id"]));
    }
}

#[tokio::test]
async fn memory_that_is_off_says_so_and_chat_goes_on_without_it() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[("MEMORY_ENABLED", "false")]).await;
    let refused = server.post("/api/memory/ada/message", &json!({"role": "user", "content": "x"})).await.expect(503);
    assert!(refused["detail"].as_str().unwrap().contains("MEMORY_ENABLED"));
    assert_eq!(server.get("/api/memory/config").await.expect(200)["enabled"], false);
    let reply = server.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(200);
    assert_eq!((&reply["answer"], &reply["metadata"]["memory_saved"]), (&json!("Hi."), &json!(null)));
    assert_eq!(server.get("/api/memory/default/history").await.expect(200)["count"], 0);
}

#[tokio::test]
async fn the_module_tells_how_it_is_set_up() {
    let server = TestServer::bare().await;
    let config = json!({"enabled": true, "max_messages": 50, "summary_enabled": true, "redis_configured": false, "postgres_configured": false});
    assert_eq!(server.get("/api/memory/config").await.expect(200), config);
    let health = json!({"healthy": true, "enabled": true, "storage": [
        {"type": "redis", "status": "not_configured"}, {"type": "postgres", "status": "not_configured"}, {"type": "sqlite", "status": "healthy"}], "degraded": []});
    assert_eq!(server.get("/api/memory/health").await.expect(200), health);
}

#[tokio::test]
async fn turns_written_at_the_same_time_stay_in_pairs() {
    let llm = Upstream::saying("pong").await;
    let server = TestServer::with_llm(&llm, &[("MEMORY_MAX_MESSAGES", "200"), ("CACHE_ENABLED", "false")]).await;
    let asks = (0..30).map(|number| {
        let server = &server;
        async move {
            server.post("/v1/chat", &json!({"prompt": format!("ping {number}"), "user_id": "ada"})).await.expect(200)
        }
    });
    futures_util::future::join_all(asks).await;
    let history = server.get("/api/memory/ada/history").await.expect(200);
    let messages = history["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 60);
    for pair in messages.chunks(2) {
        assert_eq!((&pair[0]["role"], &pair[1]["role"]), (&json!("assistant"), &json!("user")));
    }
}

#[tokio::test]
async fn instructions_outlive_the_turns_around_them() {
    let server = TestServer::with(&[("MEMORY_MAX_MESSAGES", "3")]).await;
    say(&server, "ada", "system", "Answer in French.").await;
    for number in 0..6 {
        say(&server, "ada", "user", &number.to_string()).await;
    }
    let context = server.get("/api/memory/ada/context").await.expect(200);
    assert_eq!(contents(&context, "context"), ["Answer in French.", "4", "5"]);
}

//! Conversations that were written by the original, or by hand, are read; and what is written here, others can read.

use serde_json::{Value, json};

use crate::common::redis::RedisServer;
use crate::common::{TestServer, Upstream};

async fn history(server: &TestServer, user: &str) -> Value {
    server.get(&format!("/api/memory/{user}/history")).await.expect(200)["messages"].clone()
}

#[tokio::test]
async fn what_the_original_wrote_is_read() {
    let redis = RedisServer::start();
    let llm = Upstream::saying("As I said, 42.").await;
    let server = TestServer::with_llm(&llm, &[("REDIS_URL", &redis.url())]).await;
    // Newest first, with the blanks that Python leaves.
    for message in [
        r#"{"role": "user", "content": "What is the answer?", "timestamp": "2026-11-22T17:20:03.374377", "metadata": {"n": 1}}"#,
        r#"{"role": "assistant", "content": "42 \u00e9", "timestamp": "2026-11-22T17:20:04", "metadata": {}}"#,
        r#"{"role": "assistant", "content": null, "timestamp": "2026-11-22T17:20:05", "metadata": {}}"#,
        r#"{"role": "user", "timestamp": "2026-11-22T17:20:06", "metadata": {}}"#,
    ] {
        redis.cli(&["LPUSH", "conversation:ada", message]);
    }
    redis.cli(&["EXPIRE", "conversation:ada", "3600"]);
    redis.cli(&["SET", "conversation_summary:ada", "They met before."]);

    let read = history(&server, "ada").await;
    assert_eq!(read.as_array().unwrap().len(), 4);
    assert_eq!(
        (&read[0]["content"], &read[1]["content"], &read[2]["content"]),
        (&json!(""), &json!(""), &json!("42 é"))
    );
    let first = json!({"role": "user", "content": "What is the answer?", "timestamp": "2026-11-22T17:20:03.374Z",
        "metadata": {"n": 1}});
    assert_eq!(read[3], first);
    assert_eq!(server.get("/api/memory/ada/summary").await.expect(200)["summary"], "They met before.");
    let context = server.get("/api/memory/ada/context").await.expect(200)["context"].clone();
    assert_eq!(context[1], json!({"role": "user", "content": "What is the answer?"}));
    assert_eq!(server.get("/api/memory/ada/stats").await.expect(200)["stats"]["total_characters"], 23);

    server.post("/v1/chat", &json!({"prompt": "Say it again", "user_id": "ada"})).await.expect(200);
    let asked = llm.chats().pop().unwrap().body["messages"].to_string();
    assert!(asked.contains("42 é") && asked.contains("They met before."), "{asked}");
    assert_eq!(redis.cli(&["LLEN", "conversation:ada"]), "6");
}

#[tokio::test]
async fn what_is_written_has_the_originals_layout() {
    let redis = RedisServer::start();
    let server = TestServer::with(&[("REDIS_URL", &redis.url()), ("MEMORY_MAX_MESSAGES", "3")]).await;
    for number in 0..5 {
        let body = json!({"role": "user", "content": format!("n° {number}"), "metadata": {"n": number}});
        server.post("/api/memory/ada/message", &body).await.expect(200);
    }
    assert_eq!(redis.cli(&["LLEN", "conversation:ada"]), "3", "the limit holds there");
    let newest: Value = serde_json::from_str(&redis.cli(&["LINDEX", "conversation:ada", "0"])).unwrap();
    assert_eq!(
        (&newest["role"], &newest["content"], &newest["metadata"]),
        (&json!("user"), &json!("n° 4"), &json!({"n": 4}))
    );
    let fields: Vec<_> = newest.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["role", "content", "timestamp", "metadata"]);
    let timestamp = newest["timestamp"].as_str().unwrap();
    assert!(timestamp.len() == 26 && timestamp.as_bytes()[10] == b'T' && !timestamp.ends_with('Z'), "{timestamp}");
    let ttl: i64 = redis.cli(&["TTL", "conversation:ada"]).parse().unwrap();
    assert!((3500..=3600).contains(&ttl), "{ttl}");

    server.delete("/api/memory/ada").await.expect(200);
    assert_eq!(redis.cli(&["EXISTS", "conversation:ada", "conversation_summary:ada"]), "0");
}

#[tokio::test]
async fn two_servers_share_conversations_and_cached_answers() {
    let redis = RedisServer::start();
    let llm = Upstream::saying("Hi.").await;
    let one = TestServer::with_llm(&llm, &[("REDIS_URL", &redis.url())]).await;
    let two = TestServer::with_llm(&llm, &[("REDIS_URL", &redis.url())]).await;
    one.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "ada"})).await.expect(200);
    assert_eq!(history(&two, "ada").await, history(&one, "ada").await);
    let reply = two.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "bob"})).await.expect(200);
    assert_eq!((&reply["metadata"]["cached"], llm.chats().len()), (&json!(true), 1));
    two.delete("/api/memory/ada").await.expect(200);
    assert_eq!(history(&one, "ada").await, json!([]));
}

#[tokio::test]
async fn a_key_of_another_kind_is_the_requests_trouble_and_nobody_elses() {
    let redis = RedisServer::start();
    let server = TestServer::with(&[("REDIS_URL", &redis.url())]).await;
    redis.cli(&["SET", "conversation:ada", "no list"]);
    server.get("/api/memory/ada/history").await.expect(500);
    server.post("/api/memory/ada/message", &json!({"role": "user", "content": "x"})).await.expect(500);
    let health = server.get("/api/memory/health").await.expect(200);
    assert_eq!((&health["healthy"], &health["storage"][0]["status"]), (&json!(true), &json!("healthy")));
    assert_eq!(health["degraded"], json!([]));
}

#[tokio::test]
async fn conversations_from_before_redis_move_there() {
    let redis = RedisServer::start();
    let server = TestServer::bare().await;
    for number in 0..3 {
        let body = json!({"role": "user", "content": number.to_string()});
        server.post("/api/memory/ada/message", &body).await.expect(200);
    }
    let before = history(&server, "ada").await;
    let server = server.restart_with(&[("REDIS_URL", &redis.url())]).await;
    assert_eq!(redis.cli(&["LLEN", "conversation:ada"]), "3");
    assert_eq!(history(&server, "ada").await, before);
    let server = server.restart().await;
    assert_eq!(history(&server, "ada").await, before, "once");
}

#[tokio::test]
async fn a_key_of_another_type_is_told_with_a_reason_and_costs_no_answer() {
    let redis = RedisServer::start();
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[("REDIS_URL", &redis.url())]).await;
    redis.cli(&["SET", "conversation:eve", "hello"]);
    redis.cli(&["SADD", "conversation:mia", "hello"]);
    redis.cli(&["HSET", "conversation_summary:zoe", "a", "b"]);
    redis.cli(&["LPUSH", "conversation:zoe", "hello"]);
    for user in ["eve", "mia", "zoe"] {
        for path in ["history", "context", "summary", "stats"] {
            let told = server.get(&format!("/api/memory/{user}/{path}")).await;
            // What does not read the key has nothing to say of it.
            if told.status != 200 {
                let detail = told.expect(500)["detail"].as_str().unwrap().to_owned();
                assert!(detail.contains("value of another type"), "{user} {path}: {detail}");
            }
        }
        let history = server.get(&format!("/api/memory/{user}/history")).await.expect(500);
        assert!(history["detail"].as_str().unwrap().contains("rename or delete it"), "{history}");
    }
    let reply = server.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "eve"})).await.expect(200);
    assert_eq!((&reply["answer"], &reply["metadata"]["memory_saved"]), (&json!("Hi."), &json!(false)));
    let well = server.post("/api/memory/ada/message", &json!({"role": "user", "content": "Hi."})).await;
    assert_eq!((well.status, redis.cli(&["LLEN", "conversation:ada"]).as_str()), (200, "1"), "Redis is still in use");
    redis.cli(&["DEL", "conversation:eve"]);
    assert_eq!(server.get("/api/memory/eve/history").await.expect(200)["count"], 0);
}

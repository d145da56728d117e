//! One request that Redis has no time for is not an outage for everybody.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::redis::RedisServer;
use crate::common::{Client, Program, Upstream};

async fn status(client: &Client) -> Value {
    client.get("/api/memory/health").await.expect(200)["storage"][0]["status"].clone()
}

#[tokio::test]
async fn a_slow_answer_to_one_request_is_no_outage() {
    let (redis, llm, folder) = (RedisServer::start(), Upstream::saying("Hi.").await, TempDir::new().unwrap());
    let (url, base) = (redis.url(), llm.url());
    let variables = [("REDIS_URL", url.as_str()), ("LLM_BASE_URL", &base), ("LLM_DEFAULT_MODEL", "m")];
    let program = Program::start("serve", folder.path(), &variables).await;
    let client = &program.client;
    let say = async || client.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "ada"})).await.expect(200);
    say().await;
    for _ in 0..3 {
        // Scripts wait, while Redis answers everything else.
        redis.cli(&["CLIENT", "PAUSE", "700", "WRITE"]);
        let context = client.get("/api/memory/ada/context").await.expect(200)["context"].clone();
        assert_eq!(context.as_array().unwrap().len(), 2, "the copy answers: {context}");
        assert_eq!(status(client).await, "healthy");
        redis.cli(&["CLIENT", "UNPAUSE"]);
    }
    // What is stored keeps its order: it goes to the embedded store first, and from there to Redis.
    redis.cli(&["CLIENT", "PAUSE", "700", "WRITE"]);
    assert_eq!(say().await["metadata"]["memory_saved"], true);
    redis.cli(&["CLIENT", "UNPAUSE"]);
    for _ in 0..500 {
        if status(client).await == "healthy" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((status(client).await, redis.cli(&["LLEN", "conversation:ada"])), (json!("healthy"), "4".to_owned()));
    assert!(!program.log().contains("stands in for it"), "{}", program.log());
    program.kill();
}

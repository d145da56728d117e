//! The memory page: true numbers, and a button that forgets everything.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::program::free_port;
use crate::common::redis::RedisServer;
use crate::common::{Client, Program, TestServer, Upstream};

const NUMBERS: [&str; 3] = ["conversation_count", "cache_hit_rate", "state_store_entries"];

/// The binary, whose figures are its own.
async fn program(llm: &Upstream, folder: &TempDir, more: &[(&str, &str)]) -> Program {
    let url = llm.url();
    let variables = [("LLM_BASE_URL", url.as_str()), ("LLM_DEFAULT_MODEL", "m"), ("LLM_PROVIDER", "openai")];
    Program::start("serve", folder.path(), &[&variables[..], more].concat()).await
}

async fn stats(client: &Client) -> Value {
    let stats = client.get("/api/memory/stats").await.expect(200);
    assert!(NUMBERS.iter().all(|name| stats[*name].is_number()), "{stats}");
    assert!(stats["redis_memory_usage"].is_string(), "{stats}");
    stats
}

async fn ask(client: &Client, user: &str, prompt: &str) -> Value {
    client.post("/v1/chat", &json!({"prompt": prompt, "user_id": user})).await.expect(200)
}

async fn count_of(client: &Client, user: &str) -> Value {
    client.get(&format!("/api/memory/{user}/history")).await.expect(200)["count"].clone()
}

#[tokio::test]
async fn the_numbers_are_true_and_clearing_forgets_conversations_and_answers() {
    let (llm, folder) = (Upstream::saying("42").await, TempDir::new().unwrap());
    let program = program(&llm, &folder, &[]).await;
    let client = &program.client;
    let expected = json!({"conversation_count": 0, "conversation_count_is_exact": true, "cache_hit_rate": 0.0,
        "redis_memory_usage": "Redis is not configured", "state_store_entries": 0});
    assert_eq!(stats(client).await, expected);

    for user in ["ada", "bob", "eve"] {
        ask(client, user, "What is the answer?").await;
    }
    // The first of them asked a model, and each conversation was empty.
    assert_eq!(llm.chats().len(), 1);
    let seen = stats(client).await;
    assert_eq!((&seen["conversation_count"], &seen["state_store_entries"]), (&json!(3), &json!(3)));
    assert!((seen["cache_hit_rate"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9, "{seen}");

    // The page sends no body.
    let cleared = crate::common::Answer::of(client.request("POST", "/api/memory/clear")).await.expect(200);
    assert_eq!(
        (&cleared["success"], &cleared["conversations"], &cleared["answers"]),
        (&json!(true), &json!(3), &json!(1))
    );
    assert_eq!(cleared["message"], "Cleared 3 conversation(s) and 1 cached answer(s)");
    let left = stats(client).await;
    assert_eq!((&left["conversation_count"], &left["state_store_entries"]), (&json!(0), &json!(3)), "records stay");
    assert_eq!(count_of(client, "ada").await, 0);
    ask(client, "ada", "What is the answer?").await;
    assert_eq!(llm.chats().len(), 2, "the cached answer is gone");
}

#[tokio::test]
async fn a_redis_that_is_away_is_told_from_none() {
    let (llm, folder) = (Upstream::saying("42").await, TempDir::new().unwrap());
    let away = format!("redis://127.0.0.1:{}", free_port());
    let program = program(&llm, &folder, &[("REDIS_URL", &away)]).await;
    assert_eq!(stats(&program.client).await["redis_memory_usage"], "Redis is away");
}

#[tokio::test]
async fn what_redis_holds_is_counted_and_cleared_and_nobody_elses_keys_are_touched() {
    let (llm, folder, redis) = (Upstream::saying("Noted.").await, TempDir::new().unwrap(), RedisServer::start());
    redis.cli(&["SET", "somebody:else", "kept"]);
    redis.cli(&["RPUSH", "conversation:of-another-server", r#"{"role": "user", "content": "hi"}"#]);
    let program = program(&llm, &folder, &[("REDIS_URL", &redis.url())]).await;
    let client = &program.client;
    for user in ["ada", "bob: with a colon", "ada"] {
        ask(client, user, &format!("I am {user}, for the {} time", fastrand::u64(..))).await;
    }
    let seen = stats(client).await;
    assert_eq!(seen["conversation_count"], 3, "with that of another server: {seen}");
    assert!(seen["redis_memory_usage"].as_str().unwrap().ends_with(['K', 'M']), "{seen}");

    let cleared = client.post("/api/memory/clear", &json!({})).await.expect(200);
    assert_eq!((&cleared["conversations"], &cleared["answers"]), (&json!(3), &json!(3)));
    assert_eq!(stats(client).await["conversation_count"], 0);
    assert_eq!(redis.cli(&["KEYS", "conversation:*"]).trim(), "");
    assert_eq!(redis.cli(&["KEYS", "orchestrator_cache:*"]).trim(), "");
    assert_eq!(redis.cli(&["GET", "somebody:else"]).trim(), "kept");
    ask(client, "ada", "Anew").await;
    assert_eq!(count_of(client, "ada").await, 2);
}

#[tokio::test]
async fn what_is_cleared_while_redis_is_away_stays_cleared_when_it_returns() {
    let (llm, folder, redis) = (Upstream::saying("Noted.").await, TempDir::new().unwrap(), RedisServer::persistent());
    let program = program(&llm, &folder, &[("REDIS_URL", &redis.url()), ("CACHE_ENABLED", "false")]).await;
    let client = &program.client;
    ask(client, "ada", "Remember 42").await;
    assert_eq!(redis.cli(&["LLEN", "conversation:ada"]).trim(), "2");

    let redis = redis.kill();
    until(client, "unhealthy").await;
    assert_eq!(stats(client).await["conversation_count"], 1, "the copy");
    client.post("/api/memory/clear", &json!({})).await.expect(200);
    assert_eq!(count_of(client, "ada").await, 0);
    let redis = redis.start();
    until(client, "healthy").await;
    assert_eq!(redis.cli(&["EXISTS", "conversation:ada"]).trim(), "0");
    assert_eq!(count_of(client, "ada").await, 0);
}

async fn until(client: &Client, wanted: &str) {
    for _ in 0..500 {
        let health = client.get("/api/memory/health").await.expect(200);
        if health["storage"][0]["status"] == wanted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("Redis did not become {wanted}");
}

#[tokio::test]
async fn users_whose_name_is_a_path_of_the_page_are_users_like_all_others() {
    let llm = Upstream::saying("Noted.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    for user in ["stats", "clear", "ada"] {
        ask(&server, user, "Remember me").await;
        assert_eq!(count_of(&server, user).await, 2);
    }
    for user in ["stats", "clear"] {
        let cleared = server.delete(&format!("/api/memory/{user}")).await.expect(200);
        assert_eq!(cleared["message"], json!(format!("Conversation memory cleared for user {user}")));
        assert_eq!(count_of(&server, user).await, 0);
        assert_eq!(count_of(&server, "ada").await, 2, "nobody else's");
    }
}

//! Redis hangs, dies, comes back empty, is not there at the start: nobody notices but the operator.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::load::{Load, Transcript};
use crate::common::program::free_port;
use crate::common::redis::RedisServer;
use crate::common::upstream::openai;
use crate::common::{Client, Program, TestServer, Upstream};

const LONG: &[(&str, &str)] = &[("MEMORY_MAX_MESSAGES", "10000"), ("CACHE_ENABLED", "false")];

async fn llm() -> Upstream {
    Upstream::start(|seen, _| openai(seen, "ok")).await
}

async fn server(llm: &Upstream, redis: &str) -> TestServer {
    TestServer::with_llm(llm, &[&[("REDIS_URL", redis)], LONG].concat()).await
}

async fn status(client: &Client) -> Value {
    client.get("/api/memory/health").await.expect(200)["storage"][0].clone()
}

async fn until(client: &Client, wanted: &str) {
    for _ in 0..500 {
        if status(client).await["status"] == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("Redis did not become {wanted}: {}", status(client).await);
}

/// What Redis itself holds of what a user has said, oldest first.
fn in_redis(redis: &RedisServer, user: &str) -> Vec<String> {
    let lines = redis.cli(&["LRANGE", &format!("conversation:{user}"), "0", "-1"]);
    let messages = lines.lines().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
    messages.filter(|m| m["role"] == "user").map(|m| m["content"].as_str().unwrap().to_owned()).collect()
}

async fn assert_all_there(said: &[Transcript], client: &Client, redis: &RedisServer) {
    for said in said {
        assert!(!said.prompts.is_empty(), "{} was not heard", said.user);
        said.assert_stored(&in_redis(redis, &said.user), false);
        assert_eq!(said.stored(client).await, in_redis(redis, &said.user));
    }
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

#[tokio::test]
async fn a_redis_that_hangs_costs_nobody_an_answer_and_nothing_is_lost_or_doubled() {
    let (redis, llm) = (RedisServer::start(), llm().await);
    let server = server(&llm, &redis.url()).await;
    let load = Load::start(&server, 6, "hang", false);
    for _ in 0..3 {
        load.answered(40).await;
        // What was sent is carried out when it wakes up, long after it was given up here.
        redis.signal("STOP");
        pause(1200).await;
        redis.signal("CONT");
        until(&server, "healthy").await;
    }
    load.answered(20).await;
    let said = load.stop("hang").await;
    until(&server, "healthy").await;
    assert_all_there(&said, &server, &redis).await;
}

#[tokio::test]
async fn a_redis_that_dies_and_returns_empty_gets_everything_back() {
    let (redis, llm) = (RedisServer::start(), llm().await);
    let server = server(&llm, &redis.url()).await;
    let load = Load::start(&server, 4, "empty", false);
    load.answered(40).await;
    let killed = redis.kill();
    until(&server, "unhealthy").await;
    load.answered(40).await;
    let during = server.get("/api/memory/empty-0/history").await.expect(200)["messages"].clone();
    assert!(during.to_string().contains("empty-0 says 0\""), "what was said before is known meanwhile");
    let redis = killed.start();
    until(&server, "healthy").await;
    load.answered(20).await;
    let said = load.stop("empty").await;
    until(&server, "healthy").await;
    assert_all_there(&said, &server, &redis).await;
}

#[tokio::test]
async fn a_redis_that_keeps_its_data_gets_only_what_it_lacks() {
    let (redis, llm) = (RedisServer::persistent(), llm().await);
    let server = server(&llm, &redis.url()).await;
    let load = Load::start(&server, 4, "aof", false);
    load.answered(40).await;
    let killed = redis.kill();
    load.answered(40).await;
    let redis = killed.start();
    until(&server, "healthy").await;
    load.answered(20).await;
    let said = load.stop("aof").await;
    until(&server, "healthy").await;
    assert_all_there(&said, &server, &redis).await;
}

#[tokio::test]
async fn a_server_that_starts_without_redis_serves_and_connects_later() {
    let (port, llm) = (free_port(), llm().await);
    let server = server(&llm, &RedisServer::url_at(port)).await;
    let reply = server.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "ada"})).await.expect(200);
    assert_eq!((&reply["metadata"]["memory_saved"], &reply["metadata"]["degraded"]), (&json!(true), &json!(true)));
    // Nothing is missing in the answer, and nothing is lost.
    assert_eq!((&reply["error"], &reply["metadata"]["missing"]), (&json!(null), &json!([])), "{reply}");
    assert!(reply["metadata"]["warnings"][0].as_str().unwrap().contains("Redis is away"), "{reply}");
    let health = server.get("/api/memory/health").await.expect(200);
    assert_eq!((&health["healthy"], &health["storage"][0]["status"]), (&json!(false), &json!("unhealthy")));
    assert!(health["storage"][0]["error"].as_str().unwrap().contains("refused"), "{health}");
    assert!(health["degraded"][0].as_str().unwrap().contains("embedded store"));

    let redis = RedisServer::at(port);
    until(&server, "healthy").await;
    assert_eq!(in_redis(&redis, "ada"), ["Hello"]);
    let health = server.get("/api/memory/health").await.expect(200);
    let url = format!("redis://:********@127.0.0.1:{port}/0");
    assert_eq!(health["storage"][0], json!({"type": "redis", "status": "healthy", "url": url}));
    let reply = server.post("/v1/chat", &json!({"prompt": "Again", "user_id": "ada"})).await.expect(200);
    assert_eq!((&reply["metadata"]["degraded"], &reply["error"]), (&json!(false), &json!(null)));
    assert_eq!(reply["metadata"]["warnings"], json!([]));
}

#[tokio::test]
async fn while_redis_hangs_no_reply_has_an_error_and_each_says_that_it_is_stood_in_for() {
    let (redis, llm) = (RedisServer::start(), llm().await);
    let server = server(&llm, &redis.url()).await;
    redis.signal("STOP");
    let mut warned = 0;
    for number in 0..6 {
        let ask = json!({"prompt": format!("Hello {number}"), "user_id": "ada"});
        let frames = server.chat_events(&ask).await;
        let streamed = frames.last().unwrap().data.clone();
        for reply in [server.post("/v1/chat", &ask).await.expect(200), streamed] {
            let metadata = &reply["metadata"];
            assert_eq!((&reply["error"], &metadata["memory_saved"]), (&json!(null), &json!(true)), "{reply}");
            let warnings = metadata["warnings"].as_array().unwrap();
            assert_eq!(metadata["degraded"], !warnings.is_empty(), "{reply}");
            warned += warnings.len();
        }
    }
    assert!(warned > 0, "what is stood in for is told");
    let listed = server.get("/v1/executions").await.expect(200);
    assert!(listed["executions"].as_array().unwrap().iter().all(|it| it["error"].is_null()), "{listed}");
    redis.signal("CONT");
    until(&server, "healthy").await;
    assert_eq!(in_redis(&redis, "ada").len(), 12);
}

#[tokio::test]
async fn what_waits_survives_the_death_of_the_server_and_a_clearing_is_not_undone() {
    let (redis, llm) = (RedisServer::start(), llm().await);
    let server = server(&llm, &redis.url()).await;
    let say = async |server: &TestServer, user: &str, text: &str| {
        server.post("/v1/chat", &json!({"prompt": text, "user_id": user})).await.expect(200);
    };
    for user in ["ada", "bob"] {
        say(&server, user, "before").await;
    }
    redis.signal("STOP");
    for user in ["ada", "bob"] {
        say(&server, user, "during").await;
    }
    server.delete("/api/memory/bob").await.expect(200);
    say(&server, "bob", "after the clearing").await;
    let server = server.restart().await;
    say(&server, "ada", "after the restart").await;
    redis.signal("CONT");
    until(&server, "healthy").await;
    assert_eq!(in_redis(&redis, "ada"), ["before", "during", "after the restart"]);
    assert_eq!(in_redis(&redis, "bob"), ["after the clearing"]);

    // Once more, with a Redis that has forgotten even that.
    let killed = redis.kill();
    say(&server, "ada", "last").await;
    server.delete("/api/memory/bob").await.expect(200);
    let redis = killed.start();
    until(&server, "healthy").await;
    assert_eq!(in_redis(&redis, "ada"), ["before", "during", "after the restart", "last"]);
    assert_eq!(in_redis(&redis, "bob"), Vec::<String>::new());
}

#[tokio::test]
async fn kill_9_under_load_loses_nothing_that_was_acknowledged_and_the_log_stays_short() {
    let (redis, llm, folder) = (RedisServer::start(), llm().await, TempDir::new().unwrap());
    let (url, base) = (redis.url(), llm.url());
    let variables =
        [&[("REDIS_URL", url.as_str()), ("LLM_BASE_URL", &base), ("LLM_DEFAULT_MODEL", "m")], LONG].concat();
    for (round, outage) in [false, true, true].into_iter().enumerate() {
        let program = Program::start("serve", folder.path(), &variables).await;
        let name = format!("round{round}");
        let load = Load::start(&program.client, 4, &name, true);
        load.answered(40).await;
        if outage {
            redis.signal("STOP");
            load.answered(40).await;
        }
        program.kill();
        let said = load.stop(&name).await;
        redis.signal("CONT");
        let program = Program::start("serve", folder.path(), &variables).await;
        until(&program.client, "healthy").await;
        for said in &said {
            said.assert_stored(&in_redis(&redis, &said.user), true);
        }
        let log = program.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("Redis")).collect();
        assert!(lines.len() <= 2 * (round + 1) + 2 * round, "{lines:#?}");
        assert!(!log.contains("canary-redis-password"));
        program.kill();
    }
}

#[tokio::test]
async fn a_long_absence_ends_with_the_newest_turns_in_order_whatever_redis_has_kept() {
    for (most, said) in [(6, 10), (10_000, 600)] {
        let redis = RedisServer::start();
        let limit = most.to_string();
        let variables = [
            ("REDIS_URL", redis.url()),
            ("MEMORY_MAX_MESSAGES", limit),
            ("MEMORY_SUMMARY_ENABLED", "false".to_owned()),
        ];
        let server = TestServer::with(&variables.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
        let killed = redis.kill();
        for number in 0..said {
            let body = json!({"role": "user", "content": number.to_string()});
            server.post("/api/memory/ada/message", &body).await.expect(200);
        }
        let redis = killed.start();
        until(&server, "healthy").await;
        let newest: Vec<_> = (said - said.min(most)..said).map(|number: i32| number.to_string()).collect();
        assert_eq!(in_redis(&redis, "ada"), newest);
    }
}

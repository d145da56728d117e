//! Two servers on one Redis hold callers to what they may use as one would, and a killed one leaves nothing in use.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use orchestrator_studio::kernel::Clock;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{ADMIN, SECRET, client_with, user, with_authentication};
use crate::common::redis::RedisServer;
use crate::common::upstream::{json_reply, open_head, openai_delta};
use crate::common::{Act, Client, Program, Seen, TestServer, Upstream};

const CALLERS: usize = 200;

/// A model that takes 500 tokens for each answer.
async fn costly_model() -> Upstream {
    let script = |_: &Seen, _| {
        json_reply(
            "200 OK",
            &json!({
                "object": "chat.completion", "model": "stub-model",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "Done"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 200, "completion_tokens": 300, "total_tokens": 500}
            }),
        )
    };
    Upstream::start(script).await
}

async fn usage_of(client: &Client, limit: &str) -> Value {
    let told = client.get("/api/auth/usage").await.expect(200);
    told["limits"].as_array().unwrap().iter().find(|one| one["limit"] == limit).unwrap().clone()
}

/// How many of a caller's chats are answered until nothing is left.
async fn chat_until_refused(client: &Client) -> u64 {
    let (mut answered, mut refused) = (0, 0);
    while refused < 10 {
        match client.post("/v1/chat", &json!({"prompt": "Hello"})).await.status {
            200 => (answered, refused) = (answered + 1, 0),
            429 => {
                refused += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            status => panic!("{status}"),
        }
    }
    answered
}

#[tokio::test]
async fn two_hundred_callers_of_two_servers_get_what_there_is_and_no_more() {
    let (llm, redis) = (costly_model().await, RedisServer::start());
    let (base, url) = (llm.url(), redis.url());
    let limits = [
        ("LLM_BASE_URL", base.as_str()),
        ("LLM_DEFAULT_MODEL", "stub-model"),
        ("LLM_PROVIDER", "openai"),
        ("LLM_MAX_TOKENS", "300"),
        ("MEMORY_ENABLED", "false"),
        ("CACHE_ENABLED", "false"),
        ("REDIS_URL", url.as_str()),
        ("LIMIT_TOKENS_PER_DAY", "user=100000"),
        ("LIMIT_REQUESTS_PER_MINUTE", "role.admin=1000"),
        ("MAX_CONNECTIONS_PER_ADDRESS", "0"),
    ];
    let clock = Clock::manual(1_796_212_830_000);
    let one = TestServer::with_clock(&with_authentication(&limits), clock.clone()).await;
    let other = TestServer::with_clock(&with_authentication(&limits), clock.clone()).await;
    for server in [&one, &other] {
        in_use(server).await;
    }
    let admins = [one.with_credential(ADMIN), other.with_credential(ADMIN)];
    let requests = (0..CALLERS).map(|at| {
        let client = admins[at % 2].clone();
        async move {
            let mut served = 0;
            while client.get("/api/auth/me").await.status == 200 {
                served += 1;
            }
            served
        }
    });
    let served: u64 = join_all(requests).await.iter().sum();
    assert!((990..=1_000).contains(&served), "of all administrators together: {served}");

    let users = [user_after_a_minute(&one, &clock).await, user_after_a_minute(&other, &clock).await];
    let answered: u64 = join_all((0..CALLERS).map(|at| chat_until_refused(&users[at % 2]))).await.iter().sum();
    let day = usage_of(&users[0], "tokens_per_day").await;
    assert_eq!((&day["used"], &day["reserved"]), (&json!(answered * 500), &json!(0)));
    assert!((99_000..=101_000).contains(&(answered * 500)), "{answered} chats: {day}");
    assert_eq!(usage_of(&users[1], "tokens_per_day").await, day);
}

/// Waits until Redis is, without a request of the administrator's.
async fn in_use(server: &TestServer) {
    let operator = client_with(server, json!({"role": "operator"})).await;
    while operator.get("/api/memory/health").await.expect(200)["degraded"] != json!([]) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A client of the user that both servers know, once the minute's requests of the administrator are forgotten.
async fn user_after_a_minute(server: &TestServer, clock: &Clock) -> Client {
    clock.advance(Duration::from_secs(180));
    user(server, "ada").await
}

#[tokio::test]
async fn what_a_killed_server_held_is_free_when_its_lease_has_run_out() {
    let script = |_: &Seen, _| vec![open_head("text/event-stream"), openai_delta("and"), Act::Hang];
    let (llm, redis, folder) = (Upstream::start(script).await, RedisServer::start(), TempDir::new().unwrap());
    let (base, url) = (llm.url(), redis.url());
    let shared = [
        ("LLM_BASE_URL", base.as_str()),
        ("LLM_DEFAULT_MODEL", "stub-model"),
        ("REDIS_URL", url.as_str()),
        ("LIMIT_TOKENS_PER_DAY", "user=100000"),
        ("LIMIT_CONCURRENT_CHATS", "user=1"),
    ];
    let own = [("AUTH_ENABLED", "true"), ("AUTH_SECRET_KEY", SECRET), ("AUTH_BOOTSTRAP_KEY", ADMIN)];
    let killed = Program::start("serve", folder.path(), &[&shared[..], &own].concat()).await;
    let left = TestServer::with(&with_authentication(&shared)).await;
    let body = json!({"name": "story", "role": "user", "user_id": "ada"});
    let made = killed.client.with_credential(ADMIN).post("/api/auth/keys", &body).await.expect(201);
    let doomed = killed.client.with_credential(made["key"].as_str().unwrap());
    let ada = user(&left, "ada").await;
    let mut stream = doomed.open_stream(&json!({"prompt": "Say something", "stream": true})).await;
    while stream.next().await.unwrap().event != "delta" {}
    assert_eq!(usage_of(&ada, "concurrent_chats").await["reserved"], 1);
    assert!(usage_of(&ada, "tokens_per_day").await["reserved"].as_u64().unwrap() > 1_000);
    // It goes on for longer than the lease.
    tokio::time::sleep(Duration::from_secs(33)).await;
    assert_eq!(usage_of(&ada, "concurrent_chats").await["reserved"], 1);
    killed.kill();
    let killed = Instant::now();
    while usage_of(&ada, "concurrent_chats").await["reserved"] == 1 {
        assert!(killed.elapsed() < Duration::from_secs(32));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(usage_of(&ada, "tokens_per_day").await["reserved"], 0);
}

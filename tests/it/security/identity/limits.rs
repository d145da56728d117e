//! How much callers may use, and what they are told when that is reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use orchestrator_studio::kernel::Clock;
use serde_json::{Value, json};

use super::{ADMIN, client_with, user, with_authentication};
use crate::common::upstream::{json_reply, open_head, openai, openai_delta};
use crate::common::{Act, Answer, Client, TestServer, Upstream};

/// A moment in the middle of a minute, at which the clock of a server stands still.
const NOON_MS: i64 = 1_796_212_830_000;

/// A model that takes its time.
struct SlowModel {
    upstream: Upstream,
    millis: Arc<AtomicU64>,
}

impl SlowModel {
    async fn start() -> Self {
        let millis = Arc::new(AtomicU64::new(700));
        let pause = millis.clone();
        let script = move |seen: &crate::common::Seen, _| {
            let mut acts = vec![Act::Sleep(Duration::from_millis(pause.load(Ordering::SeqCst)))];
            acts.extend(openai(seen, "Done"));
            acts
        };
        Self { upstream: Upstream::start(script).await, millis }
    }

    fn takes(&self, millis: u64) {
        self.millis.store(millis, Ordering::SeqCst);
    }
}

fn header(answer: &Answer, name: &str) -> String {
    answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

async fn chat(client: &Client) -> Answer {
    client.post("/v1/chat", &json!({"prompt": "Say something"})).await
}

/// What `/api/auth/usage` tells of one limit.
async fn usage(client: &Client, limit: &str, by: &str) -> Value {
    let told = client.get("/api/auth/usage").await.expect(200);
    let found = told["limits"].as_array().unwrap().iter().find(|one| one["limit"] == limit && one["by"] == by);
    found.unwrap_or_else(|| panic!("no {limit} by {by}: {told}")).clone()
}

#[tokio::test]
async fn requests_beyond_what_a_user_may_make_in_a_minute_are_refused_with_when_to_come_back() {
    let limits = with_authentication(&[("LIMIT_REQUESTS_PER_MINUTE", "user=20,key=1000")]);
    let clock = Clock::manual(NOON_MS);
    let server = TestServer::with_clock(&limits, clock.clone()).await;
    let (ada, same, bob) = (user(&server, "ada").await, user(&server, "ada").await, user(&server, "bob").await);
    let mut statuses = Vec::new();
    for _ in 0..15 {
        statuses.push(ada.get("/api/agents").await.status);
        statuses.push(same.get("/api/tools").await.status);
    }
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(served, 20, "by all keys of the user together: {statuses:?}");
    let refused = ada.get("/api/agents").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["code"], "limit_reached");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("This user may use 20 requests per minute; try again in "), "{detail}");
    let wait: u64 = header(&refused, "retry-after").parse().unwrap();
    assert_eq!(wait, 33, "until what came now is a minute ago, and one more");
    assert_eq!(header(&refused, "ratelimit-policy"), "\"requests_per_minute_user\";q=20;w=60");
    assert_eq!(header(&refused, "ratelimit"), format!("\"requests_per_minute_user\";r=0;t={wait}"));
    let served = bob.get("/api/agents").await;
    assert_eq!(served.status, 200);
    assert!(header(&served, "ratelimit").starts_with("\"requests_per_minute_user\";r=19;t="), "{served:?}");
    // What tells whether the server is there is nobody's.
    for _ in 0..30 {
        ada.get("/livez").await.expect(200);
    }
    clock.advance(Duration::from_secs(30));
    assert_eq!(ada.get("/api/agents").await.status, 429, "they all came in the last 60 seconds, as far as is known");
    clock.advance(Duration::from_secs(wait - 30));
    ada.get("/api/agents").await.expect(200);
}

#[tokio::test]
async fn as_many_chats_at_once_as_a_user_may_have_are_answered_and_the_next_ones_after_them() {
    let llm = SlowModel::start().await;
    let server =
        TestServer::with_llm(&llm.upstream, &with_authentication(&[("LIMIT_CONCURRENT_CHATS", "user=3,role.admin=1")]))
            .await;
    let ada = user(&server, "ada").await;
    let answers = join_all((0..8).map(|_| chat(&ada))).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(200), count(429)), (3, 5), "{answers:?}");
    assert!(answers.iter().filter(|one| one.status == 429).all(|one| header(one, "retry-after") == "1"));
    llm.takes(0);
    for _ in 0..5 {
        chat(&ada).await.expect(200);
    }
    // Two administrators have one place together.
    llm.takes(700);
    let (one, other) = (server.with_credential(ADMIN), client_with(&server, json!({"role": "admin"})).await);
    let (one, other) = tokio::join!(chat(&one), chat(&other));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 429]);
}

#[tokio::test]
async fn tokens_are_counted_as_the_model_says_and_when_they_are_used_up_no_model_is_asked() {
    let llm = Upstream::saying("Done").await;
    let server = TestServer::with_llm(
        &llm,
        &with_authentication(&[("LIMIT_TOKENS_PER_DAY", "user=90"), ("LIMIT_TOKENS_PER_MONTH", "key=900")]),
    )
    .await;
    let ada = user(&server, "ada").await;
    let answer = chat(&ada).await.expect(200);
    let tokens = answer["metadata"]["usage"]["total_tokens"].as_u64().unwrap();
    assert!((1..90).contains(&tokens), "{answer}");
    let day = usage(&ada, "tokens_per_day", "user").await;
    assert_eq!((&day["used"], &day["reserved"], &day["quota"]), (&json!(tokens), &json!(0), &json!(90)));
    assert!(day["resets_at"].as_str().unwrap().ends_with("T00:00:00.000Z"), "{day}");
    assert_eq!(usage(&ada, "tokens_per_month", "key").await["used"], json!(tokens));
    let mut refused = None;
    for _ in 0..90 {
        let answer = chat(&ada).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let (refused, asked) = (refused.expect("the tokens are used up at some time"), llm.seen().len());
    assert!(refused.text.contains("This user may use 90 tokens per day (UTC); try again in "), "{refused:?}");
    // On every path to a model, as a stream too, and none of them leaves a trace.
    let body = json!({"prompt": "Say something", "stream": true});
    for (path, body) in [
        ("/v1/chat", &body),
        ("/api/llm/test", &json!({"prompt": "Hello"})),
        ("/api/chat/ui/send", &json!({"message": "Hello"})),
        ("/api/chat/ui/send/stream", &json!({"message": "Hello"})),
        ("/api/topology/execute", &json!({"prompt": "Hello"})),
    ] {
        let client = if path.starts_with("/v1") || path.contains("ui") {
            ada.clone()
        } else {
            client_with(&server, json!({"role": "admin", "user_id": "ada"})).await
        };
        let answer = client.post(path, body).await;
        assert_eq!(answer.status, 429, "{path}: {}", answer.text);
    }
    assert_eq!(llm.seen().len(), asked);
    // Others go on, and so does the day's count after a restart.
    let bob = user(&server, "bob").await;
    chat(&bob).await.expect(200);
    let server = server.restart().await;
    let ada = user(&server, "ada").await;
    assert_eq!(chat(&ada).await.status, 429);
    let admin = server.with_credential(ADMIN).get("/metrics").await.text;
    assert!(
        admin.contains(
            "orchestrator_limits_reached_total{limit=\"tokens_per_day\",subject=\"user\",outcome=\"refused\"}"
        ),
        "{admin}"
    );
}

#[tokio::test]
async fn a_stream_that_its_client_cuts_is_settled_and_one_that_fails_gives_its_tokens_back() {
    let script = |_: &crate::common::Seen, nth| match nth {
        0 => vec![open_head("text/event-stream"), openai_delta("some words to begin with"), Act::Hang],
        _ => json_reply("400 Bad Request", &json!({"error": {"message": "no"}})),
    };
    let llm = Upstream::start(script).await;
    let server = TestServer::with_llm(&llm, &with_authentication(&[("LIMIT_TOKENS_PER_DAY", "user=1000000")])).await;
    let ada = user(&server, "ada").await;
    let mut stream = ada.open_stream(&json!({"prompt": "Say something", "stream": true})).await;
    while stream.next().await.unwrap().event != "delta" {}
    let reserved = usage(&ada, "tokens_per_day", "user").await["reserved"].as_u64().unwrap();
    assert!((1_000..3_000).contains(&reserved), "{reserved}");
    drop(stream);
    llm.client_left().await;
    let day = loop {
        let day = usage(&ada, "tokens_per_day", "user").await;
        if day["reserved"] == 0 {
            break day;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let used = day["used"].as_u64().unwrap();
    assert!((10..reserved - 900).contains(&used), "what was sent and what came are used: {day}");
    assert_eq!(chat(&ada).await.status, 502);
    let day = usage(&ada, "tokens_per_day", "user").await;
    assert_eq!((&day["used"], &day["reserved"]), (&json!(used), &json!(0)));
}

#[tokio::test]
async fn in_shadow_mode_all_is_served_and_counted() {
    let server =
        TestServer::with(&with_authentication(&[("LIMIT_MODE", "shadow"), ("LIMIT_REQUESTS_PER_MINUTE", "user=5")]))
            .await;
    let ada = user(&server, "ada").await;
    for _ in 0..10 {
        ada.get("/api/agents").await.expect(200);
    }
    let told = ada.get("/api/auth/usage").await.expect(200);
    assert_eq!(
        (&told["enforced"], &told["limits"][0]["used"], &told["limits"][0]["remaining"]),
        (&json!(false), &json!(11), &json!(0))
    );
    let figures = server.with_credential(ADMIN).get("/metrics").await.text;
    let line = "orchestrator_limits_reached_total{limit=\"requests_per_minute\",subject=\"user\",outcome=\"served\"}";
    assert!(figures.contains(line), "{figures}");
}

#[tokio::test]
async fn an_administrator_sees_what_a_key_has_used_and_nobody_else_does() {
    let server = TestServer::with(&with_authentication(&[("LIMIT_REQUESTS_PER_MINUTE", "key=100")])).await;
    let (ada, bob) = (user(&server, "ada").await, user(&server, "bob").await);
    ada.get("/api/agents").await.expect(200);
    let id = ada.get("/api/auth/me").await.expect(200)["key_id"].as_str().unwrap().to_owned();
    let path = format!("/api/auth/usage?key_id={id}");
    assert_eq!(ada.get(&path).await.expect(200)["limits"][0]["used"], 3);
    let told = server.with_credential(ADMIN).get(&path).await.expect(200);
    assert_eq!((&told["limits"][0]["name"], &told["limits"][0]["used"]), (&json!(id), &json!(3)));
    bob.get(&path).await.expect(403);
    server.with_credential(ADMIN).get("/api/auth/usage?key_id=nobody").await.expect(404);
    let open = TestServer::with(&[("LIMIT_REQUESTS_PER_MINUTE", "key=1")]).await;
    assert_eq!(open.get("/api/auth/usage").await.expect(200)["limits"], json!([]));
}

#[tokio::test]
async fn more_chats_than_the_server_answers_at_once_are_told_to_come_back() {
    let llm = SlowModel::start().await;
    let server = TestServer::with_llm(&llm.upstream, &[("MAX_CHATS", "4")]).await;
    let answers = join_all((0..10).map(|_| chat(&server))).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(200), count(503)), (4, 6), "{answers:?}");
    let refused = answers.iter().find(|answer| answer.status == 503).unwrap();
    assert_eq!((refused.json()["code"].as_str(), header(refused, "retry-after").as_str()), (Some("busy"), "1"));
    llm.takes(0);
    chat(&server).await.expect(200);
}

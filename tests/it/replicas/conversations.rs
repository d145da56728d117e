//! One conversation, whichever server is asked: Postgres has all of it, Redis the end, and either may be away.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::databases::postgres;
use crate::common::postgres::PostgresServer;
use crate::common::redis::RedisServer;
use crate::common::replicas::{until_postgres, within};
use crate::common::upstream::openai;
use crate::common::{TestServer, Upstream};

const RETURN_TIMEOUT: Duration = Duration::from_secs(20);

/// Says to each question which one it was.
async fn counting_llm() -> Upstream {
    let answers = AtomicUsize::new(0);
    Upstream::start(move |seen, _| {
        let asked = seen.body["messages"].as_array().and_then(|messages| messages.last()).cloned().unwrap_or_default();
        if asked["content"].as_str().is_some_and(|asked| asked.starts_with("Summarize")) {
            return openai(seen, "They have counted.");
        }
        openai(seen, &format!("answer {}", answers.fetch_add(1, Ordering::SeqCst)))
    })
    .await
}

async fn two(llm: &Upstream, redis: &str, dsn: &str, more: &[(&str, &str)]) -> [TestServer; 2] {
    let shared = [("REDIS_URL", redis), ("POSTGRES_DSN", dsn), ("CACHE_ENABLED", "false")];
    let variables: Vec<_> = shared.iter().chain(more).copied().collect();
    [TestServer::with_llm(llm, &variables).await, TestServer::with_llm(llm, &variables).await]
}

async fn chat(server: &TestServer, number: usize) {
    let reply = server.post("/v1/chat", &json!({"prompt": format!("question {number}"), "user_id": "ada"})).await;
    let reply = reply.expect(200);
    assert_eq!(reply["metadata"]["memory_saved"], true, "{reply}");
}

async fn get(server: &TestServer, path: &str) -> Value {
    server.get(&format!("/api/memory/ada/{path}")).await.expect(200)
}

/// Oldest first.
fn contents(page: &Value) -> Vec<String> {
    let messages = page["messages"].as_array().unwrap().iter().rev();
    messages.map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

fn turns(count: usize) -> Vec<String> {
    (0..count).flat_map(|number| [format!("question {number}"), format!("answer {number}")]).collect()
}

async fn assert_told_by_all(servers: &[TestServer], count: usize) {
    for server in servers {
        assert_eq!(contents(&get(server, "history").await), turns(count));
    }
}

#[tokio::test]
async fn every_turn_is_there_once_and_in_order_though_redis_is_emptied_and_replaced() {
    let (redis, database, llm) = (RedisServer::start(), postgres(&[]).await, counting_llm().await);
    let servers = two(&llm, &redis.url(), &database.url, &[]).await;
    for number in 0..4 {
        chat(&servers[number % 2], number).await;
    }
    assert_told_by_all(&servers, 4).await;
    assert_eq!(redis.cli(&["LLEN", "conversation:ada"]), "8", "Redis has the layout of the original");

    redis.cli(&["FLUSHALL"]);
    for number in 4..7 {
        chat(&servers[number % 2], number).await;
        assert!(llm.chats().pop().unwrap().body["messages"].to_string().contains("answer 0"), "the model is told all");
    }
    redis.cli(&["DEL", "conversation:ada"]);
    redis.cli(&["LPUSH", "conversation:ada", "what somebody else has put there"]);
    redis.cli(&["DEL", "conversation_window:ada"]);
    assert_told_by_all(&servers, 7).await;

    let port = redis.port();
    drop(redis);
    chat(&servers[0], 7).await;
    chat(&servers[1], 8).await;
    assert_told_by_all(&servers, 9).await;
    let redis = RedisServer::at(port);
    for server in &servers {
        let health = async || server.get("/api/memory/health").await.expect(200)["healthy"] == true;
        within(RETURN_TIMEOUT, "Redis is back", health).await;
    }
    chat(&servers[0], 9).await;
    assert_told_by_all(&servers, 10).await;
    within(RETURN_TIMEOUT, "Redis has the end again", async || {
        get(&servers[0], "history").await;
        redis.cli(&["LLEN", "conversation:ada"]) == "20"
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_comes_back_with_old_data_is_not_believed() {
    let redis = RedisServer::persistent();
    let url = redis.url();
    old_data_is_not_believed(redis, &url, |_| {}).await;
}

#[tokio::test]
async fn nor_is_one_that_does_not_tell_this_account_of_its_restart() {
    let account = |redis: &RedisServer| {
        let rights =
            ["~conversation*", "~orchestrator_cache:*", "~orchestrator_{limits}:*", "+@all", "-@admin", "-@dangerous"];
        redis.cli(&[&["ACL", "SETUSER", "studio", "on", ">studio-secret"][..], &rights].concat());
    };
    let redis = RedisServer::persistent();
    account(&redis);
    let url = format!("redis://studio:studio-secret@127.0.0.1:{}/0", redis.port());
    old_data_is_not_believed(redis, &url, account).await;
}

async fn old_data_is_not_believed(redis: RedisServer, url: &str, made: impl Fn(&RedisServer)) {
    let (database, llm) = (postgres(&[]).await, counting_llm().await);
    let servers = two(&llm, url, &database.url, &[]).await;
    chat(&servers[0], 0).await;
    chat(&servers[1], 1).await;
    let stopped = redis.kill();
    chat(&servers[0], 2).await;
    let redis = stopped.start();
    made(&redis);
    assert_eq!(redis.cli(&["LLEN", "conversation:ada"]), "4");
    for server in &servers {
        let health = async || server.get("/api/memory/health").await.expect(200)["healthy"] == true;
        within(RETURN_TIMEOUT, "Redis is back", health).await;
    }
    assert_told_by_all(&servers, 3).await;
    chat(&servers[1], 3).await;
    // A server whose connection was lost again lets the window be dropped when it is back.
    for server in &servers {
        within(RETURN_TIMEOUT, "the last turn", async || contents(&get(server, "history").await) == turns(4)).await;
    }
}

#[tokio::test]
async fn while_postgres_is_away_servers_share_turns_through_redis_and_bring_them_there_later() {
    let (redis, database, llm) = (RedisServer::start(), PostgresServer::start(), counting_llm().await);
    let servers = two(&llm, &redis.url(), &database.url(), &[]).await;
    chat(&servers[0], 0).await;
    let stopped = database.kill();
    for number in 1..5 {
        chat(&servers[number % 2], number).await;
        assert_told_by_all(&servers, number + 1).await;
    }
    servers[0].get("/api/memory/ada/history?archive=true").await.expect(503);
    let _database = stopped.start();
    for server in &servers {
        until_postgres(server, "healthy").await;
    }
    let settled = async || {
        let mut told = Vec::new();
        for server in &servers {
            told.push(contents(&get(server, "history?archive=true").await) == turns(5));
        }
        told == [true, true]
    };
    within(RETURN_TIMEOUT, "all turns in order", settled).await;
    chat(&servers[1], 5).await;
    assert_told_by_all(&servers, 6).await;
}

#[tokio::test]
async fn a_summary_is_one_for_all_and_the_archive_has_what_it_stands_for() {
    let (redis, database, llm) = (RedisServer::start(), postgres(&[]).await, counting_llm().await);
    let servers = two(&llm, &redis.url(), &database.url, &[("MEMORY_MAX_MESSAGES", "4")]).await;
    for number in 0..8 {
        chat(&servers[number % 2], number).await;
    }
    for server in &servers {
        let summarized = async || get(server, "summary").await["summary"] == "They have counted.";
        within(RETURN_TIMEOUT, "a summary", summarized).await;
    }
    let held = get(&servers[0], "history").await;
    assert_eq!((held["count"].as_u64(), held.get("next_cursor")), (Some(4), None));
    assert_eq!(contents(&get(&servers[1], "history?archive=true&limit=1000").await), turns(8));
    let (mut told, mut query) = (Vec::new(), "history?archive=true&limit=5".to_owned());
    for server in servers.iter().cycle().take(4) {
        let page = get(server, &query).await;
        told.extend(contents(&page).into_iter().rev());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("history?archive=true&limit=5&cursor={cursor}");
    }
    told.reverse();
    assert_eq!(told, turns(8), "page by page, whichever server is asked");

    servers[0].get("/api/memory/ada/history?archive=true&cursor=x").await.expect(400);
    servers[1].delete("/api/memory/ada").await.expect(200);
    for server in &servers {
        assert_eq!(get(server, "history?archive=true").await["count"], 0, "what is cleared leaves the archive");
        assert_eq!(get(server, "summary").await["has_summary"], false);
    }
}

#[tokio::test]
async fn with_postgres_alone_a_conversation_is_one_too_and_outlives_every_data_folder() {
    let (database, llm) = (postgres(&[]).await, counting_llm().await);
    let variables = [("POSTGRES_DSN", database.url.as_str()), ("CACHE_ENABLED", "false")];
    let server = TestServer::with_llm(&llm, &variables).await;
    chat(&server, 0).await;
    let other = TestServer::with_llm(&llm, &variables).await;
    chat(&other, 1).await;
    let servers = [server, other];
    assert_told_by_all(&servers, 2).await;
    for server in servers {
        server.stop().await;
    }
    let fresh = [TestServer::with_llm(&llm, &variables).await];
    assert_told_by_all(&fresh, 2).await;
}

#[tokio::test]
async fn without_postgres_the_archive_is_the_conversation() {
    let llm = counting_llm().await;
    let server = TestServer::with_llm(&llm, &[("CACHE_ENABLED", "false")]).await;
    chat(&server, 0).await;
    let page = get(&server, "history?archive=true").await;
    assert_eq!((contents(&page), page.get("next_cursor")), (turns(1), None));
}

//! Chats that were acknowledged are there after kill -9, on every backend: turns and executions, in order and once.

use std::time::Duration;

use tempfile::TempDir;

use crate::common::databases::postgres;
use crate::common::load::{Load, Transcript};
use crate::common::redis::RedisServer;
use crate::common::upstream::openai;
use crate::common::{Client, Program, Upstream};

/// Kills of each backend; `ORCHESTRATOR_TEST_KILLS` asks for more.
const KILLS: usize = 8;

#[expect(clippy::disallowed_methods, reason = "how long the test is to go on")]
fn kills() -> usize {
    std::env::var("ORCHESTRATOR_TEST_KILLS").map_or(KILLS, |kills| kills.parse().unwrap())
}

/// Up to so many milliseconds, another time each time.
async fn a_while(ms: u64) {
    tokio::time::sleep(Duration::from_micros(fastrand::u64(0..ms * 1000))).await;
}

async fn until_in_use(client: &Client) {
    for _ in 0..500 {
        let health = client.get("/api/memory/health").await.expect(200);
        if health["degraded"].as_array().unwrap().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a service did not come into use");
}

async fn completed(client: &Client, user: &str) -> Vec<String> {
    let page = client.get(&format!("/v1/executions?user_id={user}&limit=200&status=completed")).await.expect(200);
    let executions = page["executions"].as_array().unwrap().iter().rev();
    executions.map(|execution| execution["execution_id"].as_str().unwrap().to_owned()).collect()
}

async fn assert_stored(said: &[Transcript], client: &Client) {
    for said in said {
        said.assert_stored(&said.stored(client).await, true);
        let stored = completed(client, &said.user).await;
        assert_eq!(stored[..said.executions.len()], said.executions[..], "{}", said.user);
        assert!(stored.len() <= said.executions.len() + 1, "{stored:?}");
    }
    for status in ["running", "failed"] {
        let left = client.get(&format!("/v1/executions?status={status}")).await.expect(200);
        assert_eq!(left["count"], 0, "{left}");
    }
}

/// Kills the server again and again while eight users chat.
async fn kill_under_load(services: &[(&str, &str)]) {
    let (llm, folder) = (Upstream::start(|seen, _| openai(seen, "ok")).await, TempDir::new().unwrap());
    let base = llm.url();
    let own = [("LLM_BASE_URL", base.as_str()), ("LLM_DEFAULT_MODEL", "m"), ("CACHE_ENABLED", "false")];
    let variables = [services, &own].concat();
    let mut before: Vec<Transcript> = Vec::new();
    for round in 0..=kills() {
        let program = Program::start("serve", folder.path(), &variables).await;
        until_in_use(&program.client).await;
        assert_stored(&before, &program.client).await;
        if round == kills() {
            return;
        }
        let name = format!("round{round}");
        let load = Load::start(&program.client, 8, &name, true);
        load.answered(8).await;
        a_while(150).await;
        program.kill();
        before = load.stop(&name).await;
        assert!(before.iter().map(|said| said.executions.len()).sum::<usize>() >= 8);
    }
}

#[tokio::test]
async fn the_embedded_store_has_every_chat_that_was_acknowledged() {
    kill_under_load(&[]).await;
}

#[tokio::test]
async fn redis_has_every_chat_that_was_acknowledged() {
    let redis = RedisServer::start();
    kill_under_load(&[("REDIS_URL", &redis.url())]).await;
}

#[tokio::test]
async fn redis_and_postgres_have_every_chat_that_was_acknowledged() {
    let (redis, database) = (RedisServer::start(), postgres(&[]).await);
    kill_under_load(&[("REDIS_URL", &redis.url()), ("POSTGRES_DSN", &database.url)]).await;
}

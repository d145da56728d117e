//! Postgres and what is configured there: cut off, stopped, started again, and not there at the start.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::json;

use crate::common::databases::postgres;
use crate::common::postgres::PostgresServer;
use crate::common::replicas::{same, two, until_postgres, within};
use crate::common::resources::{AGENTS, SECRET, SOURCES, with};
use crate::common::{TestServer, Upstream};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_listener_that_is_cut_off_costs_no_longer_than_the_poll() {
    let database = postgres(&[]).await;
    let (one, two) = two(&database.url, &[]).await;
    AGENTS.add(&one, "before").await;
    same(&one, &two, &AGENTS, SECOND).await;
    let listeners = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    within(10 * SECOND, "they listen", async || database.count(listeners).await == 2).await;
    for round in 0..3 {
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND query LIKE 'LISTEN%'";
        database.execute(cut).await;
        AGENTS.add(&one, &format!("meanwhile-{round}")).await;
        same(&one, &two, &AGENTS, 3 * SECOND).await;
        within(10 * SECOND, "they listen again", async || database.count(listeners).await == 2).await;
        AGENTS.add(&two, &format!("after-{round}")).await;
        same(&one, &two, &AGENTS, SECOND).await;
    }
    assert_eq!(AGENTS.names(&one, "").await.len(), 7);
}

/// Adds agents until told to stop; gives the names of those that were acknowledged, and how many were refused.
async fn add_agents(server: &TestServer, prefix: &str, stop: &std::cell::Cell<bool>) -> (Vec<String>, usize) {
    let (mut added, mut refused) = (Vec::new(), 0);
    for number in 0.. {
        if stop.get() {
            break;
        }
        let name = format!("{prefix}-{number}");
        let answer = server.post(AGENTS.path, &AGENTS.entry(&name, "http://127.0.0.1:9")).await;
        match answer.status {
            201 => added.push(name),
            503 => refused += 1,
            _ => panic!("{}: {}", answer.status, answer.text),
        }
        server.get(AGENTS.path).await.expect(200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (added, refused)
}

#[tokio::test]
async fn a_postgres_that_is_stopped_in_the_middle_loses_nothing_acknowledged_and_all_agree_again() {
    let (postgres, llm) = (PostgresServer::start(), Upstream::saying("Hi.").await);
    let (one, two) = two(&postgres.url(), &[("CACHE_ENABLED", "false")]).await;
    let connection = json!({"base_url": llm.url(), "default_model": "stub-model", "provider": "openai"});
    one.put("/api/llm/config", &connection).await.expect(200);
    let stop = std::cell::Cell::new(false);
    let outage = async {
        tokio::time::sleep(SECOND).await;
        let stopped = postgres.kill();
        until_postgres(&one, "unhealthy").await;
        until_postgres(&two, "unhealthy").await;
        for server in [&one, &two] {
            let before = server.get(AGENTS.path).await.expect(200);
            let refused = server.post(AGENTS.path, &AGENTS.entry("refused", "http://127.0.0.1:9")).await.expect(503);
            assert!(refused["detail"].as_str().unwrap().contains("nothing was changed"), "{refused}");
            server.put("/api/llm/config", &json!({"temperature": 0.1})).await.expect(503);
            server.delete("/api/llm/config").await.expect(503);
            assert_eq!(server.get(AGENTS.path).await.expect(200), before);
            server.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "ada"})).await.expect(200);
        }
        tokio::time::sleep(2 * SECOND).await;
        let postgres = stopped.start();
        until_postgres(&one, "healthy").await;
        until_postgres(&two, "healthy").await;
        tokio::time::sleep(SECOND).await;
        stop.set(true);
        postgres
    };
    let ((first, first_refused), (second, second_refused), postgres) =
        tokio::join!(add_agents(&one, "one", &stop), add_agents(&two, "two", &stop), outage);
    let counts = [first.len(), second.len(), first_refused, second_refused];
    assert!(counts.iter().all(|count| *count > 3), "{counts:?}");
    same(&one, &two, &AGENTS, 3 * SECOND).await;
    let names = AGENTS.names(&one, "").await;
    let lost: Vec<_> = first.iter().chain(&second).filter(|name| !names.contains(name)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(!names.contains(&"refused".to_owned()));
    let restarted = two.restart().await;
    assert_eq!(AGENTS.names(&restarted, "").await, names);
    drop(postgres);
}

#[tokio::test]
async fn a_server_starts_without_postgres_from_what_it_knew_last() {
    let (postgres, llm) = (PostgresServer::start(), Upstream::saying("Hi.").await);
    let (one, mut two) = two(&postgres.url(), &[("CACHE_ENABLED", "false")]).await;
    let connection =
        json!({"base_url": llm.url(), "default_model": "stub-model", "provider": "openai", "api_key": SECRET});
    one.put("/api/llm/config", &connection).await.expect(200);
    let entry = AGENTS.with_token(&AGENTS.entry("shared", &llm.url()), json!(SECRET));
    one.post(AGENTS.path, &entry).await.expect(201);
    SOURCES.add(&two, "shop").await;
    same(&one, &two, &AGENTS, SECOND).await;
    let mode = std::fs::metadata(two.folder().join("config-replica.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!two.folder().join("config").exists(), "nothing is kept in files besides");

    let stopped = postgres.kill();
    two = two.restart().await;
    assert_eq!(
        (AGENTS.names(&two, "").await, SOURCES.names(&two, "").await),
        (vec!["shared".into()], vec!["shop".into()])
    );
    two.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "ada"})).await.expect(200);
    assert_eq!(llm.chats().pop().unwrap().headers["authorization"], format!("Bearer {SECRET}"));
    let changed = with(&AGENTS.entry("shared", &llm.url()), "timeout_seconds", json!(7));
    two.put(&AGENTS.at("shared"), &changed).await.expect(503);
    let postgres = stopped.start();
    until_postgres(&two, "healthy").await;
    two.put(&AGENTS.at("shared"), &changed).await.expect(200);
    until_postgres(&one, "healthy").await;
    same(&one, &two, &AGENTS, 3 * SECOND).await;
    assert_eq!(one.get(&AGENTS.at("shared")).await.expect(200)["timeout_seconds"], 7);
    drop(postgres);
}

//! A server that has kept its configuration in files is given a Postgres.

use std::time::Duration;

use serde_json::json;

use crate::common::databases::postgres;
use crate::common::postgres::Stopped;
use crate::common::replicas::{same, until_postgres};
use crate::common::resources::{AGENTS, ALL};
use crate::common::{TestServer, Upstream};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn what_the_first_server_has_in_files_is_adopted_and_what_a_later_one_has_is_not_used() {
    let (database, llm) = (postgres(&[]).await, Upstream::saying("Hi.").await);
    let (first, later) = (TestServer::bare().await, TestServer::bare().await);
    for resource in ALL {
        resource.add(&first, "first").await;
        resource.add(&first, "second").await;
        resource.add(&later, "later").await;
    }
    let connection = json!({"base_url": llm.url(), "default_model": "stub-model", "provider": "openai"});
    first.put("/api/llm/config", &connection).await.expect(200);
    let dsn = [("POSTGRES_DSN", database.url.as_str())];
    let first = first.restart_with(&dsn).await;
    assert_eq!(database.count("SELECT count(*) FROM config_revision WHERE author = 'files'").await, 1);
    let later = later.restart_with(&dsn).await;
    for server in [&first, &later] {
        for resource in ALL {
            assert_eq!(resource.names(server, "").await, ["first", "second"]);
        }
        assert_eq!(server.get("/api/llm/config").await.expect(200)["default_model"], "stub-model");
    }
    assert_eq!(database.count("SELECT revision FROM config_head").await, 1);
    let (first, later) = (first.restart().await, later.restart().await);
    AGENTS.add(&later, "third").await;
    same(&first, &later, &AGENTS, SECOND).await;
    assert_eq!(AGENTS.names(&first, "").await, ["first", "second", "third"]);
    let tags = (first.get(&AGENTS.at("second")).await.tag(), later.get(&AGENTS.at("second")).await.tag());
    assert_eq!(tags.0, tags.1);
}

#[tokio::test]
async fn files_are_gone_by_until_a_postgres_that_is_away_at_first_has_taken_them() {
    let postgres = Stopped::new();
    let server = TestServer::bare().await;
    AGENTS.add(&server, "mine").await;
    let server = server.restart_with(&[("POSTGRES_DSN", &postgres.url())]).await;
    assert_eq!(AGENTS.names(&server, "").await, ["mine"]);
    server.post(AGENTS.path, &AGENTS.entry("next", "http://127.0.0.1:9")).await.expect(503);
    let postgres = postgres.start();
    until_postgres(&server, "healthy").await;
    AGENTS.add(&server, "next").await;
    let other = TestServer::with(&[("POSTGRES_DSN", &postgres.url())]).await;
    assert_eq!(AGENTS.names(&other, "").await, ["mine", "next"]);
}

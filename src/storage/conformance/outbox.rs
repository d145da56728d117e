//! What waits for services that are away.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::executions::begun;
use super::{new_database, settings, url};
use crate::kernel::{Clock, Role, Secret, UserId, new_id};
use crate::storage::failover::{Failover, RemoteBackend};
use crate::storage::redis::RUN_ID;
use crate::storage::{ExecutionStatus, Message, Outcome, Stores};

#[tokio::test]
async fn an_outage_that_never_ends_keeps_the_newest_changes_that_there_is_room_for() {
    let folder = TempDir::new().unwrap();
    let folders = [folder, TempDir::new().unwrap()];
    // Nobody listens there.
    let (redis, postgres) = (Secret::new("redis://127.0.0.1:1"), Secret::new("postgres://127.0.0.1:1/x"));
    let settings = [settings(&folders[0], Some(redis), None), settings(&folders[1], None, Some(postgres))];
    let with_redis = Stores::open(&settings[0], Clock::system()).await.unwrap();
    let with_postgres = Stores::open(&settings[1], Clock::system()).await.unwrap();
    for number in 0..10 {
        say(&with_redis, &number.to_string()).await;
        record(&with_postgres, &number.to_string()).await;
        say(&with_postgres, &number.to_string()).await;
    }
    let pending = || (with_redis.redis().unwrap().pending, with_postgres.postgres().unwrap().pending);
    // The start has marked what an earlier process was at; then each execution has begun and ended, and a turn was said.
    let all = (10, 1 + 3 * 10);
    assert_eq!(pending(), all);
    with_redis.purge(&settings[0]).await.unwrap();
    with_postgres.purge(&settings[1]).await.unwrap();
    assert_eq!(pending(), all, "there is room");

    let (redis, postgres) = (with_redis.redis.as_ref().unwrap(), with_postgres.postgres.as_ref().unwrap());
    assert_eq!(redis.trim_outbox(newest(redis, 6).await).await.unwrap(), 4);
    assert_eq!(postgres.trim_outbox(newest(postgres, 6).await).await.unwrap(), 25);
    assert_eq!(pending(), (6, 6));
    assert_eq!(owners(redis).await, ["4", "5", "6", "7", "8", "9"]);
    assert_eq!(owners(postgres).await, ["8", "8", "conversation:8", "9", "9", "conversation:9"]);
    with_redis.database.set_meta(RUN_ID, Some("the one that was seen")).await.unwrap();
    with_redis.trim_outboxes(1).await.unwrap();
    assert_eq!(with_redis.database.meta(RUN_ID).await.unwrap(), None, "the copies still have what is given up here");
}

/// How many bytes the newest of what waits have.
async fn newest<B: RemoteBackend>(failover: &Failover<B>, count: usize) -> i64 {
    let entries = failover.outbox.oldest_page().await.unwrap();
    let bytes: usize = entries.iter().rev().take(count).map(|entry| entry.body.len()).sum();
    i64::try_from(bytes).unwrap()
}

async fn owners<B: RemoteBackend>(failover: &Failover<B>) -> Vec<String> {
    failover.outbox.oldest_page().await.unwrap().into_iter().map(|entry| entry.owner).collect()
}

/// Stores in this folder whose services are away.
async fn away(folder: &TempDir) -> Stores {
    let (redis, postgres) = (Secret::new("redis://127.0.0.1:1"), Secret::new("postgres://127.0.0.1:1/x"));
    Stores::open(&settings(folder, Some(redis), Some(postgres)), Clock::system()).await.unwrap()
}

/// Stores in this folder whose services are there.
async fn there(folder: &TempDir) -> Option<Stores> {
    let settings = settings(folder, Some(url("TEST_REDIS_URL")?), Some(new_database().await?));
    let stores = Stores::open(&settings, Clock::system()).await.unwrap();
    let status = [stores.redis(), stores.postgres()].map(Option::unwrap);
    assert!(status.iter().all(|status| status.connected && status.pending == 0), "{status:?}");
    Some(stores)
}

#[tokio::test]
async fn what_cant_be_read_any_more_keeps_nothing_else_from_its_service() {
    let folder = TempDir::new().unwrap();
    let (stores, user) = (away(&folder).await, new_id());
    for service in ["redis", "postgres"] {
        let odd = "INSERT INTO outbox (service, owner, bytes, body) VALUES (?1, 'x', 1, '{')";
        sqlx::query(odd).bind(service).execute(stores.database.writer()).await.unwrap();
    }
    say(&stores, &user).await;
    record(&stores, "a").await;
    stores.close().await;
    let Some(stores) = there(&folder).await else { return };
    let user = UserId::parse(&user).unwrap();
    assert_eq!(stores.conversations.recent(&user, 9).await.unwrap().messages.len(), 1);
    assert_eq!(stores.executions.get("a").await.unwrap().unwrap().0.status, ExecutionStatus::Completed);
    stores.close().await;
}

#[tokio::test]
async fn metadata_that_is_as_deep_as_json_may_be_is_written_back() {
    let folder = TempDir::new().unwrap();
    let stores = away(&folder).await;
    let deep = (0..126).fold(json!(1), |inner, _| json!([inner]));
    record_with(&stores, "a", deep.clone()).await;
    stores.close().await;
    let Some(stores) = there(&folder).await else { return };
    let (found, _) = stores.executions.get("a").await.unwrap().unwrap();
    assert_eq!((found.status, found.metadata), (ExecutionStatus::Completed, Some(deep)));
    stores.close().await;
}

#[tokio::test]
async fn a_page_has_no_more_bytes_than_a_service_takes_in_time() {
    let folder = TempDir::new().unwrap();
    let stores = away(&folder).await;
    for id in ["a", "b", "c", "d"] {
        record_with(&stores, id, json!("x".repeat(100_000))).await;
    }
    // Three ends, and what stands between them.
    let first = ["", "a", "a", "b", "b", "c", "c"];
    assert_eq!(owners(stores.postgres.as_ref().unwrap()).await, first);
    record_with(&stores, "e", json!("x".repeat(9_000_000))).await;
    stores.close().await;
    let Some(stores) = there(&folder).await else { return };
    for id in ["a", "b", "c", "d", "e"] {
        assert_eq!(stores.executions.get(id).await.unwrap().unwrap().0.status, ExecutionStatus::Completed);
    }
    stores.close().await;
}

#[tokio::test]
async fn a_record_whose_begin_was_given_up_is_kept_where_it_is() {
    let folder = TempDir::new().unwrap();
    let stores = away(&folder).await;
    record(&stores, "a").await;
    let postgres = stores.postgres.as_ref().unwrap();
    postgres.trim_outbox(newest(postgres, 1).await).await.unwrap();
    assert_eq!(owners(postgres).await, ["a"]);
    stores.close().await;
    let Some(stores) = there(&folder).await else { return };
    assert_eq!(stores.executions.get("a").await.unwrap().unwrap().0.status, ExecutionStatus::Completed);
    stores.close().await;
}

async fn record(stores: &Stores, id: &str) {
    record_with(stores, id, json!({})).await;
}

async fn record_with(stores: &Stores, id: &str, metadata: Value) {
    let begun = begun(id, "ada", Clock::system().now_ms());
    stores.executions.begin(begun.clone()).await.unwrap();
    let outcome =
        Outcome { status: ExecutionStatus::Completed, answer: None, error: None, metadata: metadata.to_string() };
    stores.executions.finish(id, outcome).await.unwrap();
}

async fn say(stores: &Stores, user: &str) {
    let user = UserId::parse(user).unwrap();
    let message = Message { role: Role::User, content: "Hello".to_owned(), metadata: Map::new(), created_ms: 0 };
    let hour = Duration::from_secs(3600);
    stores.conversations.append(&user, &[Arc::new(message)], hour, 9).await.unwrap();
}

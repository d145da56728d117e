//! What waits for services that are away.

use std::time::Duration;

use serde_json::{Map, json};
use tempfile::TempDir;

use super::settings;
use crate::kernel::{Clock, Role, Secret, UserId};
use crate::storage::outside::{Backend, Link};
use crate::storage::{Execution, ExecutionStatus, Message, Outcome, Retain, Stores};

#[tokio::test]
async fn an_outage_that_never_ends_keeps_the_newest_changes_that_there_is_room_for() {
    let folder = TempDir::new().unwrap();
    // Nobody listens there.
    let (redis, postgres) = (Secret::new("redis://127.0.0.1:1"), Secret::new("postgres://127.0.0.1:1/x"));
    let mut settings = settings(&folder, Some(redis), Some(postgres));
    let stores = Stores::open(&settings, Clock::system()).await.unwrap();
    for number in 0..10 {
        record(&stores, &number.to_string()).await;
        say(&stores, &number.to_string()).await;
    }
    let pending = || (stores.redis().unwrap().pending, stores.postgres().unwrap().pending);
    // The start has marked what an earlier process was at; then each execution has begun and ended.
    let all = (10, 1 + 2 * 10);
    assert_eq!(pending(), all);
    stores.purge(&settings).await.unwrap();
    assert_eq!(pending(), all, "there is room");

    settings.execution_max_rows = 1;
    stores.purge(&settings).await.unwrap();
    assert_eq!(pending(), (6, 6));
    assert_eq!(owners(stores.redis.as_ref().unwrap()).await, ["4", "5", "6", "7", "8", "9"]);
    assert_eq!(owners(stores.postgres.as_ref().unwrap()).await, ["7", "7", "8", "8", "9", "9"]);
}

async fn owners<B: Backend>(link: &Link<B>) -> Vec<String> {
    link.journal().oldest(100).await.unwrap().into_iter().map(|entry| entry.owner).collect()
}

async fn record(stores: &Stores, id: &str) {
    let begun = Execution {
        id: id.to_owned(),
        user_id: "ada".to_owned(),
        status: ExecutionStatus::Running,
        prompt: "What?".to_owned(),
        intent: None,
        plan: None,
        answer: None,
        error: None,
        metadata: None,
        started_ms: Clock::system().now_ms(),
        finished_ms: None,
    };
    stores.executions.begin(&begun).await.unwrap();
    let outcome = Outcome { status: ExecutionStatus::Completed, answer: None, error: None, metadata: json!({}) };
    stores.executions.finish(id, &outcome).await.unwrap();
}

async fn say(stores: &Stores, user: &str) {
    let user = UserId::parse(user).unwrap();
    let message = Message { role: Role::User, content: "Hello".to_owned(), metadata: Map::new(), created_ms: 0 };
    let hour = Duration::from_secs(3600);
    stores.conversations.append(&user, &[message], hour, Retain::Newest(9)).await.unwrap();
}

//! All conversations, answers and executions: counted, and cleared.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use tempfile::TempDir;

use super::executions::begun;
use super::{TestStores, settings, stories};
use crate::kernel::{Clock, Role, Secret, UserId};
use crate::storage::{Message, StoreCount, Stores};

const HOUR: Duration = Duration::from_secs(3600);

stories!(embedded: all_conversations_are_counted_and_cleared_page_by_page, all_answers_are_cleared, executions_are_counted);
stories!(redis_alone: all_conversations_and_answers_of_a_redis_are_counted_and_cleared);
stories!(postgres: all_conversations_are_counted_and_cleared_page_by_page, executions_are_counted);

fn complete(count: usize) -> StoreCount {
    StoreCount { count, is_complete: true }
}

async fn say(stores: &Stores, user: &str, ttl: Duration) {
    let message = Message {
        role: Role::User,
        content: "Remember me".to_owned(),
        metadata: Map::new(),
        created_ms: Clock::system().now_ms(),
    };
    stores.conversations.append(&UserId::parse(user).unwrap(), &[Arc::new(message)], ttl, 100).await.unwrap();
}

async fn all_conversations_are_counted_and_cleared_page_by_page(bench: &TestStores) {
    let conversations = &bench.stores.conversations;
    assert_eq!(conversations.count().await.unwrap(), complete(0));
    for number in 0..230 {
        say(&bench.stores, &format!("user {number}"), HOUR).await;
    }
    say(&bench.stores, "user 7", HOUR).await;
    say(&bench.stores, "gone", Duration::from_millis(1)).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(conversations.count().await.unwrap(), complete(230), "one has expired");
    assert_eq!(conversations.clear_all().await.unwrap(), complete(230));
    assert_eq!(conversations.count().await.unwrap(), complete(0));
    let user = UserId::parse("user 7").unwrap();
    assert_eq!(conversations.recent(&user, 9).await.unwrap().messages, []);
    assert_eq!(conversations.clear_all().await.unwrap(), complete(0));
    say(&bench.stores, "user 7", HOUR).await;
    assert_eq!(conversations.count().await.unwrap(), complete(1), "it begins anew");
}

async fn all_answers_are_cleared(bench: &TestStores) {
    let cache = &bench.stores.cache;
    for key in ["a", "b"] {
        cache.put(key, "answer", HOUR).await.unwrap();
    }
    assert_eq!(cache.clear().await.unwrap(), complete(2));
    assert_eq!((cache.get("a").await.unwrap(), cache.clear().await.unwrap()), (None, complete(0)));
}

async fn all_conversations_and_answers_of_a_redis_are_counted_and_cleared(bench: &TestStores) {
    // An earlier run may have left some.
    bench.stores.conversations.clear_all().await.unwrap();
    bench.stores.cache.clear().await.unwrap();
    all_conversations_are_counted_and_cleared_page_by_page(bench).await;
    all_answers_are_cleared(bench).await;
    let memory = bench.stores.redis_memory().await.unwrap();
    assert!(memory.ends_with(['K', 'M', 'G']), "{memory}");
}

async fn executions_are_counted(bench: &TestStores) {
    assert_eq!(bench.stores.executions.count().await.unwrap(), 0);
    for id in ["a", "b", "c"] {
        bench.stores.executions.begin(begun(id, "ada", 0)).await.unwrap();
    }
    assert_eq!(bench.stores.executions.count().await.unwrap(), 3);
}

#[tokio::test]
async fn what_is_cleared_while_redis_is_away_waits_for_it() {
    let folder = TempDir::new().unwrap();
    // Nobody listens there.
    let settings = settings(&folder, Some(Secret::new("redis://127.0.0.1:1")), None);
    let stores = Stores::open(&settings, Clock::system()).await.unwrap();
    for user in ["ada", "bob"] {
        say(&stores, user, HOUR).await;
    }
    let unsure = |count| StoreCount { count, is_complete: false };
    assert_eq!(stores.conversations.count().await.unwrap(), unsure(2), "Redis may have others");
    assert_eq!(stores.conversations.clear_all().await.unwrap(), unsure(2));
    assert_eq!(stores.conversations.count().await.unwrap(), unsure(0));
    assert_eq!(stores.redis().unwrap().pending, 4, "two turns, two clearings");
    assert_eq!((stores.redis_memory().await, stores.cache.clear().await.unwrap()), (None, unsure(0)));
}

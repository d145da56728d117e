//! Conversations with Postgres: whatever happens to Redis, and whichever server is asked.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, json};
use tempfile::TempDir;

use super::{TestStores, new_database, redis_database, settings};
use crate::kernel::{Clock, Role, Secret, UserId, new_id};
use crate::storage::conversation::write_back;
use crate::storage::failover::{Failover, OutboxEntry};
use crate::storage::redis::RedisConnection;
use crate::storage::{Message, Stores};

const HOUR: Duration = Duration::from_secs(3600);
const MANY: usize = 10_000;

fn message(role: Role, content: &str) -> Arc<Message> {
    let created_ms = Clock::system().now_ms();
    Arc::new(Message { role, content: content.to_owned(), metadata: Map::new(), created_ms })
}

async fn say(stores: &Stores, user: &UserId, content: &str, max_messages: usize) {
    stores.conversations.append(user, &[message(Role::User, content)], HOUR, max_messages).await.unwrap();
}

/// Oldest first.
async fn said(stores: &Stores, user: &UserId) -> Vec<String> {
    let found = stores.conversations.recent(user, MANY).await.unwrap().messages;
    found.into_iter().rev().map(|message| message.content.clone()).collect()
}

async fn all_said(stores: &Stores, user: &UserId) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = stores.conversations.history(user, 3, cursor).await.unwrap();
        found.extend(page.messages.iter().map(|message| message.content.clone()));
        cursor = page.next;
        if cursor.is_none() {
            found.reverse();
            return found;
        }
    }
}

fn connection(stores: &Stores) -> RedisConnection {
    stores.redis.as_ref().and_then(Failover::connection).unwrap()
}

fn keys(user: &UserId) -> [String; 3] {
    ["", "_summary", "_window"].map(|kind| format!("conversation{kind}:{user}"))
}

async fn forget_in_redis(stores: &Stores, keys: &[String]) {
    let _: i64 = redis::cmd("DEL").arg(keys).query_async(&mut connection(stores)).await.unwrap();
}

async fn refresh(stores: &Stores) {
    stores.conversations.durable.as_ref().unwrap().refresh_windows().await.unwrap();
}

/// Two servers on one Redis and one Postgres.
struct Replicas {
    stores: [Stores; 2],
    _folders: [TempDir; 2],
}

impl Replicas {
    async fn open() -> Option<Self> {
        let (redis, postgres) = (redis_database(8)?, new_database().await?);
        let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        let open = async |folder| {
            let settings = settings(folder, Some(redis.clone()), Some(postgres.clone()));
            Stores::open(&settings, Clock::system()).await.unwrap()
        };
        let stores = [open(&folders[0]).await, open(&folders[1]).await];
        Some(Self { stores, _folders: folders })
    }

    async fn close(self) {
        for stores in &self.stores {
            stores.close().await;
        }
    }
}

/// What a conversation should be, oldest first.
#[derive(Default)]
struct Expected {
    archived: Vec<String>,
    held: Vec<String>,
    summary: Option<String>,
}

impl Expected {
    async fn is_told_by(&self, stores: &Stores, user: &UserId, after: &str) {
        let found = stores.conversations.recent(user, MANY).await.unwrap();
        let texts: Vec<_> = found.messages.iter().rev().map(|message| message.content.clone()).collect();
        assert_eq!((&texts, &found.summary), (&self.held, &self.summary), "after {after}");
        let window = stores.conversations.window(user, 6).await.unwrap();
        let texts: Vec<_> = window.messages.iter().rev().map(|message| message.content.clone()).collect();
        let newest = self.held.len().saturating_sub(2);
        assert_eq!((&*texts, &window.summary), (&self.held[newest..], &self.summary), "window after {after}");
        let all: Vec<_> = self.archived.iter().chain(&self.held).cloned().collect();
        assert_eq!(all_said(stores, user).await, all, "archive after {after}");
    }
}

#[tokio::test]
async fn two_servers_tell_the_same_whatever_is_said_summarized_cleared_or_lost_by_redis() {
    let Some(replicas) = Replicas::open().await else { return };
    let user = UserId::parse(&new_id()).unwrap();
    let mut expected = Expected::default();
    let mut random = fastrand::Rng::with_seed(19);
    for number in 100..400 {
        let stores = &replicas.stores[random.usize(0..2)];
        let after = match random.usize(0..12) {
            0 => {
                stores.conversations.clear(&user).await.unwrap();
                expected = Expected::default();
                "a clearing"
            }
            1 => {
                if let Some(excess) = stores.conversations.excess(&user, 2, 3).await.unwrap() {
                    let summary = format!("summary {number}");
                    assert!(stores.conversations.summarize(&user, &excess, usize::MAX, &summary).await.unwrap());
                    expected.archived.extend(expected.held.drain(..excess.messages.len()));
                    expected.summary = Some(summary);
                }
                "a summary"
            }
            2 => {
                let lost = random.usize(0..3);
                forget_in_redis(stores, &keys(&user)[lost..=lost]).await;
                "the loss of a key"
            }
            3 => {
                // Whatever Redis has is of an earlier run.
                let durable = stores.conversations.durable.as_ref().unwrap();
                durable.trust.connected(&new_id());
                refresh(stores).await;
                "a restart of Redis"
            }
            4 => {
                stores.redis.as_ref().unwrap().mark_down();
                say(stores, &user, &number.to_string(), 5).await;
                expected.held.push(number.to_string());
                while stores.redis.as_ref().and_then(Failover::connection).is_none() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                refresh(stores).await;
                "a turn without Redis"
            }
            _ => {
                say(stores, &user, &number.to_string(), 5).await;
                expected.held.push(number.to_string());
                "a turn"
            }
        };
        let surplus = expected.held.len().saturating_sub(5);
        expected.archived.extend(expected.held.drain(..surplus));
        for stores in &replicas.stores {
            expected.is_told_by(stores, &user, &format!("{after} ({number})")).await;
        }
    }
    replicas.close().await;
}

#[tokio::test]
async fn turns_that_two_servers_take_at_once_are_there_once_and_in_one_order() {
    let Some(replicas) = Replicas::open().await else { return };
    let user = &UserId::parse(&new_id()).unwrap();
    let [one, two] = &replicas.stores;
    let speak = async |stores: &Stores, letter: &str| {
        for number in 0..60 {
            say(stores, user, &format!("{letter}{number}"), MANY).await;
            assert!(said(stores, user).await.contains(&format!("{letter}{number}")), "what was said is seen");
        }
    };
    tokio::join!(speak(one, "a"), speak(two, "b"));
    let told = said(one, user).await;
    assert_eq!(told, said(two, user).await);
    for letter in ["a", "b"] {
        let of_one: Vec<_> = told.iter().filter(|text| text.starts_with(letter)).cloned().collect();
        assert_eq!(of_one, (0..60).map(|number| format!("{letter}{number}")).collect::<Vec<_>>());
    }
    assert_eq!(told.len(), 120);
    replicas.close().await;
}

#[tokio::test]
async fn what_redis_was_not_told_is_dropped_by_whoever_comes_first() {
    let Some(replicas) = Replicas::open().await else { return };
    let (user, [one, two]) = (&UserId::parse(&new_id()).unwrap(), &replicas.stores);
    say(one, user, "0", MANY).await;
    let old = said(two, user).await;
    one.redis.as_ref().unwrap().mark_down();
    say(one, user, "1", MANY).await;
    assert_eq!(said(one, user).await, ["0", "1"], "Postgres has it");
    assert_eq!(old, ["0"]);
    refresh(two).await;
    assert_eq!(said(two, user).await, ["0", "1"]);
    replicas.close().await;
}

#[tokio::test]
async fn what_comes_late_finds_its_place_once_and_brings_nothing_back() {
    let Some(bench) = TestStores::redis_and_postgres().await else { return };
    let (stores, user) = (&bench.stores, &bench.user);
    let text = |content: &str, ms: i64| {
        json!({"role": "user", "content": content, "timestamp": Clock::rfc3339(ms), "metadata": {}}).to_string()
    };
    let start = bench.clock.now_ms();
    say(stores, user, "0", MANY).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    say(stores, user, "2", MANY).await;
    let entry = |body: serde_json::Value| OutboxEntry {
        position: 1,
        owner: format!("conversation:{user}"),
        body: body.to_string(),
    };
    let append = |id: &str, content: &str, ms: i64| {
        entry(json!({"id": id, "messages": [text(content, ms)], "most": 99, "ends": start + 3_600_000}))
    };
    let durable = stores.conversations.durable.as_ref().unwrap();
    let write = async |entry: OutboxEntry| {
        let connection = stores.postgres.as_ref().and_then(Failover::connection).unwrap();
        write_back(&durable.embedded, &durable.trust, &connection, &[&entry]).await.unwrap();
        refresh(stores).await;
    };
    for _ in 0..2 {
        write(append("late", "1", start + 15)).await;
        assert_eq!(said(stores, user).await, ["0", "1", "2"]);
    }
    write(entry(json!({"id": new_id(), "cleared": start + 15}))).await;
    assert_eq!(said(stores, user).await, ["2"], "what was said since stays");
    write(append("later", "1", start + 10)).await;
    assert_eq!(said(stores, user).await, ["2"], "it was cleared");
    let over = json!({"id": "over", "messages": [text("3", start + 99)], "most": 99, "ends": start - 1});
    write(entry(over)).await;
    assert_eq!(said(stores, user).await, ["2"], "its life was over");
    let other = UserId::parse(&new_id()).unwrap();
    let odd = json!({"id": "odd", "messages": ["not \u{0} JSON"], "most": 99, "ends": start + 3_600_000});
    write(OutboxEntry { position: 1, owner: format!("conversation:{other}"), body: odd.to_string() }).await;
    assert_eq!(said(stores, &other).await, ["not \u{0} JSON"]);
}

#[tokio::test]
async fn conversations_from_before_postgres_are_taken_over_from_redis_and_from_the_embedded_database() {
    // A database of Redis of its own: another server would say that it has taken all over.
    let (Some(redis), Some(postgres)) = (redis_database(9), new_database().await) else { return };
    let users = [(); 3].map(|()| UserId::parse(&new_id()).unwrap());
    let [of_redis, of_both, embedded] = &users;
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let open = async |folder, redis: Option<&Secret>, postgres: Option<&Secret>| {
        Stores::open(&settings(folder, redis.cloned(), postgres.cloned()), Clock::system()).await.unwrap()
    };
    let stores = open(&folders[0], Some(&redis), None).await;
    for number in 0..5 {
        say(&stores, of_redis, &number.to_string(), MANY).await;
        say(&stores, of_both, &number.to_string(), MANY).await;
    }
    let excess = stores.conversations.excess(of_redis, 3, 9).await.unwrap().unwrap();
    assert!(stores.conversations.summarize(of_redis, &excess, usize::MAX, "two numbers").await.unwrap());
    forget_in_redis(&stores, &["conversations_adopted".to_owned()]).await;
    stores.close().await;
    let stores = open(&folders[1], None, None).await;
    say(&stores, embedded, "here", MANY).await;
    say(&stores, of_both, "here", MANY).await;
    stores.close().await;

    for _ in 0..2 {
        for folder in &folders {
            let stores = open(folder, Some(&redis), Some(&postgres)).await;
            assert_eq!(stores.postgres().unwrap().pending, 0);
            refresh(&stores).await;
            let found = stores.conversations.recent(of_redis, MANY).await.unwrap();
            assert_eq!((found.messages.len(), found.summary.as_deref()), (3, Some("two numbers")));
            stores.close().await;
        }
    }
    let stores = open(&folders[0], Some(&redis), Some(&postgres)).await;
    assert_eq!(said(&stores, of_both).await, ["0", "1", "2", "3", "4", "here"]);
    assert_eq!(said(&stores, embedded).await, ["here"]);
    let copies: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM conversation").fetch_one(stores.database.read()).await.unwrap();
    assert_eq!(copies, 0, "no copies are kept");
    stores.close().await;
}

#[tokio::test]
async fn a_conversation_that_is_too_long_for_a_window_is_read_from_postgres() {
    let Some(bench) = TestStores::redis_and_postgres().await else { return };
    for letter in ["x", "y", "z"] {
        say(&bench.stores, &bench.user, &letter.repeat(900_000), MANY).await;
    }
    forget_in_redis(&bench.stores, &keys(&bench.user)).await;
    assert_eq!(said(&bench.stores, &bench.user).await.len(), 3);
    let window = bench.stores.conversations.window(&bench.user, 1_000_000).await.unwrap();
    assert_eq!((window.messages.len(), window.messages[0].content.len()), (1, 900_000));
    let exists: bool =
        redis::cmd("EXISTS").arg(&keys(&bench.user)).query_async(&mut connection(&bench.stores)).await.unwrap();
    assert!(!exists);
}

#[tokio::test]
async fn ended_conversations_leave_postgres() {
    let Some(bench) = TestStores::redis_and_postgres().await else { return };
    let store = &bench.stores.conversations;
    let [cleared, ended] = [(); 2].map(|()| UserId::parse(&new_id()).unwrap());
    say(&bench.stores, &cleared, "cleared", MANY).await;
    store.clear(&cleared).await.unwrap();
    for user in [&cleared, &ended] {
        store.append(user, &[message(Role::User, "soon gone")], Duration::from_millis(1), MANY).await.unwrap();
    }
    say(&bench.stores, &bench.user, "stays", MANY).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    store.purge(bench.postgres_connection().as_ref()).await.unwrap();
    let pool = bench.stores.postgres.as_ref().and_then(Failover::connection).unwrap().pool;
    let left: (i64, i64) =
        sqlx::query_as("SELECT (SELECT COUNT(*) FROM conversation), (SELECT COUNT(*) FROM conversation_message)")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(left, (2, 1), "of the one that was cleared it is known when");
    assert_eq!(said(&bench.stores, &bench.user).await, ["stays"]);
}

//! What Redis is told again: what waited, and what a Redis with other data than it had lacks.

use std::sync::Arc;
use std::time::Duration;

use redis::Cmd;
use serde_json::{Map, json};
use tempfile::TempDir;

use super::{TestStores, settings, url};
use crate::kernel::{Clock, Role, Secret, UserId, new_id};
use crate::storage::conversation::{replay, restore};
use crate::storage::failover::OutboxEntry;
use crate::storage::redis::{RUN_ID, RedisConnection};
use crate::storage::{Message, Stores};

const HOUR: Duration = Duration::from_secs(3600);

async fn say(stores: &Stores, user: &UserId, content: &str) {
    let created_ms = Clock::system().now_ms();
    let message = Message { role: Role::User, content: content.to_owned(), metadata: Map::new(), created_ms };
    stores.conversations.append(user, &[Arc::new(message)], HOUR, 10_000).await.unwrap();
    // Each at a time of its own.
    tokio::time::sleep(Duration::from_millis(2)).await;
}

/// Oldest first.
async fn said(stores: &Stores, user: &UserId) -> Vec<String> {
    let found = stores.conversations.recent(user, 10_000).await.unwrap().messages;
    found.into_iter().rev().map(|message| message.content.clone()).collect()
}

impl TestStores {
    fn connection(&self) -> RedisConnection {
        self.stores.redis.as_ref().unwrap().connection().unwrap()
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &mut Cmd) -> T {
        command.query_async(&mut self.connection()).await.unwrap()
    }

    fn key(&self, kind: &str) -> String {
        format!("conversation{kind}:{}", self.user)
    }

    async fn forget_in_redis(&self) {
        for kind in ["", "_summary", "_applied", "_epoch"] {
            let _: i64 = self.ask(redis::cmd("DEL").arg(self.key(kind))).await;
        }
    }

    async fn restore(&self) -> usize {
        self.restore_from(&self.stores).await
    }

    async fn restore_from(&self, stores: &Stores) -> usize {
        let copies = stores.conversations.embedded.clone();
        restore(&copies, &self.connection()).await.unwrap()
    }

    async fn write_back(&self, owners: &[(&UserId, serde_json::Value)]) {
        let entry = |(owner, body): &(&UserId, serde_json::Value)| OutboxEntry {
            position: 1,
            owner: owner.to_string(),
            body: body.to_string(),
        };
        let copies = self.stores.conversations.embedded.clone();
        let entries: Vec<OutboxEntry> = owners.iter().map(entry).collect();
        replay(&copies, &self.connection(), &entries).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_given_back_lengthens_a_life_and_never_shortens_it() {
    let Some(bench) = TestStores::redis().await else { return };
    say(&bench.stores, &bench.user, "Hello").await;
    let soon = bench.clock.now_ms() + 60_000;
    bench.stores.conversations.embedded.writes.settle().await;
    let ending = sqlx::query("UPDATE conversation SET expires_at = ?1").bind(soon);
    ending.execute(bench.stores.database.writer()).await.unwrap();
    let lives = async || -> i64 { bench.ask(redis::cmd("PTTL").arg(bench.key(""))).await };
    bench.restore().await;
    assert!(lives().await > 3_500_000, "it lives on as another server said");
    bench.write_back(&[(&bench.user, json!({"id": new_id(), "messages": ["x"], "most": 9}))]).await;
    assert!(lives().await > 3_500_000);
    bench.forget_in_redis().await;
    bench.restore().await;
    let left = lives().await;
    assert!(left > 0 && left <= 60_000, "{left}");
}

#[tokio::test]
async fn a_long_conversation_is_given_back_whole_and_once() {
    let Some(bench) = TestStores::redis().await else { return };
    for number in 0..600 {
        say(&bench.stores, &bench.user, &number.to_string()).await;
    }
    // More than goes to Redis at once.
    for letter in ["x", "y", "z"] {
        say(&bench.stores, &bench.user, &letter.repeat(300_000)).await;
    }
    let before = said(&bench.stores, &bench.user).await;
    bench.restore().await;
    assert_eq!(said(&bench.stores, &bench.user).await.len(), 603, "it had all");
    bench.forget_in_redis().await;
    bench.restore().await;
    assert!(said(&bench.stores, &bench.user).await == before);
}

#[tokio::test]
async fn a_clearing_that_comes_late_spares_what_was_said_since() {
    let Some(bench) = TestStores::redis().await else { return };
    say(&bench.stores, &bench.user, "before").await;
    let at = bench.clock.now_ms();
    tokio::time::sleep(Duration::from_millis(5)).await;
    say(&bench.stores, &bench.user, "since").await;
    bench.write_back(&[(&bench.user, json!({"id": new_id(), "cleared": at}))]).await;
    assert_eq!(said(&bench.stores, &bench.user).await, ["since"]);
    let lives: i64 = bench.ask(redis::cmd("PTTL").arg(bench.key(""))).await;
    assert!(lives > 0 && lives <= 3_600_000, "{lives}");
}

#[tokio::test]
async fn a_clearing_is_known_however_much_has_been_said_before() {
    let Some(bench) = TestStores::redis().await else { return };
    let mut many = redis::cmd("ZADD");
    many.arg(bench.key("_applied"));
    for number in 0..1000 {
        many.arg(bench.clock.now_ms() - 1000).arg(number.to_string());
    }
    let _: i64 = bench.ask(&mut many).await;
    bench.stores.conversations.clear(&bench.user).await.unwrap();
    let id: String = bench.ask(redis::cmd("GET").arg(bench.key("_epoch"))).await;
    let score: Option<f64> = bench.ask(redis::cmd("ZSCORE").arg(bench.key("_applied")).arg(id)).await;
    assert!(score.is_some(), "or it would be done a second time");
}

#[tokio::test]
async fn what_was_cleared_does_not_come_back_with_old_data() {
    let Some(bench) = TestStores::redis().await else { return };
    say(&bench.stores, &bench.user, "secret").await;
    let old: Vec<String> = bench.ask(redis::cmd("LRANGE").arg(bench.key("")).arg(0).arg(-1)).await;
    bench.stores.conversations.clear(&bench.user).await.unwrap();
    say(&bench.stores, &bench.user, "since").await;
    bench.forget_in_redis().await;
    let _: i64 = bench.ask(redis::cmd("RPUSH").arg(bench.key("")).arg(old)).await;
    let _: () = bench.ask(redis::cmd("SET").arg(bench.key("_summary")).arg("of the secret")).await;
    bench.restore().await;
    let found = bench.stores.conversations.recent(&bench.user, 9).await.unwrap();
    assert_eq!((found.messages.len(), found.summary), (1, None));
    assert_eq!(found.messages[0].content, "since");
}

/// Another server that uses the same Redis.
async fn neighbour(folder: &TempDir) -> Stores {
    Stores::open(&settings(folder, url("TEST_REDIS_URL"), None), Clock::system()).await.unwrap()
}

#[tokio::test]
async fn a_copy_is_given_back_whole_only_where_there_is_nothing() {
    let Some(bench) = TestStores::redis().await else { return };
    let folder = TempDir::new().unwrap();
    let other = neighbour(&folder).await;
    for (stores, content) in [(&bench.stores, "0"), (&other, "1"), (&bench.stores, "2"), (&other, "3")] {
        say(stores, &bench.user, content).await;
    }
    for ([first, second], expected) in [([&bench.stores, &other], ["0", "2"]), ([&other, &bench.stores], ["1", "3"])] {
        bench.forget_in_redis().await;
        assert_eq!(bench.restore_from(first).await, 0);
        assert_eq!(bench.restore_from(second).await, 1, "it is told that this copy is not given back");
        assert_eq!(bench.restore_from(first).await, 0);
        assert_eq!(said(&bench.stores, &bench.user).await, expected, "copies are not merged");
        let lives: i64 = bench.ask(redis::cmd("PTTL").arg(bench.key(""))).await;
        assert!(lives > 3_500_000, "{lives}");
    }
    // Whose copy was not given back adds to what is there from now on.
    say(&bench.stores, &bench.user, "4").await;
    assert_eq!(said(&bench.stores, &bench.user).await, ["1", "3", "4"]);
    bench.restore().await;
    assert_eq!(said(&bench.stores, &bench.user).await, ["1", "3", "4"]);
    other.close().await;
}

#[tokio::test]
async fn of_servers_that_give_back_at_once_one_comes_first_and_is_not_interrupted() {
    let Some(bench) = TestStores::redis().await else { return };
    let folder = TempDir::new().unwrap();
    let other = neighbour(&folder).await;
    let mut copies = Vec::new();
    for (stores, letter) in [(&bench.stores, "a"), (&other, "b")] {
        let texts: Vec<String> = (0..4).map(|number| letter.repeat(100_000 + number)).collect();
        for text in &texts {
            say(stores, &bench.user, text).await;
        }
        copies.push(texts);
    }
    for _ in 0..10 {
        bench.forget_in_redis().await;
        tokio::join!(bench.restore_from(&bench.stores), bench.restore_from(&other));
        assert!(copies.contains(&said(&bench.stores, &bench.user).await));
    }
    other.close().await;
}

#[tokio::test]
async fn a_summary_is_given_back_with_its_copy_or_not_at_all() {
    let Some(bench) = TestStores::redis().await else { return };
    let folder = TempDir::new().unwrap();
    let other = neighbour(&folder).await;
    for (stores, summary) in [(&bench.stores, "They met."), (&other, "They spoke.")] {
        for number in 0..4 {
            say(stores, &bench.user, &number.to_string()).await;
        }
        let excess = stores.conversations.excess(&bench.user, 2, 9).await.unwrap().unwrap();
        assert!(stores.conversations.summarize(&bench.user, &excess, usize::MAX, summary).await.unwrap());
    }
    let summary = async || bench.stores.conversations.recent(&bench.user, 9).await.unwrap().summary.unwrap();
    bench.restore().await;
    assert_eq!(summary().await, "They spoke.", "what was summed up in it is there");

    for ([first, second], expected) in
        [([&bench.stores, &other], "They met."), ([&other, &bench.stores], "They spoke.")]
    {
        bench.forget_in_redis().await;
        bench.restore_from(first).await;
        bench.restore_from(second).await;
        assert_eq!(summary().await, expected);
        let lives: i64 = bench.ask(redis::cmd("PTTL").arg(bench.key("_summary"))).await;
        assert!(lives > 3_500_000, "{lives}");
    }
    other.close().await;
}

#[tokio::test]
async fn a_redis_that_has_lost_the_last_moments_gets_the_end_of_the_copy_in_order_and_once() {
    let Some(bench) = TestStores::redis().await else { return };
    for number in 0..4 {
        say(&bench.stores, &bench.user, &number.to_string()).await;
    }
    // As a restart leaves it that has lost two steps.
    let newest: Vec<String> = bench.ask(redis::cmd("ZREVRANGE").arg(bench.key("_applied")).arg(0).arg(1)).await;
    let _: i64 = bench.ask(redis::cmd("ZREM").arg(bench.key("_applied")).arg(newest)).await;
    let _: () = bench.ask(redis::cmd("LTRIM").arg(bench.key("")).arg(2).arg(-1)).await;
    assert_eq!(said(&bench.stores, &bench.user).await, ["0", "1"]);
    for _ in 0..2 {
        bench.restore().await;
        assert_eq!(said(&bench.stores, &bench.user).await, ["0", "1", "2", "3"]);
    }
}

#[tokio::test]
async fn what_another_server_has_cleared_is_not_given_back_while_redis_knows_its_steps() {
    let Some(bench) = TestStores::redis().await else { return };
    let folder = TempDir::new().unwrap();
    let other = neighbour(&folder).await;
    say(&bench.stores, &bench.user, "secret").await;
    other.conversations.clear(&bench.user).await.unwrap();
    bench.restore().await;
    assert_eq!(said(&bench.stores, &bench.user).await, Vec::<String>::new());
    other.close().await;
}

/// While Redis is away, steps go to the outbox and to the copy. Restoring leaves them to the outbox, whatever the limit has
/// dropped from the copy, and whatever was cleared meanwhile.
#[tokio::test]
async fn what_is_queued_comes_after_what_is_given_back_in_order_and_once() {
    let Some(url) = url("TEST_REDIS_URL") else { return };
    let folder = TempDir::new().unwrap();
    let open =
        async |url: &Secret| Stores::open(&settings(&folder, Some(url.clone()), None), Clock::system()).await.unwrap();
    let users = [(); 4].map(|()| UserId::parse(&new_id()).unwrap());
    let [kept, lost, cleared, trimmed] = &users;
    let stores = open(&url).await;
    for user in &users {
        say(&stores, user, "before").await;
    }
    let mut connection = stores.redis.as_ref().unwrap().connection().unwrap();
    for user in [lost, trimmed] {
        let keys = ["", "_summary", "_applied", "_epoch"].map(|kind| format!("conversation{kind}:{user}"));
        let _: i64 = redis::cmd("DEL").arg(&keys).query_async(&mut connection).await.unwrap();
    }
    stores.close().await;

    // Nobody listens there.
    let stores = open(&Secret::new("redis://127.0.0.1:1")).await;
    for user in &users {
        say(&stores, user, "during").await;
    }
    stores.conversations.clear(cleared).await.unwrap();
    for user in &users {
        say(&stores, user, "later").await;
    }
    let last = Message { role: Role::User, content: "last".to_owned(), metadata: Map::new(), created_ms: 9 };
    stores.conversations.append(trimmed, &[Arc::new(last)], HOUR, 2).await.unwrap();
    stores.database.set_meta(RUN_ID, None).await.unwrap();
    stores.close().await;

    let stores = open(&url).await;
    assert_eq!(stores.redis().unwrap().pending, 0);
    assert_eq!(said(&stores, kept).await, ["before", "during", "later"]);
    assert_eq!(said(&stores, lost).await, ["before", "during", "later"]);
    assert_eq!(said(&stores, cleared).await, ["later"]);
    assert_eq!(said(&stores, trimmed).await, ["later", "last"]);
    stores.close().await;
}

#[tokio::test]
async fn a_conversation_that_was_given_back_in_part_is_completed() {
    let Some(bench) = TestStores::redis().await else { return };
    for letter in ["w", "x", "y", "z"] {
        say(&bench.stores, &bench.user, &letter.repeat(200_000)).await;
    }
    let before = said(&bench.stores, &bench.user).await;
    bench.forget_in_redis().await;
    bench.restore().await;
    // As it is if the connection breaks after the second piece.
    let newest: Vec<String> = bench.ask(redis::cmd("ZRANGE").arg(bench.key("_applied")).arg(0).arg(-1)).await;
    assert_eq!(newest.len(), 4);
    let rows = "SELECT operation FROM message WHERE user_id = ?1 ORDER BY id DESC LIMIT 2";
    let newest: Vec<String> =
        sqlx::query_scalar(rows).bind(bench.user.as_str()).fetch_all(bench.stores.database.read()).await.unwrap();
    let _: i64 = bench.ask(redis::cmd("ZREM").arg(bench.key("_applied")).arg(newest)).await;
    let _: () = bench.ask(redis::cmd("LTRIM").arg(bench.key("")).arg(2).arg(-1)).await;
    bench.restore().await;
    assert!(said(&bench.stores, &bench.user).await == before);
}

#[tokio::test]
async fn what_redis_refuses_of_one_user_keeps_no_other_waiting() {
    let Some(bench) = TestStores::redis().await else { return };
    let other = UserId::parse(&new_id()).unwrap();
    for user in [&bench.user, &other] {
        say(&bench.stores, user, "Hello").await;
    }
    bench.forget_in_redis().await;
    let _: () = bench.ask(redis::cmd("SET").arg(bench.key("")).arg("no list")).await;
    let body = || json!({"id": new_id(), "messages": ["late"], "most": 9});
    bench.write_back(&[(&bench.user, body()), (&other, body())]).await;
    assert_eq!(said(&bench.stores, &other).await, ["Hello", "late"]);
}

#[tokio::test]
async fn what_happens_while_redis_is_not_configured_is_told_to_it_later() {
    let Some(redis) = url("TEST_REDIS_URL") else { return };
    let folder = TempDir::new().unwrap();
    let open = async |with: bool| {
        let settings = settings(&folder, Some(redis.clone()).filter(|_| with), None);
        Stores::open(&settings, Clock::system()).await.unwrap()
    };
    let [ada, bob] = [new_id(), new_id()].map(|id| UserId::parse(&id).unwrap());
    let stores = open(true).await;
    say(&stores, &ada, "with").await;
    say(&stores, &bob, "secret").await;
    stores.close().await;

    let stores = open(false).await;
    say(&stores, &ada, "without").await;
    stores.conversations.clear(&bob).await.unwrap();
    stores.close().await;

    let stores = open(true).await;
    assert_eq!(said(&stores, &ada).await, ["with", "without"]);
    assert_eq!(said(&stores, &bob).await, Vec::<String>::new());
    stores.close().await;
}

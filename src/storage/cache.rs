use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::AsyncCommands;

use super::count::StoreCount;
use super::embedded::{EmbeddedChange, EmbeddedWrite};
use super::failover::{Failover, prefer_remote};
use super::redis::{REQUEST_TIMEOUT, Redis, RedisConnection, call, find_keys};
use super::sqlite::{Database, failed, int};
use super::write_queue::WriteQueue;
use crate::kernel::{Clock, Error};

/// Entries kept at most; a purge drops those that would expire first.
const MAX_ENTRIES: i64 = 10_000;

/// Keys that are remembered at most: what comes between two purges on top of that is not cached.
const MAX_KNOWN_KEYS: usize = 20_000;

/// Entries that Redis removes in one step.
const KEYS_PER_STEP: usize = 1000;

/// Ours alone among the keys of a Redis that others may use too.
const KEY_PREFIX: &str = "orchestrator_cache:";

/// Values that may be lost at any time, each with a time to live. In Redis, or in the embedded database if there is none or
/// it is away.
#[derive(Clone, Debug)]
pub struct CacheStore {
    pub(super) database: Database,
    pub(super) clock: Clock,
    pub(super) redis: Option<Failover<Redis>>,
    pub(super) writes: WriteQueue<EmbeddedWrite>,
    pub(super) known: KnownKeys,
}

/// The keys that the embedded database has, each with the time when it expires: nobody asks it for others.
#[derive(Clone, Debug)]
pub(super) struct KnownKeys(Arc<Mutex<HashMap<String, i64>>>);

impl KnownKeys {
    /// Those of a database that was opened just now.
    pub(super) async fn read(database: &Database) -> Result<Self, Error> {
        let keys: Vec<(String, i64)> = sqlx::query_as("SELECT key, expires_at FROM cache_entry")
            .fetch_all(database.read())
            .await
            .map_err(failed("could not list the cache"))?;
        Ok(Self(Arc::new(Mutex::new(keys.into_iter().collect()))))
    }

    fn has(&self, key: &str, now_ms: i64) -> bool {
        self.0.lock().get(key).is_some_and(|expires_at| *expires_at > now_ms)
    }

    /// Returns whether there is room for it until the next purge.
    fn add(&self, key: &str, expires_at: i64) -> bool {
        let mut keys = self.0.lock();
        let has_room = keys.len() < MAX_KNOWN_KEYS;
        if has_room {
            keys.insert(key.to_owned(), expires_at);
        }
        has_room
    }

    /// Forgets what has expired by `now_ms`, and of the others those that would expire first.
    fn purge(&self, now_ms: i64) {
        let mut keys = self.0.lock();
        keys.retain(|_, expires_at| *expires_at > now_ms);
        let surplus = keys.len().saturating_sub(usize::try_from(MAX_ENTRIES).unwrap_or_default());
        if surplus > 0 {
            let mut ends: Vec<i64> = keys.values().copied().collect();
            ends.sort_unstable();
            let cut = ends.get(surplus - 1).copied().unwrap_or(i64::MIN);
            keys.retain(|_, expires_at| *expires_at > cut);
        }
    }
}

impl CacheStore {
    /// The value under `key`, unless it has expired.
    pub async fn get(&self, key: &str) -> Result<Option<String>, Error> {
        let reading = |mut connection: RedisConnection| async move {
            call(REQUEST_TIMEOUT, connection.get(format!("{KEY_PREFIX}{key}"))).await
        };
        prefer_remote(self.redis.as_ref(), reading, || self.get_embedded(key)).await
    }

    /// Puts `value` under `key` for `ttl`.
    pub async fn put(&self, key: &str, value: &str, ttl: Duration) -> Result<(), Error> {
        let writing = |mut connection: RedisConnection| async move {
            let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
            call(REQUEST_TIMEOUT, connection.pset_ex(format!("{KEY_PREFIX}{key}"), value, ttl_ms)).await
        };
        prefer_remote(self.redis.as_ref(), writing, || self.put_embedded(key, value, ttl)).await
    }

    /// Forgets all values, those of other servers in the same Redis too; says how many those were.
    pub async fn clear(&self) -> Result<StoreCount, Error> {
        self.writes.drain().await;
        let deleting = sqlx::query("DELETE FROM cache_entry").execute(self.database.writer()).await;
        let embedded = deleting.map_err(failed("could not clear the cache"))?.rows_affected();
        self.known.0.lock().clear();
        let mut cleared =
            StoreCount { count: usize::try_from(embedded).unwrap_or(usize::MAX), is_complete: self.redis.is_none() };
        if let Some(mut connection) = self.redis.as_ref().and_then(Failover::connection) {
            let Some(found) = find_keys(&connection, &format!("{KEY_PREFIX}*")).await else { return Ok(cleared) };
            cleared.is_complete = found.is_complete;
            let keys: Vec<_> = found.keys.into_iter().collect();
            for page in keys.chunks(KEYS_PER_STEP) {
                match call(REQUEST_TIMEOUT, connection.unlink::<_, usize>(page)).await {
                    Ok(count) => cleared.count += count,
                    Err(failure) => {
                        tracing::warn!(error = failure.to_string(), "answers could not be removed from Redis");
                        return Ok(StoreCount { is_complete: false, ..cleared });
                    }
                }
            }
        }
        Ok(cleared)
    }

    async fn get_embedded(&self, key: &str) -> Result<Option<String>, Error> {
        if !self.known.has(key, self.clock.now_ms()) {
            return Ok(None);
        }
        if let Some(found) = self.read(key).await? {
            return Ok(Some(found));
        }
        // It may be on its way.
        self.writes.settle().await;
        self.read(key).await
    }

    async fn read(&self, key: &str) -> Result<Option<String>, Error> {
        sqlx::query_scalar("SELECT value FROM cache_entry WHERE key = ?1 AND expires_at > ?2")
            .bind(key)
            .bind(self.clock.now_ms())
            .fetch_optional(self.database.read())
            .await
            .map_err(failed("could not read the cache"))
    }

    /// Nobody waits for it to be written.
    async fn put_embedded(&self, key: &str, value: &str, ttl: Duration) -> Result<(), Error> {
        let expires_at = self.clock.now_ms().saturating_add(int(ttl.as_millis()));
        if !self.known.add(key, expires_at) {
            return Ok(());
        }
        let change = EmbeddedChange::Cache { key: key.to_owned(), value: value.to_owned(), expires_at };
        self.writes.push_lingering(EmbeddedWrite { change, outbox: None }).await.map(drop)
    }

    pub(super) async fn purge(&self) -> Result<(), Error> {
        let work = async {
            sqlx::query("DELETE FROM cache_entry WHERE expires_at <= ?1")
                .bind(self.clock.now_ms())
                .execute(self.database.writer())
                .await?;
            sqlx::query(
                "DELETE FROM cache_entry WHERE key IN (SELECT key FROM cache_entry ORDER BY expires_at
                     LIMIT max(0, (SELECT COUNT(*) FROM cache_entry) - ?1))",
            )
            .bind(MAX_ENTRIES)
            .execute(self.database.writer())
            .await
        };
        work.await.map(|_| ()).map_err(failed("could not delete expired cache entries"))?;
        self.known.purge(self.clock.now_ms());
        Ok(())
    }
}

use std::time::Duration;

use redis::AsyncCommands;

use super::count::StoreCount;
use super::failover::{Failover, prefer_remote};
use super::redis::{REQUEST_TIMEOUT, Redis, RedisConnection, call, find_keys};
use super::sqlite::{Database, failed, int};
use crate::kernel::{Clock, Error};

/// Entries kept at most; a purge drops those that would expire first.
const MAX_ENTRIES: i64 = 10_000;

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
        let deleting = sqlx::query("DELETE FROM cache_entry").execute(self.database.writer()).await;
        let embedded = deleting.map_err(failed("could not clear the cache"))?.rows_affected();
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
        sqlx::query_scalar("SELECT value FROM cache_entry WHERE key = ?1 AND expires_at > ?2")
            .bind(key)
            .bind(self.clock.now_ms())
            .fetch_optional(self.database.read())
            .await
            .map_err(failed("could not read the cache"))
    }

    async fn put_embedded(&self, key: &str, value: &str, ttl: Duration) -> Result<(), Error> {
        let expires_at = self.clock.now_ms().saturating_add(int(ttl.as_millis()));
        sqlx::query("INSERT OR REPLACE INTO cache_entry (key, value, expires_at) VALUES (?1, ?2, ?3)")
            .bind(key)
            .bind(value)
            .bind(expires_at)
            .execute(self.database.writer())
            .await
            .map(|_| ())
            .map_err(failed("could not write to the cache"))
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
        work.await.map(|_| ()).map_err(failed("could not delete expired cache entries"))
    }
}

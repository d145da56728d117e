use std::time::Duration;

use super::sqlite::{Database, failed};
use crate::kernel::{Clock, Error};

/// Entries kept at most; a purge drops those that would expire first.
const MOST_ENTRIES: i64 = 10_000;

/// Values that may be lost at any time, each with a time to live.
#[derive(Clone, Debug)]
pub struct CacheStore {
    database: Database,
    clock: Clock,
}

impl CacheStore {
    pub(super) fn new(database: Database, clock: Clock) -> Self {
        Self { database, clock }
    }

    /// The value under `key`, unless it has expired.
    pub async fn get(&self, key: &str) -> Result<Option<String>, Error> {
        sqlx::query_scalar("SELECT value FROM cache_entry WHERE key = ?1 AND expires_at > ?2")
            .bind(key)
            .bind(self.clock.now_ms())
            .fetch_optional(self.database.read())
            .await
            .map_err(failed("could not read the cache"))
    }

    /// Puts `value` under `key` for `ttl`.
    pub async fn put(&self, key: &str, value: &str, ttl: Duration) -> Result<(), Error> {
        let expires_at = self.clock.now_ms().saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
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
        const WHAT: &str = "could not delete expired cache entries";
        sqlx::query("DELETE FROM cache_entry WHERE expires_at <= ?1")
            .bind(self.clock.now_ms())
            .execute(self.database.writer())
            .await
            .map_err(failed(WHAT))?;
        sqlx::query(
            "DELETE FROM cache_entry WHERE key IN (SELECT key FROM cache_entry ORDER BY expires_at
                 LIMIT max(0, (SELECT COUNT(*) FROM cache_entry) - ?1))",
        )
        .bind(MOST_ENTRIES)
        .execute(self.database.writer())
        .await
        .map(|_| ())
        .map_err(failed(WHAT))
    }
}

use serde::Serialize;
use sqlx::{Sqlite, Transaction};

use crate::kernel::Error;
use crate::storage::sqlite::{Database, failed, int};

/// Operations that are written back in one go, at most.
pub(crate) const MAX_PAGE_ENTRIES: usize = 200;
/// Bytes that are written back in one go, unless a single operation has more. Connection and allocator keep what that took.
pub(crate) const MAX_PAGE_BYTES: usize = 250_000;

/// Operations that wait for one service, in the embedded database: they survive a restart.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    pub(super) database: Database,
    pub(super) service: &'static str,
}

/// One operation that waits.
#[derive(Debug)]
pub(crate) struct OutboxEntry {
    /// Grows with each operation.
    pub(crate) position: i64,
    /// Whose it is: a user or an execution.
    pub(crate) owner: String,
    /// What is to be done, as JSON. Whoever carries it out reads it, and passes over what can't be read.
    pub(crate) body: String,
}

impl Outbox {
    /// Adds an operation, in the transaction that carries it out in the embedded store.
    pub(crate) async fn add(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        owner: &str,
        operation: &impl Serialize,
    ) -> Result<(), sqlx::Error> {
        let body = serde_json::to_string(operation).map_err(|error| sqlx::Error::Encode(error.into()))?;
        sqlx::query("INSERT INTO outbox (service, owner, bytes, body) VALUES (?1, ?2, ?3, ?4)")
            .bind(self.service)
            .bind(owner)
            .bind(int(body.len()))
            .bind(body)
            .execute(&mut **tx)
            .await
            .map(|_| ())
    }

    /// How many wait.
    pub(crate) async fn count(&self) -> Result<u64, Error> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM outbox WHERE service = ?1")
            .bind(self.service)
            .fetch_one(self.database.read())
            .await
            .map_err(failed("could not count the operations that wait"))?;
        Ok(count.unsigned_abs())
    }

    /// The oldest ones: at most [`MAX_PAGE_ENTRIES`], and none beyond [`MAX_PAGE_BYTES`], but at least one.
    pub(crate) async fn oldest_page(&self) -> Result<Vec<OutboxEntry>, Error> {
        let rows: Vec<(i64, String, String)> = sqlx::query_as(
            "SELECT position, owner, body FROM outbox JOIN
                 (SELECT position, SUM(bytes) OVER (ORDER BY position) - bytes AS earlier FROM
                     (SELECT position, bytes FROM outbox WHERE service = ?1 ORDER BY position LIMIT ?2))
             USING (position) WHERE earlier < ?3 ORDER BY position",
        )
        .bind(self.service)
        .bind(int(MAX_PAGE_ENTRIES))
        .bind(int(MAX_PAGE_BYTES))
        .fetch_all(self.database.read())
        .await
        .map_err(failed("could not read the operations that wait"))?;
        let entry = |(position, owner, body)| OutboxEntry { position, owner, body };
        Ok(rows.into_iter().map(entry).collect())
    }

    /// Removes those up to `position`, which have been carried out; says how many those were.
    pub(crate) async fn remove_until(&self, position: i64) -> Result<u64, Error> {
        sqlx::query("DELETE FROM outbox WHERE service = ?1 AND position <= ?2")
            .bind(self.service)
            .bind(position)
            .execute(self.database.writer())
            .await
            .map(|done| done.rows_affected())
            .map_err(failed("could not remove what was written back"))
    }

    /// Removes the oldest beyond the newest ones with `max_bytes` bytes; says how many those were.
    pub(super) async fn trim_to(&self, max_bytes: i64) -> Result<u64, Error> {
        let cut: Option<i64> = sqlx::query_scalar(
            "SELECT MAX(position) FROM
                 (SELECT position, SUM(bytes) OVER (ORDER BY position DESC) AS newer FROM outbox WHERE service = ?1)
             WHERE newer > ?2",
        )
        .bind(self.service)
        .bind(max_bytes)
        .fetch_one(self.database.read())
        .await
        .map_err(failed("could not measure the operations that wait"))?;
        match cut {
            Some(position) => self.remove_until(position).await,
            None => Ok(0),
        }
    }
}

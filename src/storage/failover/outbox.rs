use sqlx::{Row, Sqlite, Transaction};

use super::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES};
use crate::kernel::Error;
use crate::storage::sqlite::{Database, failed};

/// Operations that wait for one service, in the embedded database: they survive a restart.
#[derive(Clone, Debug)]
pub(in crate::storage) struct Outbox {
    database: Database,
    service: &'static str,
}

/// One operation that waits.
#[derive(Debug)]
pub(in crate::storage) struct OutboxEntry {
    /// Grows with each operation.
    pub(in crate::storage) position: i64,
    /// Whose it is: a user or an execution.
    pub(in crate::storage) owner: String,
    /// What is to be done, as JSON. Whoever carries it out reads it, and passes over what can't be read.
    pub(in crate::storage) body: String,
}

impl Outbox {
    pub(in crate::storage) fn new(database: Database, service: &'static str) -> Self {
        Self { database, service }
    }

    /// Adds an operation, in the transaction that carries it out in the embedded store.
    pub(in crate::storage) async fn add(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        owner: &str,
        body: &str,
    ) -> Result<(), Error> {
        sqlx::query("INSERT INTO pending (service, owner, bytes, body) VALUES (?1, ?2, ?3, ?4)")
            .bind(self.service)
            .bind(owner)
            .bind(i64::try_from(body.len()).unwrap_or(i64::MAX))
            .bind(body)
            .execute(&mut **tx)
            .await
            .map(|_| ())
            .map_err(failed("could not keep an operation for later"))
    }

    /// How many wait.
    pub(in crate::storage) async fn count(&self) -> Result<u64, Error> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM pending WHERE service = ?1")
            .bind(self.service)
            .fetch_one(self.database.read())
            .await
            .map_err(failed("could not count the operations that wait"))?;
        Ok(count.unsigned_abs())
    }

    /// The oldest ones: at most [`MAX_PAGE_ENTRIES`], and none beyond [`MAX_PAGE_BYTES`], but at least one.
    pub(in crate::storage) async fn oldest_page(&self) -> Result<Vec<OutboxEntry>, Error> {
        let rows = sqlx::query(
            "SELECT position, owner, body FROM pending JOIN
                 (SELECT position, SUM(bytes) OVER (ORDER BY position) - bytes AS earlier FROM
                     (SELECT position, bytes FROM pending WHERE service = ?1 ORDER BY position LIMIT ?2))
             USING (position) WHERE earlier < ?3 ORDER BY position",
        )
        .bind(self.service)
        .bind(i64::try_from(MAX_PAGE_ENTRIES).unwrap_or(i64::MAX))
        .bind(i64::try_from(MAX_PAGE_BYTES).unwrap_or(i64::MAX))
        .fetch_all(self.database.read())
        .await;
        read(rows)
    }

    /// All of one owner, oldest first, as they stand in this transaction.
    pub(in crate::storage) async fn of_owner(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        owner: &str,
    ) -> Result<Vec<OutboxEntry>, Error> {
        let rows = sqlx::query(
            "SELECT position, owner, body FROM pending WHERE service = ?1 AND owner = ?2 ORDER BY position",
        )
        .bind(self.service)
        .bind(owner)
        .fetch_all(&mut **tx)
        .await;
        read(rows)
    }

    /// Removes those up to `position`, which have been carried out; says how many those were.
    pub(in crate::storage) async fn remove_until(&self, position: i64) -> Result<u64, Error> {
        sqlx::query("DELETE FROM pending WHERE service = ?1 AND position <= ?2")
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
                 (SELECT position, SUM(bytes) OVER (ORDER BY position DESC) AS newer FROM pending WHERE service = ?1)
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

fn read(rows: Result<Vec<sqlx::sqlite::SqliteRow>, sqlx::Error>) -> Result<Vec<OutboxEntry>, Error> {
    let entry = |row: sqlx::sqlite::SqliteRow| {
        Ok(OutboxEntry { position: row.try_get("position")?, owner: row.try_get("owner")?, body: row.try_get("body")? })
    };
    let entries = rows.and_then(|rows| rows.into_iter().map(entry).collect());
    entries.map_err(failed("could not read the operations that wait"))
}

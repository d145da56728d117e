use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use sqlx::{Sqlite, Transaction};
use tokio::sync::OwnedRwLockReadGuard;

use crate::kernel::Error;
use crate::storage::sqlite::{Database, failed, int};

/// Operations that are written back in one go, at most.
pub(crate) const MAX_PAGE_ENTRIES: usize = 200;
/// Bytes that are written back in one go, unless a single operation has more. Connection and allocator keep what that took.
pub(crate) const MAX_PAGE_BYTES: usize = 250_000;

/// Operations that wait for one service, in the embedded database: they survive a restart.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    database: Database,
    service: &'static str,
    /// How many wait, without asking the database.
    pending: Arc<AtomicU64>,
}

/// A place in the outbox: as long as it or a clone of it is held, the service does not return. It goes along with what is written, so
/// that this holds even if whoever wrote it has left.
#[derive(Clone, Debug)]
pub(crate) struct OutboxTicket {
    outbox: Outbox,
    _queue: Arc<OwnedRwLockReadGuard<()>>,
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

impl OutboxTicket {
    pub(super) fn new(outbox: &Outbox, queue: OwnedRwLockReadGuard<()>) -> Self {
        Self { outbox: outbox.clone(), _queue: Arc::new(queue) }
    }

    /// The service that the operations wait for.
    pub(crate) fn service(&self) -> &'static str {
        self.outbox.service
    }

    /// Counts operations that are in the outbox now.
    pub(crate) fn added(&self, count: usize) {
        self.outbox.pending.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Adds an operation, in the transaction that carries it out in the embedded store.
    pub(crate) async fn add(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        owner: &str,
        operation: &impl Serialize,
    ) -> Result<(), sqlx::Error> {
        let body = serde_json::to_string(operation).map_err(|error| sqlx::Error::Encode(error.into()))?;
        sqlx::query("INSERT INTO outbox (service, owner, bytes, body) VALUES (?1, ?2, ?3, ?4)")
            .bind(self.service())
            .bind(owner)
            .bind(int(body.len()))
            .bind(body)
            .execute(&mut **tx)
            .await
            .map(|_| ())
    }
}

impl Outbox {
    pub(super) async fn open(database: Database, service: &'static str) -> Result<Self, Error> {
        let outbox = Self { database, service, pending: Arc::default() };
        outbox.pending.store(outbox.count().await?, Ordering::Relaxed);
        Ok(outbox)
    }

    /// How many wait, as far as is known.
    pub(super) fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// Counts operations that wait no more.
    pub(super) fn removed(&self, count: u64) {
        let left = |pending: u64| Some(pending.saturating_sub(count));
        self.pending.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).ok();
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

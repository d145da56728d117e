use serde_json::Value;
use sqlx::{Row, Sqlite, Transaction};

use crate::kernel::Error;
use crate::storage::sqlite::{Database, failed};

/// Operations that wait for one service, in the embedded database: they survive a restart.
#[derive(Clone, Debug)]
pub(in crate::storage) struct Journal {
    database: Database,
    service: &'static str,
}

/// One operation that waits.
#[derive(Debug)]
pub(in crate::storage) struct Entry {
    /// Grows with each operation.
    pub(in crate::storage) position: i64,
    /// Whose it is: a user or an execution.
    pub(in crate::storage) owner: String,
    /// What is to be done.
    pub(in crate::storage) body: Value,
}

impl Journal {
    pub(in crate::storage) fn new(database: Database, service: &'static str) -> Self {
        Self { database, service }
    }

    /// Adds an operation, in the transaction that carries it out in the embedded store.
    pub(in crate::storage) async fn add(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        owner: &str,
        body: &Value,
    ) -> Result<(), Error> {
        sqlx::query("INSERT INTO pending (service, owner, body) VALUES (?1, ?2, ?3)")
            .bind(self.service)
            .bind(owner)
            .bind(body.to_string())
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

    /// The oldest ones.
    pub(in crate::storage) async fn oldest(&self, most: usize) -> Result<Vec<Entry>, Error> {
        let rows =
            sqlx::query("SELECT position, owner, body FROM pending WHERE service = ?1 ORDER BY position LIMIT ?2")
                .bind(self.service)
                .bind(i64::try_from(most).unwrap_or(i64::MAX))
                .fetch_all(self.database.read())
                .await;
        read(rows)
    }

    /// All of one owner, oldest first.
    pub(in crate::storage) async fn of(&self, owner: &str) -> Result<Vec<Entry>, Error> {
        let rows = sqlx::query(
            "SELECT position, owner, body FROM pending WHERE service = ?1 AND owner = ?2 ORDER BY position",
        )
        .bind(self.service)
        .bind(owner)
        .fetch_all(self.database.read())
        .await;
        read(rows)
    }

    /// Removes those up to `position`, which have been carried out.
    pub(in crate::storage) async fn remove_until(&self, position: i64) -> Result<(), Error> {
        sqlx::query("DELETE FROM pending WHERE service = ?1 AND position <= ?2")
            .bind(self.service)
            .bind(position)
            .execute(self.database.writer())
            .await
            .map(|_| ())
            .map_err(failed("could not remove what was written back"))
    }

    /// Removes the oldest beyond the newest `most`; says how many those were.
    pub(super) async fn limit(&self, most: i64) -> Result<u64, Error> {
        sqlx::query(
            "DELETE FROM pending WHERE service = ?1 AND position <=
                 (SELECT position FROM pending WHERE service = ?1 ORDER BY position DESC LIMIT 1 OFFSET ?2)",
        )
        .bind(self.service)
        .bind(most)
        .execute(self.database.writer())
        .await
        .map(|done| done.rows_affected())
        .map_err(failed("could not limit the operations that wait"))
    }
}

fn read(rows: Result<Vec<sqlx::sqlite::SqliteRow>, sqlx::Error>) -> Result<Vec<Entry>, Error> {
    let entry = |row: sqlx::sqlite::SqliteRow| {
        let body: String = row.try_get("body")?;
        let body = serde_json::from_str(&body).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Entry { position: row.try_get("position")?, owner: row.try_get("owner")?, body })
    };
    let entries = rows.and_then(|rows| rows.into_iter().map(entry).collect());
    entries.map_err(failed("could not read the operations that wait"))
}

use std::time::Duration;

use serde_json::json;
use sqlx::SqliteExecutor;
use tokio::time::sleep;

use super::record::{ExecutionChange, INTERRUPTED};
use super::{DELETE_BATCH, DELETE_PAUSE, Execution, ExecutionFilter, Step, rows};
use crate::kernel::{Clock, Error};
use crate::storage::failover::Outbox;
use crate::storage::sqlite::{Database, failed};

/// Long texts are cut, so that a page stays small.
const LIST_QUERY: &str =
    "SELECT position, id, user_id, status, substr(prompt, 1, 1000) AS prompt, intent, intent_confidence, plan,
    substr(answer, 1, 1000) AS answer, error, metadata, started_at, finished_at FROM execution WHERE position < ";

/// Executions in the embedded database.
#[derive(Clone, Debug)]
pub(in crate::storage) struct EmbeddedExecutions {
    pub(super) database: Database,
    pub(super) clock: Clock,
}

impl EmbeddedExecutions {
    pub(in crate::storage) fn new(database: Database, clock: Clock) -> Self {
        Self { database, clock }
    }

    /// Makes a change, and puts it into the outbox if there is one.
    pub(super) async fn apply(&self, change: &ExecutionChange, outbox: Option<&Outbox>) -> Result<(), Error> {
        let wrong = failed(change.what());
        let Some(outbox) = outbox else { return run(change, self.database.writer()).await.map_err(wrong) };
        let mut tx = self.database.write().await?;
        run(change, &mut *tx).await.map_err(&wrong)?;
        outbox.add(&mut tx, change.id(), &json!(change).to_string()).await?;
        tx.commit().await.map_err(wrong)
    }

    pub(super) async fn get(&self, id: &str) -> Result<Option<(Execution, Vec<Step>)>, Error> {
        const WHAT: &str = "could not read an execution";
        let row = sqlx::query("SELECT * FROM execution WHERE id = ?1")
            .bind(id)
            .fetch_optional(self.database.read())
            .await
            .map_err(failed(WHAT))?;
        let Some(row) = row else { return Ok(None) };
        let steps = sqlx::query("SELECT * FROM execution_step WHERE execution_id = ?1 ORDER BY ordinal")
            .bind(id)
            .fetch_all(self.database.read())
            .await
            .map_err(failed(WHAT))?;
        let steps = steps.iter().map(rows::step).collect::<Result<_, _>>().map_err(failed(WHAT))?;
        Ok(Some((rows::execution(&row).map_err(failed(WHAT))?, steps)))
    }

    pub(super) async fn list(
        &self,
        filter: &ExecutionFilter,
        before: i64,
        limit: usize,
    ) -> Result<Vec<(i64, Execution)>, Error> {
        const WHAT: &str = "could not list executions";
        let mut query = sqlx::QueryBuilder::<sqlx::Sqlite>::new(LIST_QUERY);
        query.push_bind(before);
        if let Some(user_id) = &filter.user_id {
            query.push(" AND user_id = ").push_bind(user_id);
        }
        if let Some(status) = filter.status {
            query.push(" AND status = ").push_bind(status.as_str());
        }
        query.push(" ORDER BY position DESC LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = query.build().fetch_all(self.database.read()).await.map_err(failed(WHAT))?;
        rows.iter().map(rows::listed).collect::<Result<_, _>>().map_err(failed(WHAT))
    }

    /// A few at a time with pauses, so that other writers are not kept waiting.
    pub(super) async fn retain(&self, age: Duration, max_rows: i64) -> Result<(), Error> {
        const WHAT: &str = "could not delete old executions";
        let before = self.clock.now_ms().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        // Positions have gaps, so the records themselves are counted.
        let surplus: Option<i64> =
            sqlx::query_scalar("SELECT position FROM execution ORDER BY position DESC LIMIT 1 OFFSET ?1")
                .bind(max_rows)
                .fetch_optional(self.database.read())
                .await
                .map_err(failed(WHAT))?;
        loop {
            // Positions grow as records come in, so the first thousand tell whether there is anything to delete.
            let deleted = sqlx::query(
                "DELETE FROM execution WHERE position IN (
                     SELECT position FROM (SELECT position, started_at FROM execution WHERE status <> 'running'
                         ORDER BY position LIMIT 1000)
                     WHERE started_at < ?1 OR position <= ?2 LIMIT ?3)",
            )
            .bind(before)
            .bind(surplus.unwrap_or(0))
            .bind(DELETE_BATCH)
            .execute(self.database.writer())
            .await
            .map_err(failed(WHAT))?;
            if deleted.rows_affected() == 0 {
                return Ok(());
            }
            sleep(DELETE_PAUSE).await;
        }
    }

    /// Forgets executions that were written back, unless something of them still waits.
    pub(super) async fn forget(&self, ids: &[String], written_until: i64) -> Result<(), Error> {
        const WHAT: &str = "could not remove executions that were written back";
        let mut tx = self.database.write().await?;
        for id in ids {
            sqlx::query(
                "DELETE FROM execution WHERE id = ?1 AND NOT EXISTS
                     (SELECT 1 FROM pending WHERE service = 'postgres' AND owner = ?1 AND position > ?2)",
            )
            .bind(id)
            .bind(written_until)
            .execute(&mut *tx)
            .await
            .map_err(failed(WHAT))?;
        }
        tx.commit().await.map_err(failed(WHAT))
    }
}

async fn run(change: &ExecutionChange, executor: impl SqliteExecutor<'_>) -> Result<(), sqlx::Error> {
    let done = match change {
        ExecutionChange::Begin(execution) => {
            sqlx::query("INSERT INTO execution (id, user_id, status, prompt, started_at) VALUES (?1, ?2, ?3, ?4, ?5)")
                .bind(&execution.id)
                .bind(&execution.user_id)
                .bind(execution.status.as_str())
                .bind(&execution.prompt)
                .bind(execution.started_ms)
                .execute(executor)
                .await
        }
        ExecutionChange::Plan { id, intent, confidence, plan } => {
            sqlx::query("UPDATE execution SET intent = ?2, intent_confidence = ?3, plan = ?4 WHERE id = ?1")
                .bind(id)
                .bind(intent)
                .bind(confidence)
                .bind(plan)
                .execute(executor)
                .await
        }
        // Of an execution that began in Postgres there is no record here.
        ExecutionChange::Step { id, ordinal, step } => {
            sqlx::query(
                "INSERT INTO execution_step
                     (execution_id, ordinal, id, action, target, status, error, output, duration_ms, query)
                 SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM execution WHERE id = ?1",
            )
            .bind(id)
            .bind(ordinal)
            .bind(&step.id)
            .bind(&step.action)
            .bind(&step.target)
            .bind(step.status.as_str())
            .bind(&step.error)
            .bind(&step.output)
            .bind(step.duration_ms)
            .bind(&step.query)
            .execute(executor)
            .await
        }
        ExecutionChange::Finish { id, end, finished_ms } => {
            sqlx::query(
                "UPDATE execution SET status = ?2, answer = ?3, error = ?4, metadata = ?5, finished_at = ?6
                 WHERE id = ?1 AND status = 'running'",
            )
            .bind(id)
            .bind(end.status.as_str())
            .bind(&end.answer)
            .bind(&end.error)
            .bind(&end.metadata)
            .bind(finished_ms)
            .execute(executor)
            .await
        }
        ExecutionChange::Interrupt { before_ms } => {
            sqlx::query(
                "UPDATE execution SET status = 'interrupted', error = ?1, finished_at = ?2 WHERE status = 'running'",
            )
            .bind(INTERRUPTED)
            .bind(before_ms)
            .execute(executor)
            .await
        }
    };
    done.map(|_| ())
}

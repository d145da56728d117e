use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::change::{DELETE_BATCH, DELETE_PAUSE, ExecutionChange};
use super::event::ExecutionLog;
use super::record::{Execution, ExecutionFilter};
use super::rows::{EventRow, ExecutionRow, SELECT_EVENTS, execution, log, select_execution};
use crate::kernel::{Clock, Error};
use crate::storage::embedded::{EmbeddedChange, EmbeddedWrite, OutboxAddition};
use crate::storage::failover::OutboxTicket;
use crate::storage::sqlite::{Database, failed, int};
use crate::storage::write_queue::{PendingWrite, WriteQueue};

/// Long texts are cut, so that a page stays small.
const LIST_QUERY: &str = select_execution!("substr(prompt, 1, 1000)", "substr(answer, 1, 1000)", "position < ");

/// Executions in the embedded database.
#[derive(Clone, Debug)]
pub(crate) struct EmbeddedExecutions {
    pub(crate) database: Database,
    pub(crate) clock: Clock,
    pub(crate) writes: WriteQueue<EmbeddedWrite>,
}

impl EmbeddedExecutions {
    /// Makes a change as soon as there is room in the queue, and puts it into the outbox if there is one.
    pub(super) async fn apply(
        &self,
        change: ExecutionChange,
        ticket: Option<OutboxTicket>,
    ) -> Result<PendingWrite, Error> {
        let outbox = ticket.map(|ticket| OutboxAddition::new(ticket, change.id(), &change)).transpose()?;
        self.writes.push(EmbeddedWrite { change: EmbeddedChange::Execution(Box::new(change)), outbox }).await
    }

    /// The same, for a change that nobody waits for at once.
    pub(super) async fn apply_lingering(&self, change: ExecutionChange) -> Result<PendingWrite, Error> {
        self.writes
            .push_lingering(EmbeddedWrite { change: EmbeddedChange::Execution(Box::new(change)), outbox: None })
            .await
    }

    pub(super) async fn get(&self, id: &str) -> Result<Option<ExecutionLog>, Error> {
        let work = async {
            let row: Option<ExecutionRow> = sqlx::query_as(select_execution!("prompt", "answer", "id = ?1"))
                .bind(id)
                .fetch_optional(self.database.read())
                .await?;
            let Some(row) = row else { return Ok(None) };
            let events: Vec<EventRow> = sqlx::query_as(SELECT_EVENTS).bind(id).fetch_all(self.database.read()).await?;
            log(row, events).map(Some)
        };
        work.await.map_err(failed("could not read an execution"))
    }

    pub(super) async fn list(
        &self,
        filter: &ExecutionFilter,
        before: i64,
        limit: usize,
    ) -> Result<Vec<(i64, Execution)>, Error> {
        let mut query = sqlx::QueryBuilder::<sqlx::Sqlite>::new(LIST_QUERY);
        query.push_bind(before);
        if let Some(user_id) = &filter.user_id {
            query.push(" AND user_id = ").push_bind(user_id);
        }
        if let Some(status) = filter.status {
            query.push(" AND status = ").push_bind(status.as_str());
        }
        query.push(" ORDER BY position DESC LIMIT ").push_bind(int(limit));
        let rows = query.build_query_as::<ExecutionRow>().fetch_all(self.database.read()).await;
        let executions = rows.and_then(|rows| rows.into_iter().map(execution).collect());
        executions.map_err(failed("could not list executions"))
    }

    pub(super) async fn count(&self) -> Result<i64, Error> {
        let counting = sqlx::query_scalar("SELECT COUNT(*) FROM execution").fetch_one(self.database.read()).await;
        counting.map_err(failed("could not count the executions"))
    }

    /// A few at a time with pauses, so that other writers are not kept waiting.
    pub(super) async fn retain(&self, age: Duration, max_rows: i64) -> Result<(), Error> {
        let before = self.clock.now_ms().saturating_sub(int(age.as_millis()));
        let work = async {
            // Positions have gaps, so the records themselves are counted.
            let surplus: Option<i64> =
                sqlx::query_scalar("SELECT position FROM execution ORDER BY position DESC LIMIT 1 OFFSET ?1")
                    .bind(max_rows)
                    .fetch_optional(self.database.read())
                    .await?;
            // Positions grow as records come in, so the first thousand tell whether there is anything to delete.
            let deleting = "DELETE FROM execution WHERE position IN (
                 SELECT position FROM (SELECT position, started_at FROM execution WHERE status <> 'running'
                     ORDER BY position LIMIT 1000)
                 WHERE started_at < ?1 OR position <= ?2 LIMIT ?3)";
            loop {
                let deleting = sqlx::query(deleting).bind(before).bind(surplus.unwrap_or(0)).bind(DELETE_BATCH);
                if deleting.execute(self.database.writer()).await?.rows_affected() == 0 {
                    return Ok(());
                }
                sleep(DELETE_PAUSE).await;
            }
        };
        work.await.map_err(failed("could not delete old executions"))
    }

    /// Forgets executions that were written back, unless something of them still waits.
    pub(super) async fn forget(&self, ids: &[String], written_until: i64) -> Result<(), Error> {
        sqlx::query(
            "DELETE FROM execution WHERE id IN (SELECT value FROM json_each(?1)) AND NOT EXISTS
                 (SELECT 1 FROM outbox WHERE service = 'postgres' AND owner = execution.id AND position > ?2)",
        )
        .bind(Value::from(ids).to_string())
        .bind(written_until)
        .execute(self.database.writer())
        .await
        .map(|_| ())
        .map_err(failed("could not remove executions that were written back"))
    }
}

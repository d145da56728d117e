//! Executions and their steps: in Postgres if there is one, else in the embedded database.
//!
//! Each change of a record can be made again without harm, so what the embedded database took while Postgres was away is
//! simply done again there. Chat calls [`ExecutionStore`] and need not know which store answers.

mod embedded;
mod postgres;
mod postgres_batch;
mod record;
mod rows;

use std::time::Duration;

use serde_json::Value;

pub(super) use embedded::EmbeddedExecutions;
pub(super) use postgres::write_back;
pub use record::{Execution, ExecutionCursor, ExecutionFilter, ExecutionStatus, Outcome, Step, StepStatus};

use self::record::{ExecutionChange, StoredOutcome};
use super::failover::{Failover, Handle, Route};
use super::postgres::{Postgres, PostgresConnection};
use crate::kernel::{Clock, Error, ErrorKind};

/// Old executions that are deleted in one go: in the time that takes, nobody else can write.
const DELETE_BATCH: i64 = 20;
/// Pause after that, for those who wait.
const DELETE_PAUSE: Duration = Duration::from_millis(10);

/// Executions and their steps.
#[derive(Clone, Debug)]
pub struct ExecutionStore {
    embedded: EmbeddedExecutions,
    postgres: Option<Failover<Postgres>>,
    clock: Clock,
}

impl ExecutionStore {
    pub(super) fn new(embedded: EmbeddedExecutions, postgres: Option<Failover<Postgres>>, clock: Clock) -> Self {
        Self { embedded, postgres, clock }
    }

    /// Records that an execution has begun.
    pub async fn begin(&self, execution: &Execution) -> Result<(), Error> {
        self.record(ExecutionChange::Begin(execution.clone())).await
    }

    /// Records what was decided to be done.
    pub async fn plan(&self, id: &str, intent: &str, confidence: f64, plan: &Value) -> Result<(), Error> {
        self.record(ExecutionChange::Plan {
            id: id.to_owned(),
            intent: intent.to_owned(),
            confidence,
            plan: plan.to_string(),
        })
        .await
    }

    /// Records a finished task.
    pub async fn step(&self, execution_id: &str, ordinal: i64, step: &Step) -> Result<(), Error> {
        self.record(ExecutionChange::Step { id: execution_id.to_owned(), ordinal, step: step.clone() }).await
    }

    /// Records how an execution ended. One that has ended stays as it is.
    pub async fn finish(&self, id: &str, outcome: &Outcome) -> Result<(), Error> {
        let finished_ms = self.clock.now_ms();
        let Outcome { status, answer, error, metadata } = outcome.clone();
        let end = StoredOutcome { status, answer, error, metadata: metadata.to_string() };
        self.record(ExecutionChange::Finish { id: id.to_owned(), end, finished_ms }).await
    }

    /// One execution with its steps. While Postgres is away, an execution that is not in the embedded store may be there; one
    /// from before Postgres was used is here.
    pub async fn get(&self, id: &str) -> Result<Option<(Execution, Vec<Step>)>, Error> {
        // No id has one, and Postgres takes none.
        if id.contains('\0') {
            return Ok(None);
        }
        let mut may_be_there = self.postgres.is_some();
        if let Some((failover, handle)) = self.handle() {
            match postgres::get(&handle.connection, id).await {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => may_be_there = false,
                Err(failure) => failover.report_failure(&handle, failure)?,
            }
        }
        let found = self.embedded.get(id).await?;
        if found.is_none() && may_be_there {
            let detail = format!("Postgres is away, and execution '{id}' may be there; please try again later");
            return Err(Error::new(ErrorKind::NotConfigured, detail));
        }
        Ok(found)
    }

    /// The newest executions first, prompt and answer cut to 1000 characters, each with the cursor that as `before` gives
    /// what follows it. While Postgres is away: those that the embedded store has.
    pub async fn list(
        &self,
        filter: &ExecutionFilter,
        limit: usize,
    ) -> Result<Vec<(ExecutionCursor, Execution)>, Error> {
        let before = |in_postgres| match filter.before {
            None => Ok(i64::MAX),
            Some(cursor) => cursor.position_in(in_postgres, self.postgres.is_some()),
        };
        let with_cursors = |found: Vec<(i64, Execution)>, in_postgres| {
            found.into_iter().map(|(position, it)| (ExecutionCursor::new(position, in_postgres), it)).collect()
        };
        if let Some((failover, handle)) = self.handle() {
            match postgres::list(&handle.connection, filter, before(true)?, limit).await {
                Ok(found) => return Ok(with_cursors(found, true)),
                Err(failure) => failover.report_failure(&handle, failure)?,
            }
        }
        Ok(with_cursors(self.embedded.list(filter, before(false)?, limit).await?, false))
    }

    /// Deletes executions that began more than `age` ago, and the oldest beyond the newest `max_rows`.
    pub async fn retain(&self, age: Duration, max_rows: i64) -> Result<(), Error> {
        self.embedded.retain(age, max_rows).await?;
        let Some((_, handle)) = self.handle() else { return Ok(()) };
        let now_ms = self.clock.now_ms();
        let before_ms = now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        // Deleting may take its time; that says nothing of how Postgres serves others.
        if let Err(failure) = postgres::retain(&handle.connection, now_ms, before_ms, max_rows).await {
            tracing::warn!(
                error = failure.text(),
                "old executions could not be deleted from Postgres; the next round tries"
            );
        }
        Ok(())
    }

    /// Marks what an earlier process was at as interrupted; in Postgres as soon as it can be reached.
    pub(super) async fn interrupt(&self) -> Result<(), Error> {
        let change = ExecutionChange::Interrupt { before_ms: self.clock.now_ms() };
        self.embedded.apply(&change, self.postgres.as_ref().map(Failover::outbox)).await?;
        if let Some(failover) = &self.postgres {
            failover.enqueued();
        }
        Ok(())
    }

    async fn record(&self, change: ExecutionChange) -> Result<(), Error> {
        let Some(failover) = &self.postgres else { return self.embedded.apply(&change, None).await };
        let queue = match failover.route().await {
            Route::Remote(handle) => match postgres::apply(&handle.connection, &change).await {
                Ok(()) => return Ok(()),
                Err(failure) => failover.fail_over(&handle, failure).await?,
            },
            Route::Outbox(queue) => queue,
        };
        self.embedded.apply(&change, Some(failover.outbox())).await?;
        failover.enqueued();
        drop(queue);
        Ok(())
    }

    fn handle(&self) -> Option<(&Failover<Postgres>, Handle<PostgresConnection>)> {
        let failover = self.postgres.as_ref()?;
        Some((failover, failover.handle()?))
    }
}

use std::time::Duration;

use super::change::ExecutionChange;
use super::cursor::ExecutionCursor;
use super::embedded::EmbeddedExecutions;
use super::event::{ExecutionLog, PlanRecord, TaskEvent};
use super::postgres;
use super::record::{Execution, ExecutionFilter, Outcome, Step};
use crate::kernel::{Caller, Error, quoted};
use crate::storage::failover::{Failover, find, prefer_remote, try_remote};
use crate::storage::postgres::{Postgres, PostgresConnection};
use crate::storage::sqlite::int;
use crate::storage::write_queue::{PendingWrite, WriteQueue};

/// Executions and their logs.
#[derive(Clone, Debug)]
pub struct ExecutionStore {
    pub(in crate::storage) embedded: EmbeddedExecutions,
    pub(in crate::storage) postgres: Option<Failover<Postgres>>,
    /// Writes to Postgres.
    pub(in crate::storage) writes: Option<WriteQueue<ExecutionChange>>,
}

impl ExecutionStore {
    /// Records that an execution has begun. This and what follows is written in this order, together with what others record at the
    /// time; only the end is waited for, and what is given back tells whether the beginning was written.
    pub async fn begin(&self, execution: Execution) -> Result<PendingWrite, Error> {
        self.record(ExecutionChange::Begin(execution)).await
    }

    /// Records what was decided to be done.
    pub async fn plan(&self, id: &str, plan: PlanRecord) -> Result<PendingWrite, Error> {
        self.record(ExecutionChange::plan(id, plan)).await
    }

    /// Records what happened to a task.
    pub async fn task(&self, id: &str, event: TaskEvent) -> Result<PendingWrite, Error> {
        self.record(ExecutionChange::Task { id: id.to_owned(), event }).await
    }

    /// The same for somebody who goes on only once it is written.
    pub async fn task_at_once(&self, id: &str, event: TaskEvent) -> Result<PendingWrite, Error> {
        self.push(ExecutionChange::Task { id: id.to_owned(), event }).await
    }

    /// The time that records have, in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        self.embedded.clock.now_ms()
    }

    /// Records how an execution ended. One that has ended stays as it is.
    pub async fn finish(&self, id: &str, outcome: Outcome) -> Result<(), Error> {
        let finished_ms = self.now_ms();
        self.write(ExecutionChange::Finish { id: id.to_owned(), outcome, finished_ms }).await
    }

    /// Corrects what was recorded of the end: `metadata` is JSON.
    pub async fn amend(&self, id: &str, error: Option<String>, metadata: String) -> Result<(), Error> {
        self.write(ExecutionChange::Amend { id: id.to_owned(), error, metadata }).await
    }

    /// One execution with its steps, as [`ExecutionStore::log`] has them.
    pub async fn get(&self, id: &str) -> Result<Option<(Execution, Vec<Step>)>, Error> {
        Ok(self.log(id).await?.map(ExecutionLog::into_steps))
    }

    /// As [`ExecutionStore::get`], if it is there for `caller`.
    pub async fn get_for(&self, id: &str, caller: &Caller) -> Result<Option<(Execution, Vec<Step>)>, Error> {
        Ok(self.get(id).await?.filter(|(execution, _)| execution.is_for(caller)))
    }

    /// One execution with its log. While Postgres is away, an execution that is not in the embedded store may be there; one
    /// from before Postgres was used is here.
    pub async fn log(&self, id: &str) -> Result<Option<ExecutionLog>, Error> {
        // No id has one, and Postgres takes none.
        if id.contains('\0') {
            return Ok(None);
        }
        self.settle().await;
        let reading = |connection| postgres::get(connection, id);
        let away = || format!("Postgres is away, and execution {} may be there; please try again later", quoted(id));
        find(self.postgres.as_ref(), reading, || self.embedded.get(id), away).await
    }

    /// The newest executions first, prompt and answer cut to 1000 characters, each with the cursor that as `before` gives
    /// what follows it. While Postgres is away: those that the embedded store has.
    pub async fn list(
        &self,
        filter: &ExecutionFilter,
        limit: usize,
    ) -> Result<Vec<(ExecutionCursor, Execution)>, Error> {
        self.settle().await;
        let before = |in_postgres| match filter.before {
            None => Ok(i64::MAX),
            Some(cursor) => cursor.position_in(in_postgres, self.postgres.is_some()),
        };
        let with_cursors = |found: Vec<(i64, Execution)>, in_postgres| {
            found.into_iter().map(|(position, it)| (ExecutionCursor { position, in_postgres }, it)).collect()
        };
        let reading = |connection| async { postgres::list(connection, filter, before(true)?, limit).await };
        if let Some(found) = try_remote(self.postgres.as_ref(), reading).await? {
            return Ok(with_cursors(found, true));
        }
        Ok(with_cursors(self.embedded.list(filter, before(false)?, limit).await?, false))
    }

    /// How many executions are recorded. While Postgres is away: those that the embedded store has.
    pub async fn count(&self) -> Result<usize, Error> {
        self.settle().await;
        let count = prefer_remote(self.postgres.as_ref(), postgres::count, || self.embedded.count()).await?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// Deletes executions that began more than `age` ago, and the oldest beyond the newest `max_rows`: here, and in Postgres if it is this
    /// server's turn.
    pub(in crate::storage) async fn retain(
        &self,
        age: Duration,
        max_rows: i64,
        postgres: Option<&PostgresConnection>,
    ) -> Result<(), Error> {
        self.embedded.retain(age, max_rows).await?;
        let Some(connection) = postgres else { return Ok(()) };
        let now_ms = self.embedded.clock.now_ms();
        let before_ms = now_ms.saturating_sub(int(age.as_millis()));
        // Deleting may take its time; that says nothing of how Postgres serves others.
        if let Err(failure) = postgres::retain(connection, now_ms, before_ms, max_rows).await {
            tracing::warn!(
                error = failure.to_string(),
                "old executions could not be deleted from Postgres; the next round tries"
            );
        }
        Ok(())
    }

    /// Marks what an earlier process was at as interrupted: here, and in Postgres once it is connected to, which is later.
    pub(crate) async fn interrupt(&self) -> Result<(), Error> {
        self.write(ExecutionChange::Interrupt { before_ms: self.embedded.clock.now_ms() }).await
    }

    /// Writes what waits, and takes nothing more.
    pub(in crate::storage) async fn close(&self) {
        if let Some(writes) = &self.writes {
            writes.close().await;
        }
    }

    /// Puts a change into the queue.
    async fn record(&self, change: ExecutionChange) -> Result<PendingWrite, Error> {
        match &self.writes {
            Some(writes) => writes.push_lingering(change).await,
            None => self.embedded.apply_lingering(change).await,
        }
    }

    /// Puts a change into the queue and waits until it is written.
    async fn write(&self, change: ExecutionChange) -> Result<(), Error> {
        self.push(change).await?.written().await.map(|_| ())
    }

    /// Puts a change into the queue for somebody who is about to wait for it.
    async fn push(&self, change: ExecutionChange) -> Result<PendingWrite, Error> {
        match &self.writes {
            Some(writes) => writes.push(change).await,
            None => self.embedded.apply(change, None).await,
        }
    }

    /// Lets what was recorded before be written, so that it is found.
    async fn settle(&self) {
        if let Some(writes) = &self.writes {
            writes.settle().await;
        }
        self.embedded.writes.settle().await;
    }
}

//! Executions and their steps: in Postgres if there is one, else in the embedded database.
//!
//! Each change of a record can be made again without harm, so what the embedded database took while Postgres was away is
//! simply done again there. Chat calls [`ExecutionStore`] and need not know which store answers.

mod changes;
mod embedded;
mod postgres;
mod record;
mod rows;

use std::time::Duration;

use serde_json::Value;

pub(super) use embedded::EmbeddedExecutions;
pub(super) use postgres::write_back;
pub use record::{Cursor, Execution, ExecutionFilter, ExecutionStatus, Outcome, Step};

use self::record::{Change, End};
use super::outside::{Lease, Link, Route};
use super::postgres::{Connection, Postgres};
use crate::kernel::{Clock, Error, ErrorKind};

/// Old executions that are deleted in one go: in the time that takes, nobody else can write.
const DELETED_AT_ONCE: i64 = 20;
/// Pause after that, for those who wait.
const DELETED_PAUSE: Duration = Duration::from_millis(10);

/// Executions and their steps.
#[derive(Clone, Debug)]
pub struct ExecutionStore {
    embedded: EmbeddedExecutions,
    postgres: Option<Link<Postgres>>,
    clock: Clock,
}

impl ExecutionStore {
    pub(super) fn new(embedded: EmbeddedExecutions, postgres: Option<Link<Postgres>>, clock: Clock) -> Self {
        Self { embedded, postgres, clock }
    }

    /// Records that an execution has begun.
    pub async fn begin(&self, execution: &Execution) -> Result<(), Error> {
        self.record(Change::Begin(execution.clone())).await
    }

    /// Records what was decided to be done.
    pub async fn plan(&self, id: &str, intent: &str, confidence: f64, plan: &Value) -> Result<(), Error> {
        self.record(Change::Plan { id: id.to_owned(), intent: intent.to_owned(), confidence, plan: plan.to_string() })
            .await
    }

    /// Records a finished task.
    pub async fn step(&self, execution_id: &str, ordinal: i64, step: &Step) -> Result<(), Error> {
        self.record(Change::Step { id: execution_id.to_owned(), ordinal, step: step.clone() }).await
    }

    /// Records how an execution ended. One that has ended stays as it is.
    pub async fn finish(&self, id: &str, outcome: &Outcome) -> Result<(), Error> {
        let finished_ms = self.clock.now_ms();
        let Outcome { status, answer, error, metadata } = outcome.clone();
        let end = End { status, answer, error, metadata: metadata.to_string() };
        self.record(Change::Finish { id: id.to_owned(), end, finished_ms }).await
    }

    /// One execution with its steps. While Postgres is away, an execution that is not in the embedded store may be there; one
    /// from before Postgres was used is here.
    pub async fn get(&self, id: &str) -> Result<Option<(Execution, Vec<Step>)>, Error> {
        // No id has one, and Postgres takes none.
        if id.contains('\0') {
            return Ok(None);
        }
        let mut may_be_there = self.postgres.is_some();
        if let Some((link, lease)) = self.lease() {
            match postgres::get(&lease.connection, id).await {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => may_be_there = false,
                Err(failure) => link.note(&lease, failure)?,
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
    pub async fn list(&self, filter: &ExecutionFilter, limit: usize) -> Result<Vec<(Cursor, Execution)>, Error> {
        let before = |is_outside| match filter.before {
            None => Ok(i64::MAX),
            Some(cursor) => cursor.position_in(is_outside, self.postgres.is_some()),
        };
        let with_cursors = |found: Vec<(i64, Execution)>, is_outside| {
            found.into_iter().map(|(position, it)| (Cursor::new(position, is_outside), it)).collect()
        };
        if let Some((link, lease)) = self.lease() {
            match postgres::list(&lease.connection, filter, before(true)?, limit).await {
                Ok(found) => return Ok(with_cursors(found, true)),
                Err(failure) => link.note(&lease, failure)?,
            }
        }
        Ok(with_cursors(self.embedded.list(filter, before(false)?, limit).await?, false))
    }

    /// Deletes executions that began more than `age` ago, and the oldest beyond the newest `most`.
    pub async fn retain(&self, age: Duration, most: i64) -> Result<(), Error> {
        self.embedded.retain(age, most).await?;
        let Some((_, lease)) = self.lease() else { return Ok(()) };
        let now_ms = self.clock.now_ms();
        let before_ms = now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        // Deleting may take its time; that says nothing of how Postgres serves others.
        if let Err(failure) = postgres::retain(&lease.connection, now_ms, before_ms, most).await {
            tracing::warn!(
                error = failure.text(),
                "old executions could not be deleted from Postgres; the next round tries"
            );
        }
        Ok(())
    }

    /// Marks what an earlier process was at as interrupted; in Postgres as soon as it can be reached.
    pub(super) async fn interrupt(&self) -> Result<(), Error> {
        let change = Change::Interrupt { before_ms: self.clock.now_ms() };
        self.embedded.apply(&change, self.postgres.as_ref().map(Link::journal)).await?;
        if let Some(link) = &self.postgres {
            link.queued();
        }
        Ok(())
    }

    async fn record(&self, change: Change) -> Result<(), Error> {
        let Some(link) = &self.postgres else { return self.embedded.apply(&change, None).await };
        let queue = match link.route().await {
            Route::Service(lease) => match postgres::apply(&lease.connection, &change).await {
                Ok(()) => return Ok(()),
                Err(failure) => link.set_aside(&lease, failure).await?,
            },
            Route::Journal(queue) => queue,
        };
        self.embedded.apply(&change, Some(link.journal())).await?;
        link.queued();
        drop(queue);
        Ok(())
    }

    fn lease(&self) -> Option<(&Link<Postgres>, Lease<Connection>)> {
        let link = self.postgres.as_ref()?;
        Some((link, link.lease()?))
    }
}

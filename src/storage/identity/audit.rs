use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::audit_record::{AuditCursor, AuditFilter, AuditRecord};
use super::postgres_audit;
use super::store::IdentityStore;
use crate::kernel::{Backoff, Error};
use crate::storage::failover::{Failover, Failure, prefer_remote, try_remote};
use crate::storage::postgres::{Postgres, PostgresConnection};
use crate::storage::sqlite::int;

/// How soon after Postgres has returned records are moved there, and how long the next attempt waits if that fails.
const MOVE_BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

impl IdentityStore {
    /// Takes records down: in Postgres, or, while it is away, in the embedded database, from where they are moved. One that is there
    /// already changes nothing.
    pub async fn append_audit(&self, records: &[AuditRecord]) -> Result<(), Error> {
        let all: Vec<&AuditRecord> = records.iter().collect();
        let appending = |connection| postgres_audit::append(connection, &all);
        if try_remote(self.postgres.as_ref(), appending).await?.is_none() {
            self.embedded.append(records).await?;
            self.is_moved.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// The newest records first. [`AuditRecord::cursor`] of the last one as `before` gives what follows it. While Postgres is away: those
    /// that wait to be moved there.
    pub async fn audit(&self, filter: &AuditFilter, limit: usize) -> Result<Vec<AuditRecord>, Error> {
        let reading = |connection| postgres_audit::page(connection, filter, limit);
        prefer_remote(self.postgres.as_ref(), reading, || self.embedded.page(filter, limit)).await
    }

    /// Deletes records that are older than this.
    pub(in crate::storage) async fn retain_audit(
        &self,
        age: Duration,
        postgres: Option<&PostgresConnection>,
    ) -> Result<(), Error> {
        let before_ms = self.clock.now_ms().saturating_sub(int(age.as_millis()));
        self.embedded.retain(before_ms).await?;
        let Some(connection) = postgres else { return Ok(()) };
        // Deleting may take its time; that says nothing of how Postgres serves others.
        if let Err(failure) = postgres_audit::retain(connection, before_ms).await {
            let error = failure.to_string();
            tracing::warn!(error, "old audit records could not be deleted from Postgres; the next round tries");
        }
        Ok(())
    }

    /// Moves the records of the embedded database to Postgres whenever it is there: what came while it was away, and what is from before it
    /// was used. Never ends.
    pub(in crate::storage) async fn run_audit_move(self, postgres: Failover<Postgres>) {
        let mut failures = 0_u32;
        loop {
            sleep(MOVE_BACKOFF.after(failures)).await;
            let Some(connection) = postgres.connection() else { continue };
            // Before it looks: what comes meanwhile is for the next round.
            if self.is_moved.swap(true, Ordering::AcqRel) {
                continue;
            }
            failures = match self.move_audit(&connection).await {
                Ok(()) => 0,
                Err(failure) => {
                    self.is_moved.store(false, Ordering::Release);
                    let error = failure.to_string();
                    tracing::warn!(error, "audit records could not be moved to Postgres; they will be");
                    failures.saturating_add(1)
                }
            };
        }
    }

    /// Moves all there are, page by page.
    pub(in crate::storage) async fn move_audit(&self, connection: &PostgresConnection) -> Result<(), Failure> {
        let mut after: Option<AuditCursor> = None;
        loop {
            let records = self.embedded.oldest(after.as_ref()).await?;
            let Some(last) = records.last() else { return Ok(()) };
            after = Some(last.cursor());
            let there = append_what_it_takes(connection, &records).await?;
            self.embedded.forget(there.iter().map(|record| record.id.as_str()).collect()).await?;
        }
    }
}

/// All of them, or, if Postgres refuses something, one by one without what it refuses; says which are there now.
async fn append_what_it_takes<'a>(
    connection: &PostgresConnection,
    records: &'a [AuditRecord],
) -> Result<Vec<&'a AuditRecord>, Failure> {
    let all: Vec<&AuditRecord> = records.iter().collect();
    match postgres_audit::append(connection.clone(), &all).await {
        Ok(()) => return Ok(all),
        Err(Failure::Rejected(_)) => {}
        Err(failure) => return Err(failure),
    }
    let mut there = Vec::with_capacity(all.len());
    for record in all {
        match postgres_audit::append(connection.clone(), &[record]).await {
            Ok(()) => there.push(record),
            Err(Failure::Rejected(error)) => {
                tracing::error!(%error, id = record.id, "an audit record can't be moved to Postgres, and stays here");
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(there)
}

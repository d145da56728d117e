use std::collections::{BTreeSet, HashMap};

use sqlx::sqlite::SqliteConnection;

use super::batch::MessageCounts;
use super::change::{EmbeddedChange, EmbeddedWrite};
use super::rows::batch_of;
use crate::kernel::{Clock, Error};
use crate::storage::conversation::{WindowCache, WindowChange};
use crate::storage::sqlite::Database;
use crate::storage::write_queue::{BatchWriter, QueuedChange, WriteOutcome};

/// Writes batches to the embedded database.
pub(crate) struct EmbeddedWriter {
    pub(crate) database: Database,
    pub(crate) clock: Clock,
    /// Is told of every conversation that is written to.
    pub(crate) windows: WindowCache,
}

impl BatchWriter for EmbeddedWriter {
    type Change = EmbeddedWrite;

    const TASK: &'static str = "embedded_writer";

    async fn write(&self, writes: Vec<EmbeddedWrite>) -> Vec<WriteOutcome> {
        match self.write_together(&writes).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            // One row must not take the others with it.
            Err(error) if is_of_row(&error) && writes.len() > 1 => {
                let mut outcomes = Vec::with_capacity(writes.len());
                for write in &writes {
                    let alone = self.write_together(std::slice::from_ref(write)).await;
                    let outcome = alone.map(|counts| counts.into_iter().next().unwrap_or_default());
                    outcomes.push(outcome.map_err(|error| Error::internal(write.what(), error)));
                }
                outcomes
            }
            Err(error) => {
                let text = error.to_string();
                writes.iter().map(|write| Err(Error::internal(write.what(), text.clone()))).collect()
            }
        }
    }
}

impl EmbeddedWriter {
    /// Writes all or none; says how many messages the conversation of each holds.
    async fn write_together(&self, writes: &[EmbeddedWrite]) -> Result<Vec<usize>, sqlx::Error> {
        let mut connection = self.database.writer().acquire().await?;
        let users: BTreeSet<&str> = writes.iter().filter_map(user_of).collect();
        let changing = self.windows.changing(users.iter().copied());
        let written = self.write_on(&mut connection, writes).await;
        let (now_ms, counts) = match written {
            Ok(written) => written,
            Err(error) => {
                connection.close_on_drop();
                return Err(error);
            }
        };
        let held =
            |write: &EmbeddedWrite| user_of(write).and_then(|user| counts.get(user)).copied().unwrap_or_default();
        let last: HashMap<&str, usize> =
            writes.iter().enumerate().filter_map(|(at, write)| Some((user_of(write)?, at))).collect();
        let is_last = |at, write| user_of(write).is_some_and(|user| last.get(user) == Some(&at));
        let changes = writes.iter().enumerate();
        changing.done(
            changes.filter_map(|(at, write)| {
                window_change(write, now_ms, Some(held(write)).filter(|_| is_last(at, write)))
            }),
        );
        for addition in writes.iter().filter_map(|write| write.outbox.as_ref()) {
            addition.ticket.added(1);
        }
        Ok(writes.iter().map(held).collect())
    }

    async fn write_on(
        &self,
        connection: &mut SqliteConnection,
        writes: &[EmbeddedWrite],
    ) -> Result<(i64, MessageCounts), sqlx::Error> {
        // Read only now that nobody else writes: what expires is decided for the rows and for the windows alike.
        let now_ms = self.clock.now_ms();
        let held = |user: &str| self.windows.held(user, now_ms);
        Ok((now_ms, batch_of(writes, now_ms)?.write(now_ms, connection, held).await?))
    }
}

fn user_of(write: &EmbeddedWrite) -> Option<&str> {
    match &write.change {
        EmbeddedChange::Append(append) => Some(append.user.as_str()),
        EmbeddedChange::Clear(user, _) => Some(user.as_str()),
        EmbeddedChange::Execution(_) | EmbeddedChange::Cache { .. } => None,
    }
}

fn window_change(write: &EmbeddedWrite, now_ms: i64, held: Option<usize>) -> Option<WindowChange<'_>> {
    match &write.change {
        EmbeddedChange::Append(append) => {
            let expires_at = now_ms.saturating_add(append.ttl_ms);
            Some(WindowChange::Append {
                user: append.user.as_str(),
                messages: &append.messages,
                now_ms,
                expires_at,
                held,
            })
        }
        EmbeddedChange::Clear(user, _) => Some(WindowChange::Forget(user.as_str())),
        EmbeddedChange::Execution(_) | EmbeddedChange::Cache { .. } => None,
    }
}

/// Whether it lies with some of what was to be written, so that the rest may be written without it: a value that does not fit, a table that
/// somebody has taken away. Without room, or with a database that is locked, broken or gone, nothing can be written.
fn is_of_row(error: &sqlx::Error) -> bool {
    /// READONLY, BUSY, LOCKED, NOMEM, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB.
    const OF_DATABASE: [u32; 10] = [8, 5, 6, 7, 10, 11, 13, 14, 15, 26];
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    match code {
        // The last eight bits are the kind of error.
        Some(code) => !OF_DATABASE.contains(&(code & 0xff)),
        None => matches!(error, sqlx::Error::Encode(_)),
    }
}

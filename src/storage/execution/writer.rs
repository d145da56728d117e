use super::change::ExecutionChange;
use super::embedded::EmbeddedExecutions;
use super::postgres;
use crate::kernel::Error;
use crate::storage::failover::{Failover, OutboxTicket, write};
use crate::storage::postgres::Postgres;
use crate::storage::write_queue::{BatchWriter, QueuedChange, WriteOutcome};

/// Writes batches to Postgres; while it is away, to the embedded store and the outbox.
pub(in crate::storage) struct ExecutionWriter {
    pub(in crate::storage) embedded: EmbeddedExecutions,
    pub(in crate::storage) postgres: Failover<Postgres>,
}

impl QueuedChange for ExecutionChange {
    fn bytes(&self) -> usize {
        self.bytes()
    }

    fn is_alone(&self) -> bool {
        self.is_alone()
    }

    fn what(&self) -> &'static str {
        self.what()
    }
}

impl BatchWriter for ExecutionWriter {
    type Change = ExecutionChange;

    const TASK: &'static str = "execution_writer";

    async fn write(&self, changes: Vec<ExecutionChange>) -> Vec<WriteOutcome> {
        let operation = |connection| postgres::apply(connection, &changes);
        let stand_in = async |ticket: Option<OutboxTicket>| self.write_here(&changes, ticket).await;
        let error = match write(Some(&self.postgres), operation, stand_in).await {
            Ok(()) => return changes.iter().map(|_| Ok(0)).collect(),
            Err(error) => error,
        };
        // One record that Postgres rejects must not take the others with it.
        if changes.len() == 1 {
            return vec![Err(error)];
        }
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in &changes {
            let alone = std::slice::from_ref(change);
            let operation = |connection| postgres::apply(connection, alone);
            let written = write(Some(&self.postgres), operation, |ticket| self.write_here(alone, ticket)).await;
            outcomes.push(written.map(|()| 0));
        }
        outcomes
    }
}

impl ExecutionWriter {
    async fn write_here(&self, changes: &[ExecutionChange], ticket: Option<OutboxTicket>) -> Result<(), Error> {
        let mut pending = Vec::with_capacity(changes.len());
        for change in changes {
            pending.push(self.embedded.apply(change.clone(), ticket.clone()).await?);
        }
        for write in pending {
            write.written().await?;
        }
        Ok(())
    }
}

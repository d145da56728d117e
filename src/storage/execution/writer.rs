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
        match self.write_together(&changes).await {
            Ok(outcomes) => outcomes,
            // One record that Postgres rejects must not take the others with it.
            Err(_) if changes.len() > 1 => {
                let mut outcomes = Vec::with_capacity(changes.len());
                for change in &changes {
                    let alone = self.write_together(std::slice::from_ref(change)).await;
                    outcomes.push(alone.and_then(|outcomes| outcomes.into_iter().next().unwrap_or(Ok(0))));
                }
                outcomes
            }
            Err(error) => vec![Err(error)],
        }
    }
}

impl ExecutionWriter {
    /// The outcome of each; an error if Postgres rejects one of them.
    async fn write_together(&self, changes: &[ExecutionChange]) -> Result<Vec<WriteOutcome>, Error> {
        let operation = async |connection| {
            postgres::apply(connection, changes).await?;
            Ok(changes.iter().map(|_| Ok(0)).collect())
        };
        write(Some(&self.postgres), operation, |ticket| self.write_here(changes, ticket)).await
    }

    async fn write_here(
        &self,
        changes: &[ExecutionChange],
        ticket: Option<OutboxTicket>,
    ) -> Result<Vec<WriteOutcome>, Error> {
        let mut pending = Vec::with_capacity(changes.len());
        for change in changes {
            pending.push(self.embedded.apply(change.clone(), ticket.clone()).await);
        }
        let mut outcomes = Vec::with_capacity(changes.len());
        for write in pending {
            outcomes.push(match write {
                Ok(write) => write.written().await,
                Err(error) => Err(error),
            });
        }
        Ok(outcomes)
    }
}

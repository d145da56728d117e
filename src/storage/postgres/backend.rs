use std::time::Duration;

use sqlx::Executor;
use tokio::time::Instant;

use super::address::PostgresAddress;
use super::call::{REQUEST_TIMEOUT, call};
use super::connection::PostgresConnection;
use super::server_lease::ServerLease;
use crate::kernel::{Error, Secret};
use crate::storage::conversation::{self, EmbeddedConversations, WindowTrust};
use crate::storage::execution::{self, EmbeddedExecutions};
use crate::storage::failover::{Failure, OutboxEntry, RemoteBackend};
use crate::storage::transcript::{self, EmbeddedTranscripts};

/// Where Postgres is, and what it is kept up to date from.
#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    address: PostgresAddress,
    pub(crate) lease: ServerLease,
    executions: EmbeddedExecutions,
    transcripts: EmbeddedTranscripts,
    conversations: EmbeddedConversations,
    windows: WindowTrust,
}

impl Postgres {
    pub(crate) fn new(
        dsn: &Secret,
        server: String,
        executions: EmbeddedExecutions,
        transcripts: EmbeddedTranscripts,
        (conversations, windows): (EmbeddedConversations, WindowTrust),
    ) -> Result<Self, Error> {
        let address = PostgresAddress::new(dsn)?;
        Ok(Self { address, lease: ServerLease::new(server), executions, transcripts, conversations, windows })
    }
}

impl RemoteBackend for Postgres {
    type Connection = PostgresConnection;

    const NAME: &'static str = "Postgres";
    const KEY: &'static str = "postgres";
    const TASK: &'static str = "postgres_reconnect";
    const REQUEST_TIMEOUT: Duration = REQUEST_TIMEOUT;
    const CHECK_TIMEOUT: Duration = REQUEST_TIMEOUT;

    async fn connect(&self) -> Result<PostgresConnection, Failure> {
        self.address.connect(self.lease.clone()).await
    }

    async fn ping(&self, connection: &PostgresConnection, limit: Duration) -> Result<Duration, Failure> {
        let started = Instant::now();
        call(limit, connection.watch.execute("SELECT 1")).await?;
        Ok(started.elapsed())
    }

    async fn write_back(&self, connection: &PostgresConnection, entries: &[OutboxEntry]) -> Result<(), Failure> {
        let (of_conversations, others): (Vec<_>, Vec<_>) =
            entries.iter().partition(|entry| conversation::is_of_conversation(entry));
        let (of_transcripts, of_executions): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|entry| transcript::is_of_transcript(entry));
        if !of_conversations.is_empty() {
            conversation::write_back(&self.conversations, &self.windows, connection, &of_conversations).await?;
        }
        if !of_executions.is_empty() {
            execution::write_back(&self.executions, connection, &of_executions).await?;
        }
        if !of_transcripts.is_empty() {
            transcript::write_back(&self.transcripts, connection, &of_transcripts).await?;
        }
        Ok(())
    }
}

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::conversation::{self, EmbeddedConversations};
use super::outside::{Backend, Entry, Failure, Journal};
use super::sqlite::Database;
use crate::kernel::{Error, Redaction, Secret, SecretUrl};

/// How long a request waits for Redis.
pub(super) const PROMPT: Duration = Duration::from_millis(200);
/// How long the keeper waits for it, who may send a lot at once.
pub(super) const PATIENT: Duration = Duration::from_secs(5);
/// How long a sign of life may take: one command can keep Redis from all others.
const CHECK: Duration = Duration::from_secs(1);
/// How long connecting may take, names, TLS and signing in included.
const CONNECT: Duration = Duration::from_secs(1);
/// The note that holds the run that was seen last. Without it, Redis is given what there is a copy of.
pub(super) const RUN: &str = "redis run";

/// All commands go over one connection, each with its own answer.
pub(super) type Connection = MultiplexedConnection;

/// Where Redis is, and what it is kept up to date from.
#[derive(Clone, Debug)]
pub(super) struct Redis {
    client: Client,
    redaction: Redaction,
    database: Database,
    conversations: EmbeddedConversations,
    journal: Journal,
    /// One more connection, to find out how Redis is while the other waits for something slow.
    watch: Arc<Mutex<Option<Connection>>>,
}

impl Redis {
    pub(super) fn new(
        url: &Secret,
        database: Database,
        conversations: EmbeddedConversations,
        journal: Journal,
    ) -> Result<Self, Error> {
        let client = Client::open(url.expose())
            .map_err(|error| Error::internal_public("REDIS_URL can't be used".to_owned(), error))?;
        let redaction = Redaction::new(SecretUrl::new(url.expose()).secrets());
        Ok(Self { client, redaction, database, conversations, journal, watch: Arc::default() })
    }

    /// A round trip of its own.
    pub(super) async fn ping(&self, limit: Duration) -> Result<Duration, Failure> {
        let mut watch = self.watch.lock().await;
        if let Some(connection) = watch.take()
            && let Ok(took) = round_trip(&connection, limit).await
        {
            *watch = Some(connection);
            return Ok(took);
        }
        // It may have been this connection alone.
        let connection = self.dial().await?;
        let took = round_trip(&connection, limit).await?;
        *watch = Some(connection);
        Ok(took)
    }

    async fn dial(&self) -> Result<Connection, Failure> {
        // Each command has its own limit.
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(None);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        call(CONNECT, connecting).await.map_err(|failure| match failure {
            Failure::Unusable(text) => Failure::Unusable(self.redaction.text(&text)),
            failure => failure,
        })
    }
}

impl Backend for Redis {
    type Connection = Connection;

    const NAME: &'static str = "Redis";
    const KEY: &'static str = "redis";

    async fn connect(&self) -> Result<Connection, Failure> {
        let connection = self.dial().await?;
        round_trip(&connection, PROMPT).await?;
        self.restore_after_restart(&connection).await?;
        Ok(connection)
    }

    async fn check(&self, _connection: &Connection) -> Result<(), Failure> {
        self.ping(CHECK).await.map(|_| ())
    }

    async fn write_back(&self, connection: &Connection, entries: &[Entry]) -> Result<(), Failure> {
        conversation::bring_up_to_date(&self.conversations, connection, entries).await
    }
}

impl Redis {
    /// A Redis that was restarted may have lost what it had acknowledged. Whatever of it this server has a copy of is given
    /// back.
    async fn restore_after_restart(&self, connection: &Connection) -> Result<(), Failure> {
        let mut asking = connection.clone();
        // An account that may not ask is told nothing: then everything is given back each time, and what is there is skipped.
        let info = call(PROMPT, redis::cmd("INFO").arg("server").query_async::<String>(&mut asking)).await;
        let info = info.unwrap_or_default();
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default();
        let seen = self.database.note(RUN).await.map_err(Failure::Refused)?;
        if !run.is_empty() && seen.as_deref() == Some(run) {
            return Ok(());
        }
        conversation::restore(&self.conversations, &self.journal, connection).await?;
        self.database.set_note(RUN, run).await.map_err(Failure::Refused)
    }
}

async fn round_trip(connection: &Connection, limit: Duration) -> Result<Duration, Failure> {
    let started = Instant::now();
    call(limit, redis::cmd("PING").query_async::<()>(&mut connection.clone())).await?;
    Ok(started.elapsed())
}

/// Waits for an answer, but not longer than `limit`.
pub(super) async fn call<T>(
    limit: Duration,
    command: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, Failure> {
    match timeout(limit, command).await {
        Ok(outcome) => judge(outcome),
        Err(_) => Err(Failure::Slow(format!("no answer within {} ms", limit.as_millis()))),
    }
}

/// Whether an error lies with the operation or with Redis.
pub(super) fn judge<T>(outcome: Result<T, RedisError>) -> Result<T, Failure> {
    outcome.map_err(|error| {
        if is_refusal(&error) {
            return Failure::Refused(Error::internal("Redis does not take an operation", error));
        }
        Failure::Unusable(error.to_string())
    })
}

/// Whether it lies with the data: a key holds something else than it should. Everything else may pass.
fn is_refusal(error: &RedisError) -> bool {
    error.kind() == ErrorKind::UnexpectedReturnType || error.to_string().contains("WRONGTYPE")
}

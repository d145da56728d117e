use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::conversation::{self, EmbeddedConversations};
use super::failover::{Failure, Outbox, OutboxEntry, RemoteBackend};
use super::sqlite::Database;
use crate::kernel::{Error, Redaction, Secret, SecretUrl};

/// How long a request waits for Redis.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_millis(200);
/// How long the keeper waits for it, who may send a lot at once.
pub(super) const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a sign of life may take: one command can keep Redis from all others.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long connecting may take, names, TLS and signing in included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The note that holds the run that was seen last. Without it, Redis is given what there is a copy of.
pub(super) const RUN_ID: &str = "redis run";

/// All commands go over one connection, each with its own answer.
pub(super) type RedisConnection = MultiplexedConnection;

/// Where Redis is, and what it is kept up to date from.
#[derive(Clone, Debug)]
pub(super) struct Redis {
    client: Client,
    redaction: Redaction,
    database: Database,
    conversations: EmbeddedConversations,
    outbox: Outbox,
    /// One more connection, to find out how Redis is while the other waits for something slow.
    watch: Arc<Mutex<Option<RedisConnection>>>,
}

impl Redis {
    pub(super) fn new(
        url: &Secret,
        database: Database,
        conversations: EmbeddedConversations,
        outbox: Outbox,
    ) -> Result<Self, Error> {
        let client = Client::open(url.expose())
            .map_err(|error| Error::internal_public("REDIS_URL can't be used".to_owned(), error))?;
        let redaction = Redaction::new(SecretUrl::new(url.expose()).secrets());
        Ok(Self { client, redaction, database, conversations, outbox, watch: Arc::default() })
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

    async fn dial(&self) -> Result<RedisConnection, Failure> {
        // Each command has its own limit.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(None);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        call(CONNECT_TIMEOUT, connecting).await.map_err(|failure| match failure {
            Failure::Unavailable(text) => Failure::Unavailable(self.redaction.text(&text)),
            failure => failure,
        })
    }
}

impl RemoteBackend for Redis {
    type Connection = RedisConnection;

    const NAME: &'static str = "Redis";
    const KEY: &'static str = "redis";

    async fn connect(&self) -> Result<RedisConnection, Failure> {
        let connection = self.dial().await?;
        round_trip(&connection, REQUEST_TIMEOUT).await?;
        self.restore_after_restart(&connection).await?;
        Ok(connection)
    }

    async fn check(&self, _connection: &RedisConnection) -> Result<(), Failure> {
        self.ping(CHECK_TIMEOUT).await.map(|_| ())
    }

    async fn write_back(&self, connection: &RedisConnection, entries: &[OutboxEntry]) -> Result<(), Failure> {
        conversation::replay(&self.conversations, connection, entries).await
    }
}

impl Redis {
    /// A Redis that was restarted may have lost what it had acknowledged. Whatever of it this server has a copy of is given
    /// back.
    async fn restore_after_restart(&self, connection: &RedisConnection) -> Result<(), Failure> {
        let mut asking = connection.clone();
        // An account that may not ask is told nothing: then everything is given back each time, and what is there is skipped.
        let info = call(REQUEST_TIMEOUT, redis::cmd("INFO").arg("server").query_async::<String>(&mut asking)).await;
        let info = info.unwrap_or_default();
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default();
        let seen = self.database.meta(RUN_ID).await.map_err(Failure::Rejected)?;
        if !run.is_empty() && seen.as_deref() == Some(run) {
            return Ok(());
        }
        conversation::restore(&self.conversations, &self.outbox, connection).await?;
        self.database.set_meta(RUN_ID, run).await.map_err(Failure::Rejected)
    }
}

async fn round_trip(connection: &RedisConnection, limit: Duration) -> Result<Duration, Failure> {
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
        Ok(outcome) => classify(outcome),
        Err(_) => Err(Failure::Timeout(format!("no answer within {} ms", limit.as_millis()))),
    }
}

/// Whether an error lies with the operation or with Redis.
pub(super) fn classify<T>(outcome: Result<T, RedisError>) -> Result<T, Failure> {
    outcome.map_err(|error| {
        if is_rejection(&error) {
            return Failure::Rejected(Error::internal("Redis does not take an operation", error));
        }
        Failure::Unavailable(error.to_string())
    })
}

/// Whether it lies with the data: a key holds something else than it should. Everything else may pass.
fn is_rejection(error: &RedisError) -> bool {
    error.kind() == ErrorKind::UnexpectedReturnType || error.to_string().contains("WRONGTYPE")
}

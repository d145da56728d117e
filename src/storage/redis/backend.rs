use std::sync::Arc;
use std::time::Duration;

use redis::{AsyncConnectionConfig, Client};
use tokio::sync::Mutex;

use super::connection::{REQUEST_TIMEOUT, RedisConnection, call, round_trip};
use crate::kernel::{Error, Redaction, Secret, SecretUrl};
use crate::settings::RedisUrl;
use crate::storage::conversation::{EmbeddedConversations, WindowTrust, replay, restore};
use crate::storage::failover::{Failure, OutboxEntry, RemoteBackend};

/// How long connecting may take, names, TLS and signing in included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The fact that holds the run of Redis that was seen last. Without it, copies are given back.
pub(crate) const RUN_ID: &str = "redis run";

/// Where Redis is, and what it is kept up to date from.
#[derive(Clone, Debug)]
pub(crate) struct Redis {
    client: Client,
    redaction: Redaction,
    conversations: EmbeddedConversations,
    /// With Postgres, which has the conversations: who is told of each connection.
    windows: Option<WindowTrust>,
    /// One more connection, to find out how Redis is while the other waits for something slow.
    watch: Arc<Mutex<Option<RedisConnection>>>,
}

impl Redis {
    pub(crate) fn new(
        url: &Secret,
        conversations: EmbeddedConversations,
        windows: Option<WindowTrust>,
    ) -> Result<Self, Error> {
        let written = SecretUrl::new(url.expose());
        let (client, read) = open(&written)?;
        if let Some(unused) = read.unused() {
            tracing::warn!(setting = "REDIS_URL", "{unused}");
        }
        let redaction = Redaction::new([written.secrets(), read.url.secrets()].concat());
        Ok(Self { client, redaction, conversations, windows, watch: Arc::default() })
    }

    /// Whether [`Redis::new`] takes the URL.
    pub(crate) fn check(url: &Secret) -> Result<(), Error> {
        open(&SecretUrl::new(url.expose())).map(drop)
    }

    async fn dial(&self) -> Result<RedisConnection, Failure> {
        // Each command has its own limit.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(None);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        call(CONNECT_TIMEOUT, connecting).await.map_err(|failure| failure.masked(&self.redaction))
    }

    /// A Redis that was restarted may have lost what it had acknowledged: what this server has a copy of is given back.
    async fn restore_after_restart(&self, connection: &RedisConnection) -> Result<(), Failure> {
        // An account that may not ask is told nothing: then everything is offered each time.
        let run = run_of(connection).await;
        if let Some(windows) = &self.windows {
            windows.connected(&run);
            return Ok(());
        }
        let seen = self.conversations.database.meta(RUN_ID).await?;
        if !run.is_empty() && seen.as_deref() == Some(&*run) {
            return Ok(());
        }
        let differing = restore(&self.conversations, connection).await?;
        if differing > 0 {
            tracing::warn!(
                conversations = differing,
                "Redis has conversations without the turns of this server's copies"
            );
        }
        Ok(self.conversations.database.set_meta(RUN_ID, Some(&run)).await?)
    }
}

/// What Redis calls its run, which ends when it is restarted; empty if it does not say.
async fn run_of(connection: &RedisConnection) -> String {
    let mut asking = connection.clone();
    let info = call(REQUEST_TIMEOUT, redis::cmd("INFO").arg("server").query_async::<String>(&mut asking)).await;
    let info = info.unwrap_or_default();
    info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default().trim().to_owned()
}

/// A client that has not connected yet, and the URL as it was read.
fn open(url: &SecretUrl) -> Result<(Client, RedisUrl), Error> {
    let wrong =
        |what: String| Error::internal_public(format!("REDIS_URL can't be used: {what}"), "see docs/operations.md");
    let read = RedisUrl::read(url).map_err(wrong)?;
    let client = Client::open(read.url.expose()).map_err(|error| wrong(error.to_string()))?;
    Ok((client, read))
}

impl RemoteBackend for Redis {
    type Connection = RedisConnection;

    const NAME: &'static str = "Redis";
    const KEY: &'static str = "redis";
    const TASK: &'static str = "redis_reconnect";
    const REQUEST_TIMEOUT: Duration = REQUEST_TIMEOUT;
    /// One command can keep Redis from all others.
    const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

    async fn connect(&self) -> Result<RedisConnection, Failure> {
        let connection = self.dial().await?;
        round_trip(&connection, REQUEST_TIMEOUT).await?;
        self.restore_after_restart(&connection).await?;
        Ok(connection)
    }

    /// Over a connection of its own: the other may be waiting for something slow.
    async fn ping(&self, _: &RedisConnection, limit: Duration) -> Result<Duration, Failure> {
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

    async fn write_back(&self, connection: &RedisConnection, entries: &[OutboxEntry]) -> Result<(), Failure> {
        replay(&self.conversations, connection, entries).await
    }
}

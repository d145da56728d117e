use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::backend::Postgres;
use super::connection::PostgresConnection;
use crate::kernel::Backoff;
use crate::storage::failover::Failover;

/// How long one connection is listened to: one that was cut without a word would be silent for ever.
const RENEW_AFTER: Duration = Duration::from_secs(60);
/// Pauses between attempts to listen.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(30));

/// A channel on which Postgres tells of changes that any server on it makes. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct PostgresChannel {
    name: &'static str,
    state: Arc<ChannelState>,
}

#[derive(Debug, Default)]
struct ChannelState {
    changed: Notify,
    /// How often somebody began to listen: what happened before was not heard of.
    beginnings: AtomicU64,
}

impl PostgresChannel {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, state: Arc::default() }
    }

    /// Tells whoever waits that something may have changed.
    pub(crate) fn notify(&self) {
        self.state.changed.notify_one();
    }

    /// Waits until something may have changed.
    pub(crate) async fn changed(&self) {
        self.state.changed.notified().await;
    }

    /// How often somebody has begun to listen. If that has changed, notices may have been missed.
    pub(crate) fn beginnings(&self) -> u64 {
        self.state.beginnings.load(Ordering::Acquire)
    }

    fn begin(&self) {
        self.state.beginnings.fetch_add(1, Ordering::AcqRel);
        self.notify();
    }
}

/// Listens to these channels over one connection. Never ends. What is missed while nobody listens is found by whoever asks for the
/// revision.
pub(crate) async fn listen(postgres: Failover<Postgres>, channels: Vec<PostgresChannel>) {
    let mut failures = 0_u32;
    loop {
        let Some(connection) = postgres.connection() else {
            sleep(BACKOFF.after(1)).await;
            continue;
        };
        match timeout(RENEW_AFTER, receive(&connection, &channels, &mut failures)).await {
            Err(_) => failures = 0,
            Ok(outcome) => {
                failures = failures.saturating_add(1);
                if let Err(error) = outcome {
                    tracing::debug!(%error, "changes in Postgres are not heard of; they are asked for");
                }
                sleep(BACKOFF.after(failures)).await;
            }
        }
    }
}

/// Passes notices on until the connection is lost.
async fn receive(
    connection: &PostgresConnection,
    channels: &[PostgresChannel],
    failures: &mut u32,
) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(&connection.notices).await?;
    listener.listen_all(channels.iter().map(|channel| channel.name)).await?;
    *failures = 0;
    // Before the first one too: something may have changed while nobody listened.
    channels.iter().for_each(PostgresChannel::begin);
    while let Some(notice) = listener.try_recv().await? {
        channels.iter().filter(|channel| channel.name == notice.channel()).for_each(PostgresChannel::notify);
    }
    Ok(())
}

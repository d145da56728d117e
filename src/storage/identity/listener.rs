use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::postgres::CHANNEL;
use crate::kernel::Backoff;
use crate::storage::failover::Failover;
use crate::storage::postgres::{Postgres, PostgresConnection};

/// How long one connection is listened to: one that was cut without a word would be silent for ever.
const RENEW_AFTER: Duration = Duration::from_secs(60);
/// Pauses between attempts to listen.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));

/// Tells `changed` of changes that any server on the same Postgres makes to keys. Never ends. What is missed while nobody listens is found
/// by whoever asks for the revision.
pub(super) async fn listen(postgres: Failover<Postgres>, changed: Arc<Notify>) {
    let mut failures = 0_u32;
    loop {
        let Some(connection) = postgres.connection() else {
            sleep(BACKOFF.after(1)).await;
            continue;
        };
        match timeout(RENEW_AFTER, receive(&connection, &changed)).await {
            Err(_) => failures = 0,
            Ok(outcome) => {
                failures = failures.saturating_add(1);
                if let Err(error) = outcome {
                    tracing::debug!(%error, "changes of API keys are not heard of; they are asked for");
                }
                sleep(BACKOFF.after(failures)).await;
            }
        }
    }
}

async fn receive(connection: &PostgresConnection, changed: &Notify) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(&connection.notices).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // Before the first one too: something may have changed while nobody listened.
        changed.notify_one();
        listener.recv().await?;
    }
}

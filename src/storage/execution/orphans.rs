use sqlx::PgPool;
use tokio::time::sleep;

use super::change::{DELETE_BATCH, DELETE_PAUSE, INTERRUPTED};
use crate::kernel::Clock;
use crate::storage::failover::Failure;
use crate::storage::postgres::{BACKGROUND_TIMEOUT, RENEWAL_INTERVAL, ServerLease, call, end_expired};

/// Says that this server is alive, and finds out which others are not: what they were at is interrupted. Never ends.
pub(in crate::storage) async fn keep_lease(lease: ServerLease, clock: Clock) {
    loop {
        if let Err(failure) = renew_and_bury(&lease, &clock).await {
            tracing::debug!(
                error = failure.to_string(),
                "the lease of this server could not be renewed; the next round tries"
            );
        }
        sleep(RENEWAL_INTERVAL).await;
    }
}

/// One round. Leases end first: what has none then is of nobody that is alive, and who comes back finds its lease gone and takes
/// another one, so there is no moment in which both could count.
pub(in crate::storage) async fn renew_and_bury(lease: &ServerLease, clock: &Clock) -> Result<(), Failure> {
    let Some(pool) = lease.renew().await? else { return Ok(()) };
    if !lease.may_bury_others() {
        return Ok(());
    }
    let dead = end_expired(&pool).await?;
    let mut interrupted = 0;
    loop {
        let marked = interrupt_orphans(&pool, clock.now_ms()).await?;
        interrupted += marked;
        if marked == 0 {
            break;
        }
        sleep(DELETE_PAUSE).await;
    }
    if dead + interrupted > 0 {
        tracing::warn!(
            servers = dead,
            executions = interrupted,
            "servers are gone without a word; what they were at is interrupted"
        );
    }
    Ok(())
}

async fn interrupt_orphans(pool: &PgPool, now_ms: i64) -> Result<u64, Failure> {
    let marking = sqlx::query(
        "UPDATE execution SET status = 'interrupted', error = $1, finished_at = $2 WHERE position IN (
             SELECT position FROM execution WHERE status = 'running' AND generation IS NOT NULL AND NOT EXISTS
                 (SELECT 1 FROM server_lease WHERE server_lease.generation = execution.generation)
             LIMIT $3 FOR UPDATE SKIP LOCKED)",
    );
    let marking = marking.bind(INTERRUPTED).bind(now_ms).bind(DELETE_BATCH).execute(pool);
    Ok(call(BACKGROUND_TIMEOUT, marking).await?.rows_affected())
}

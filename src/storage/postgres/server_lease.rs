use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::PgPool;
use tokio::time::Instant;

use super::call::{REQUEST_TIMEOUT, call};
use crate::storage::failover::Failure;

/// How long a server that does not say that it is alive is not taken for dead. The statements name the same time.
pub(crate) const LEASE: Duration = Duration::from_secs(15);
/// How often a server says so.
pub(crate) const RENEWAL_INTERVAL: Duration = Duration::from_secs(5);

/// That this server is alive, as Postgres knows it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct ServerLease {
    /// The name of this installation, which outlives the process.
    pub(crate) server: Arc<str>,
    state: Arc<Mutex<LeaseState>>,
}

#[derive(Debug, Default)]
struct LeaseState {
    /// What Postgres was last spoken to with, whether or not it is in use.
    pool: Option<PgPool>,
    generation: Option<i64>,
    /// Since when, and when last, it was renewed without a gap.
    renewed: Option<(Instant, Instant)>,
}

impl ServerLease {
    pub(crate) fn new(server: impl Into<Arc<str>>) -> Self {
        Self { server: server.into(), state: Arc::default() }
    }

    /// The lease under which this server works; none before the first connection.
    pub(crate) fn generation(&self) -> Option<i64> {
        self.state.lock().generation
    }

    /// Whether this server has seen for the length of a lease that others could renew theirs: after an outage of Postgres all have run out,
    /// and nobody is dead for that.
    pub(crate) fn may_bury_others(&self) -> bool {
        self.state.lock().renewed.is_some_and(|(since, _)| since.elapsed() >= LEASE)
    }

    /// As if it had been renewed without a gap for that long.
    #[cfg(test)]
    pub(crate) fn hold_for(&self, time: Duration) {
        let now = Instant::now();
        self.state.lock().renewed = now.checked_sub(time).map(|since| (since, now));
    }

    /// Takes or renews the lease over a new connection, before anything is recorded under it.
    pub(super) async fn connected(&self, pool: PgPool) -> Result<(), Failure> {
        self.state.lock().pool = Some(pool.clone());
        self.renew_over(&pool).await
    }

    /// Renews the lease, and gives the pool that Postgres was asked with; `None` if there is none.
    pub(crate) async fn renew(&self) -> Result<Option<PgPool>, Failure> {
        let Some(pool) = self.state.lock().pool.clone() else { return Ok(None) };
        self.renew_over(&pool).await?;
        Ok(Some(pool))
    }

    async fn renew_over(&self, pool: &PgPool) -> Result<(), Failure> {
        let held = self.generation();
        let renewed = match held {
            Some(generation) => extend(pool, generation).await?,
            None => false,
        };
        let generation = if renewed { held } else { Some(take(pool, &self.server).await?) };
        if let (Some(before), false) = (held, renewed) {
            tracing::warn!(
                before,
                now = generation,
                "other servers took this one for dead; what it was at is recorded as interrupted"
            );
        }
        let mut state = self.state.lock();
        let now = Instant::now();
        let since = state.renewed.filter(|(_, last)| renewed && last.elapsed() < LEASE).map_or(now, |(since, _)| since);
        state.renewed = Some((since, now));
        state.generation = generation;
        Ok(())
    }

    /// Gives the lease up: whatever is recorded as running under it is not running any more.
    pub(crate) async fn release(&self) {
        let (pool, generation) = {
            let mut state = self.state.lock();
            (state.pool.take(), state.generation.take())
        };
        let (Some(pool), Some(generation)) = (pool, generation) else { return };
        let releasing = sqlx::query("DELETE FROM server_lease WHERE generation = $1").bind(generation).execute(&pool);
        if let Err(failure) = call(REQUEST_TIMEOUT, releasing).await {
            tracing::debug!(error = failure.to_string(), "the lease of this server runs out by itself");
        }
    }
}

async fn take(pool: &PgPool, server: &str) -> Result<i64, Failure> {
    let taking =
        "INSERT INTO server_lease (server, expires_at) VALUES ($1, now() + interval '15 seconds') RETURNING generation";
    call(REQUEST_TIMEOUT, sqlx::query_scalar(taking).bind(server).fetch_one(pool)).await
}

/// Returns whether the lease was still there. One that has run out is, until somebody has found out.
async fn extend(pool: &PgPool, generation: i64) -> Result<bool, Failure> {
    let extending = "UPDATE server_lease SET expires_at = now() + interval '15 seconds' WHERE generation = $1";
    let extended = call(REQUEST_TIMEOUT, sqlx::query(extending).bind(generation).execute(pool)).await?;
    Ok(extended.rows_affected() == 1)
}

/// Ends the leases that have run out; says how many those were.
pub(crate) async fn end_expired(pool: &PgPool) -> Result<u64, Failure> {
    let ending = sqlx::query("DELETE FROM server_lease WHERE expires_at < now()").execute(pool);
    Ok(call(REQUEST_TIMEOUT, ending).await?.rows_affected())
}

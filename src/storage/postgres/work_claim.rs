use std::time::Duration;

use super::call::{REQUEST_TIMEOUT, call};
use super::connection::PostgresConnection;
use crate::storage::failover::Failure;

/// Work that this server does for all, until it is released or its time is over. Nothing is held meanwhile: an advisory lock would take a
/// connection for as long, and a pooler gives each transaction another one.
#[derive(Debug)]
pub(crate) struct WorkClaim {
    connection: PostgresConnection,
    name: String,
    generation: i64,
}

impl WorkClaim {
    /// The claim on the work of this name for `time`; `None` if another server is at it.
    pub(crate) async fn take(
        connection: &PostgresConnection,
        name: &str,
        time: Duration,
    ) -> Result<Option<Self>, Failure> {
        let Some(generation) = connection.lease.generation() else { return Ok(None) };
        let taking = sqlx::query(
            "INSERT INTO work_claim AS claim (name, generation, expires_at) VALUES ($1, $2, now() + $3 * interval '1 second')
             ON CONFLICT (name) DO UPDATE SET generation = excluded.generation, expires_at = excluded.expires_at
             WHERE claim.expires_at < now()
                 OR NOT EXISTS (SELECT 1 FROM server_lease WHERE server_lease.generation = claim.generation)",
        );
        let taking = taking.bind(name).bind(generation).bind(time.as_secs_f64()).execute(&connection.pool);
        let is_taken = call(REQUEST_TIMEOUT, taking).await?.rows_affected() == 1;
        Ok(is_taken.then(|| Self { connection: connection.clone(), name: name.to_owned(), generation }))
    }

    /// Leaves the work to others. What dead servers have left goes too.
    pub(crate) async fn release(self) {
        let releasing =
            sqlx::query("DELETE FROM work_claim WHERE (name = $1 AND generation = $2) OR expires_at < now()");
        let releasing = releasing.bind(&self.name).bind(self.generation).execute(&self.connection.pool);
        if let Err(failure) = call(REQUEST_TIMEOUT, releasing).await {
            tracing::debug!(error = failure.to_string(), name = self.name, "work stays claimed until its time is over");
        }
    }
}

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgPool;
use tokio::time::timeout;

use crate::kernel::Error;
use crate::storage::failover::Failure;

/// How long a request waits for Postgres.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_millis(500);
/// How long background work waits for it.
pub(crate) const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(5);

/// A pool whose schema is ours.
#[derive(Clone, Debug)]
pub(crate) struct PostgresConnection {
    pub(crate) pool: PgPool,
    /// One more, to find out how Postgres is while those of the pool are all in use.
    pub(super) watch: PgPool,
    /// The name of this installation, which stands in what it records.
    pub(crate) server: Arc<str>,
}

/// Waits for an answer, but not longer than `limit`.
pub(crate) async fn call<T>(limit: Duration, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Failure> {
    match timeout(limit, work).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) if is_rejection(&error) => {
            Err(Failure::Rejected(Error::internal("Postgres does not take a record", error)))
        }
        Ok(Err(error @ sqlx::Error::PoolTimedOut)) => Err(Failure::Timeout(error.to_string())),
        Ok(Err(error)) => Err(Failure::Unavailable(error.to_string())),
        Err(_) => Err(Failure::Timeout(format!("no answer within {} ms", limit.as_millis()))),
    }
}

/// Whether it lies with the data: a value that does not fit, a record that is not there. Everything else may pass.
fn is_rejection(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    let of_data = code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"));
    of_data || matches!(error, sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. })
}

use std::time::Duration;

use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::{Connection, Database, Pool};
use tokio::time::timeout;

use super::engine::{EngineError, driver_error, statement_timeout};
use crate::datasources::source::{Source, call_error, configured_limit, source_error, source_label};
use crate::datasources::{DataError, Outage};
use crate::kernel::Deadline;
use crate::outbound::{AddressGuard, Bridge};

/// Queries at once per source, unless `config.max_connections` says otherwise.
const DEFAULT_CONNECTIONS: usize = 4;
/// What `config.max_connections` may say.
const MAX_CONNECTIONS: usize = 50;
/// How long an unused connection is kept.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long any connection is kept.
pub(super) const MAX_LIFETIME: Duration = Duration::from_secs(1800);

/// Queries at once.
pub(super) fn max_connections_of(source: &Source) -> usize {
    let configured = configured_limit(source, "max_connections").filter(|count| *count <= MAX_CONNECTIONS);
    configured.unwrap_or(DEFAULT_CONNECTIONS)
}

/// A bridge to the server of a source; `name` is what the driver takes a socket to be called.
pub(super) fn open_bridge(
    source: &Source,
    guard: &AddressGuard,
    (host, port): (&str, u16),
    name: &str,
) -> Result<Bridge, DataError> {
    let bridge = Bridge::open(guard.clone(), host, port, name);
    bridge.map_err(|error| source_error(source, format_args!("no socket for it could be made: {error}")))
}

/// The pool of a server, to which the driver gets over a bridge.
pub(super) struct DatabasePool<DB: Database> {
    /// The source as it was when the pool was made.
    source: Source,
    pool: Pool<DB>,
    bridge: Bridge,
    /// Statements that each transaction begins with.
    preamble: String,
}

impl<DB: Database> DatabasePool<DB> {
    /// Nothing is connected until it is used, nothing is kept for long.
    pub(super) fn new(
        source: &Source,
        bridge: Bridge,
        options: <DB::Connection as Connection>::Options,
        preamble: String,
    ) -> Self {
        let pool = PoolOptions::new()
            .max_connections(u32::try_from(max_connections_of(source)).unwrap_or(u32::MAX))
            .min_connections(0)
            .idle_timeout(IDLE_TIMEOUT)
            .max_lifetime(MAX_LIFETIME)
            // The deadline of the request comes first; this only ends what nobody waits for.
            .acquire_timeout(source.effective.timeout() + Duration::from_secs(1))
            .connect_lazy_with(options);
        Self { source: source.clone(), pool, bridge, preamble }
    }

    /// The source as it was when the pool was made.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Statements that each transaction begins with.
    pub(super) fn preamble(&self) -> &str {
        &self.preamble
    }

    /// A connection of the pool. Whoever comes here has a permit, so what keeps it from coming is the server.
    pub(super) async fn acquire(&self, deadline: Deadline) -> Result<LeasedConnection<DB>, EngineError> {
        match timeout(statement_timeout(deadline), self.pool.acquire()).await {
            Ok(Ok(connection)) => Ok(LeasedConnection(Some(connection))),
            Ok(Err(error)) => Err(self.unreachable(&error).into()),
            Err(_) => {
                let text = format!("{} did not answer in time", source_label(&self.source));
                Err(DataError::timed_out(text, Outage::Yes).into())
            }
        }
    }

    /// Why there is no connection: the bridge knows more than a driver that found its socket closed.
    fn unreachable(&self, error: &sqlx::Error) -> DataError {
        match (driver_error(&self.source, error), self.bridge.failure()) {
            (DataError::Failed { outage: Outage::Perhaps, .. }, Some(failure)) => call_error(&self.source, &failure),
            (DataError::Failed { text, timed_out, outage: Outage::Perhaps }, None) => {
                DataError::Failed { text, timed_out, outage: Outage::Yes }
            }
            (objection, _) => objection,
        }
    }

    /// Closes the pool once what runs on it has ended.
    pub(super) fn close(&self) {
        let pool = self.pool.clone();
        tokio::spawn(async move { pool.close().await });
    }
}

/// A connection that goes back to its pool when its work was done to the end; otherwise it is closed, so that nothing goes on.
pub(super) struct LeasedConnection<DB: Database>(Option<PoolConnection<DB>>);

impl<DB: Database> LeasedConnection<DB> {
    /// The connection; the error can't happen before [`LeasedConnection::release`].
    pub(super) fn connection(&mut self) -> Result<&mut DB::Connection, sqlx::Error> {
        self.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Gives the connection back.
    pub(super) fn release(mut self) {
        drop(self.0.take());
    }
}

impl<DB: Database> Drop for LeasedConnection<DB> {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

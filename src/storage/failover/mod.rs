//! Services outside this process that may be slow or gone: Redis and Postgres.
//!
//! [`Failover`] holds the connection to one of them and is what a store asks first: [`Failover::route`] gives either the connection,
//! or a place in the outbox of the embedded database, where an operation waits until the service is back. `reconnect`
//! connects, watches and writes back in the background, so that no request ever waits for a connection. To add a service:
//! implement [`RemoteBackend`], and dispatch to it in a store.

mod outbox;
mod reconnect;
mod state;

pub(super) use outbox::{Outbox, OutboxEntry};
pub use state::BackendStatus;
pub(super) use state::{Failover, Handle, Route};

use std::time::Duration;

use crate::kernel::Error;

/// Operations that are written back in one go, at most.
pub(super) const MAX_PAGE_ENTRIES: usize = 200;
/// Bytes that are written back in one go, unless a single operation has more. Connection and allocator keep what that took.
pub(super) const MAX_PAGE_BYTES: usize = 250_000;
/// Bytes that a service takes per millisecond even on a bad day.
const BYTES_PER_MS: usize = 5_000;

/// `limit`, and the time that sending so many bytes may take.
pub(super) fn timeout_for(limit: Duration, bytes: usize) -> Duration {
    limit.saturating_add(Duration::from_millis(u64::try_from(bytes / BYTES_PER_MS).unwrap_or(u64::MAX)))
}

/// A service: Redis or Postgres.
pub(super) trait RemoteBackend: Clone + Send + Sync + 'static {
    /// What operations are carried out with.
    type Connection: Clone + Send + Sync + 'static;

    /// Its name for people.
    const NAME: &'static str;
    /// Its name in the outbox.
    const KEY: &'static str;

    /// Connects and makes sure that the service can be used.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, Failure>> + Send;

    /// One round trip.
    fn check(&self, connection: &Self::Connection) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Carries out operations that have waited, in order. It may be called again with the same ones, and must then carry out
    /// only those that were not.
    fn write_back(
        &self,
        connection: &Self::Connection,
        entries: &[OutboxEntry],
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Why an operation did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The service is gone, or not able to work; what it said, without credentials.
    Unavailable(String),
    /// There was no answer in time. It may lie with this operation alone: the keeper finds out.
    Timeout(String),
    /// The service works, but does not take this operation.
    Rejected(Error),
    /// The service must not be used: its schema is not ours.
    IncompatibleSchema(String),
}

impl Failure {
    /// What went wrong, for the log and for a status.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Unavailable(text) | Self::Timeout(text) | Self::IncompatibleSchema(text) => text.clone(),
            Self::Rejected(error) => error.to_string(),
        }
    }
}

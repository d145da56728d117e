//! Services outside this process that may be slow or gone: Redis and Postgres.
//!
//! [`Link`] holds the connection to one of them and is what a store asks first: [`Link::route`] gives either the connection,
//! or a place in the journal of the embedded database, where an operation waits until the service is back. `keeper`
//! connects, watches and writes back in the background, so that no request ever waits for a connection. To add a service:
//! implement [`Backend`], and dispatch to it in a store.

mod journal;
mod keeper;
mod link;

pub(super) use journal::{Entry, Journal};
pub use link::BackendStatus;
pub(super) use link::{Lease, Link, Route};

use std::time::Duration;

use crate::kernel::Error;

/// Operations that are written back in one go, at most.
pub(super) const PAGE: usize = 200;
/// Bytes that are written back in one go, unless a single operation has more. Connection and allocator keep what that took.
pub(super) const PAGE_BYTES: usize = 250_000;
/// Bytes that a service takes per millisecond even on a bad day.
const BYTES_PER_MS: usize = 5_000;

/// `limit`, and the time that sending so many bytes may take.
pub(super) fn allowance(limit: Duration, bytes: usize) -> Duration {
    limit.saturating_add(Duration::from_millis(u64::try_from(bytes / BYTES_PER_MS).unwrap_or(u64::MAX)))
}

/// A service: Redis or Postgres.
pub(super) trait Backend: Clone + Send + Sync + 'static {
    /// What operations are carried out with.
    type Connection: Clone + Send + Sync + 'static;

    /// Its name for people.
    const NAME: &'static str;
    /// Its name in the journal.
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
        entries: &[Entry],
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Why an operation did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The service is gone, or not able to work; what it said, without credentials.
    Unusable(String),
    /// There was no answer in time. It may lie with this operation alone: the keeper finds out.
    Slow(String),
    /// The service works, but does not take this operation.
    Refused(Error),
    /// The service must not be used: its schema is not ours.
    Foreign(String),
}

impl Failure {
    /// What went wrong, for the log and for a status.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Unusable(text) | Self::Slow(text) | Self::Foreign(text) => text.clone(),
            Self::Refused(error) => error.to_string(),
        }
    }
}

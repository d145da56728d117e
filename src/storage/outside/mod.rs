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

use crate::kernel::Error;

/// Operations that are written back in one go.
pub(super) const PAGE: usize = 200;

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
    /// The service is slow, gone, or not able to work; what it said, without credentials.
    Unusable(String),
    /// The service works, but does not take this operation.
    Refused(Error),
    /// The service must not be used: its schema is not ours.
    Foreign(String),
}

impl Failure {
    /// What went wrong, for the log and for a status.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Unusable(text) | Self::Foreign(text) => text.clone(),
            Self::Refused(error) => error.to_string(),
        }
    }
}

use std::time::Duration;

use super::outbox::OutboxEntry;
use crate::kernel::{Error, Redaction};

/// Bytes that a service takes per millisecond even on a bad day.
const BYTES_PER_MS: usize = 5_000;

/// `limit`, and the time that sending so many bytes may take.
pub(crate) fn timeout_for(limit: Duration, bytes: usize) -> Duration {
    limit.saturating_add(Duration::from_millis(u64::try_from(bytes / BYTES_PER_MS).unwrap_or(u64::MAX)))
}

/// A service: Redis or Postgres.
pub(crate) trait RemoteBackend: Clone + Send + Sync + 'static {
    /// What operations are carried out with.
    type Connection: Clone + Send + Sync + 'static;

    /// Its name for people.
    const NAME: &'static str;
    /// Its name in the outbox.
    const KEY: &'static str;
    /// The name of the task that reconnects.
    const TASK: &'static str;
    /// How long a request waits for it.
    const REQUEST_TIMEOUT: Duration;
    /// How long a sign of life may take before the service counts as away.
    const CHECK_TIMEOUT: Duration;

    /// Connects and makes sure that the service can be used.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, Failure>> + Send;

    /// One round trip, and how long it took.
    fn ping(
        &self,
        connection: &Self::Connection,
        limit: Duration,
    ) -> impl Future<Output = Result<Duration, Failure>> + Send;

    /// Carries out queued operations, in order. It may be called again with the same ones, and must then carry out only those
    /// that were not.
    fn write_back(
        &self,
        connection: &Self::Connection,
        entries: &[OutboxEntry],
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The service is gone, or not able to work; what it said, without credentials.
    #[error("{0}")]
    Unavailable(String),
    /// No answer in time. That may lie with this operation alone: the reconnect task finds out.
    #[error("{0}")]
    Timeout(String),
    /// The service works, but does not take this operation; or the embedded store failed, which is no fault of the service.
    #[error(transparent)]
    Rejected(#[from] Error),
    /// The service must not be used: its schema is not ours.
    #[error("{0}")]
    IncompatibleSchema(String),
}

impl Failure {
    /// The failure with what a connection has said of credentials masked.
    pub(crate) fn masked(self, redaction: &Redaction) -> Self {
        match self {
            Self::Unavailable(text) => Self::Unavailable(redaction.text(&text)),
            failure => failure,
        }
    }
}

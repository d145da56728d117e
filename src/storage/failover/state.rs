use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, RwLock, RwLockWriteGuard};

use super::outbox::{Outbox, OutboxTicket};
use super::remote::{Failure, RemoteBackend};
use crate::kernel::{Clock, Error};
use crate::storage::sqlite::Database;

/// How a remote service is doing. Known without asking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendStatus {
    /// Whether it is in use; if not, the embedded store stands in for it.
    pub connected: bool,
    /// Since when that is so, in milliseconds since 1970.
    pub since_ms: i64,
    /// What went wrong last, without credentials.
    pub last_error: Option<String>,
    /// Operations that wait to be written back.
    pub pending: u64,
    /// Operations and attempts to connect that have failed since the start.
    pub failures: u64,
}

/// The connection to a service, and what to do without it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Failover<B: RemoteBackend> {
    pub(super) backend: B,
    pub(crate) outbox: Outbox,
    clock: Clock,
    state: Arc<Mutex<FailoverState<B::Connection>>>,
    /// Read while an operation is put into the outbox, written while the last ones are taken out.
    pub(super) queue: Arc<RwLock<()>>,
    /// Tells the reconnect task that there is something to do, or to look at.
    wake: Arc<Notify>,
}

struct FailoverState<C> {
    connection: Option<C>,
    /// Counts connections, so that the late failure of an old one is not taken for one of the present one.
    generation: u64,
    status: BackendStatus,
    /// Whether the log has said that the service can't be used.
    outage_logged: bool,
}

/// A connection to carry out one operation with.
pub(super) struct Handle<C> {
    pub(super) connection: C,
    generation: u64,
}

impl<B: RemoteBackend> fmt::Debug for Failover<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failover").field("name", &B::NAME).field("status", &self.status()).finish_non_exhaustive()
    }
}

impl<B: RemoteBackend> Failover<B> {
    /// One that has no connection yet.
    pub(crate) async fn new(backend: B, database: Database, clock: Clock) -> Result<Self, Error> {
        let outbox = Outbox::open(database, B::KEY).await?;
        let status =
            BackendStatus { connected: false, since_ms: clock.now_ms(), last_error: None, pending: 0, failures: 0 };
        let state = FailoverState { connection: None, generation: 0, status, outage_logged: false };
        let state = Arc::new(Mutex::new(state));
        Ok(Self { backend, outbox, clock, state, queue: Arc::default(), wake: Arc::default() })
    }

    /// What connects to the service.
    pub(crate) fn backend(&self) -> &B {
        &self.backend
    }

    /// How the service is doing.
    pub(crate) fn status(&self) -> BackendStatus {
        BackendStatus { pending: self.outbox.pending(), ..self.state.lock().status.clone() }
    }

    /// The connection, if the service is in use.
    pub(crate) fn connection(&self) -> Option<B::Connection> {
        self.state.lock().connection.clone()
    }

    /// A round trip, and how long it took; or why there was none.
    pub(crate) async fn ping(&self) -> Result<Duration, String> {
        let Some(connection) = self.connection() else {
            let why = self.status().last_error;
            let why = why.unwrap_or_else(|| "what has waited for it is being written back".to_owned());
            return Err(format!("{} is not in use: {why}", B::NAME));
        };
        self.backend.ping(&connection, B::REQUEST_TIMEOUT).await.map_err(|failure| failure.to_string())
    }

    pub(super) fn handle(&self) -> Option<Handle<B::Connection>> {
        let state = self.state.lock();
        state.connection.clone().map(|connection| Handle { connection, generation: state.generation })
    }

    /// The service failed. Nobody else tries it until the reconnect task has.
    pub(super) fn mark_failed(&self, handle: &Handle<B::Connection>, failure: &Failure) {
        let text = failure.to_string();
        let mut state = self.count_failure(text.clone());
        if state.generation == handle.generation && state.connection.is_some() {
            self.drop_connection(&mut state);
            state.outage_logged = true;
            drop(state);
            tracing::warn!(error = text, "{} does not answer; the embedded store stands in for it", B::NAME);
        }
    }

    /// Counts a failure of the service; after a timeout the others go on, and the reconnect task has a look. A rejection is the
    /// caller's error.
    pub(super) fn report_failure(&self, handle: &Handle<B::Connection>, failure: Failure) -> Result<(), Error> {
        match failure {
            Failure::Rejected(error) => return Err(error),
            Failure::Timeout(text) => {
                drop(self.count_failure(text));
                self.wake.notify_one();
            }
            failure => self.mark_failed(handle, &failure),
        }
        Ok(())
    }

    /// Gives up the oldest operations beyond the newest ones with `max_bytes` bytes: an outage may last longer than there is room
    /// for. Returns how many those were.
    pub(crate) async fn trim_outbox(&self, max_bytes: i64) -> Result<u64, Error> {
        let given_up = self.outbox.trim_to(max_bytes).await?;
        if given_up > 0 {
            self.outbox.removed(given_up);
            tracing::error!(operations = given_up, "too much waits for {}; the oldest is given up", B::NAME);
        }
        Ok(given_up)
    }

    /// Goes without the connection until the outbox is empty. Says nothing: the service has not failed.
    pub(crate) fn mark_down(&self) {
        let mut state = self.state.lock();
        if state.connection.is_some() {
            state.status.last_error = None;
            self.drop_connection(&mut state);
        }
    }

    fn drop_connection(&self, state: &mut FailoverState<B::Connection>) {
        state.connection = None;
        state.status.connected = false;
        state.status.since_ms = self.clock.now_ms();
        self.wake.notify_one();
    }

    /// Waits until there is no connection or doubt about it, at most this long. Returns whether there is none.
    pub(super) async fn wait_until_down(&self, timeout: Duration) -> bool {
        // A notification may be left from a time that is over, so the state decides.
        if self.state.lock().connection.is_some() {
            drop(tokio::time::timeout(timeout, self.wake.notified()).await);
        }
        self.state.lock().connection.is_none()
    }

    /// A place in the outbox.
    pub(super) async fn ticket(&self) -> OutboxTicket {
        OutboxTicket::new(&self.outbox, self.queue.clone().read_owned().await)
    }

    /// The service is in use from now on. The outbox is empty, and the guard keeps it so.
    pub(super) fn mark_up(&self, connection: B::Connection, written_back: usize, _blocked: RwLockWriteGuard<'_, ()>) {
        let mut state = self.state.lock();
        let now = self.clock.now_ms();
        self.outbox.removed(u64::MAX);
        let is_first = state.generation == 0;
        let seconds = now.saturating_sub(state.status.since_ms) / 1000;
        let is_news = is_first || state.outage_logged;
        state.outage_logged = false;
        state.generation += 1;
        state.connection = Some(connection);
        state.status.connected = true;
        state.status.since_ms = now;
        drop(state);
        if is_news {
            tracing::info!(written_back, seconds, "{} {}", B::NAME, if is_first { "is in use" } else { "is back" });
        }
    }

    /// An attempt to connect has failed; the log is told of the first.
    pub(super) fn connect_failed(&self, failure: &Failure) {
        let text = failure.to_string();
        let mut state = self.count_failure(text.clone());
        if !state.outage_logged {
            state.outage_logged = true;
            drop(state);
            tracing::warn!(error = text, "{} can't be used; the embedded store stands in for it", B::NAME);
        }
    }

    fn count_failure(&self, text: String) -> MutexGuard<'_, FailoverState<B::Connection>> {
        let mut state = self.state.lock();
        state.status.failures += 1;
        state.status.last_error = Some(text);
        state
    }
}

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedRwLockReadGuard, RwLock, RwLockWriteGuard};

use super::{Backend, Failure, Journal};
use crate::kernel::{Clock, Error};

/// How an outside service is doing. Known without asking it.
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
pub(in crate::storage) struct Link<B: Backend> {
    backend: B,
    journal: Journal,
    clock: Clock,
    shared: Arc<Shared<B::Connection>>,
}

struct Shared<C> {
    state: Mutex<State<C>>,
    /// Read while an operation is put into the journal, written while the last ones are taken out.
    queue: Arc<RwLock<()>>,
    /// Tells the keeper that there is something to do, or to look at.
    wake: Notify,
}

struct State<C> {
    connection: Option<C>,
    /// Counts connections, so that the late failure of an old one is not taken for one of the present one.
    nth: u64,
    status: BackendStatus,
    /// Whether the log has said that the service can't be used.
    told: bool,
}

/// A connection to carry out one operation with.
pub(in crate::storage) struct Lease<C> {
    pub(in crate::storage) connection: C,
    nth: u64,
}

/// A place in the journal: as long as it is held, the service does not return.
pub(in crate::storage) type Queue = OwnedRwLockReadGuard<()>;

/// Where an operation goes.
pub(in crate::storage) enum Route<C> {
    /// To the service.
    Service(Lease<C>),
    /// To the embedded store and the journal.
    Journal(Queue),
}

impl<B: Backend> Clone for Link<B> {
    fn clone(&self) -> Self {
        let Self { backend, journal, clock, shared } = self;
        Self { backend: backend.clone(), journal: journal.clone(), clock: clock.clone(), shared: shared.clone() }
    }
}

impl<B: Backend> fmt::Debug for Link<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("name", &B::NAME).field("status", &self.status()).finish_non_exhaustive()
    }
}

impl<B: Backend> Link<B> {
    /// A link that has no connection yet.
    pub(in crate::storage) async fn new(backend: B, journal: Journal, clock: Clock) -> Result<Self, Error> {
        let pending = journal.count().await?;
        let status =
            BackendStatus { connected: false, since_ms: clock.now_ms(), last_error: None, pending, failures: 0 };
        let state = Mutex::new(State { connection: None, nth: 0, status, told: false });
        let shared = Arc::new(Shared { state, queue: Arc::default(), wake: Notify::new() });
        Ok(Self { backend, journal, clock, shared })
    }

    pub(in crate::storage) fn backend(&self) -> &B {
        &self.backend
    }

    pub(in crate::storage) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// How the service is doing.
    pub(in crate::storage) fn status(&self) -> BackendStatus {
        self.state().status.clone()
    }

    /// The connection, for reading: if there is none, the embedded store answers.
    pub(in crate::storage) fn lease(&self) -> Option<Lease<B::Connection>> {
        let state = self.state();
        state.connection.clone().map(|connection| Lease { connection, nth: state.nth })
    }

    /// Where to write.
    pub(in crate::storage) async fn route(&self) -> Route<B::Connection> {
        if let Some(lease) = self.lease() {
            return Route::Service(lease);
        }
        let queue = self.shared.queue.clone().read_owned().await;
        match self.lease() {
            Some(lease) => Route::Service(lease),
            None => Route::Journal(queue),
        }
    }

    /// Notes that the service failed. Nobody else will try it until the keeper has.
    pub(in crate::storage) fn failed(&self, lease: &Lease<B::Connection>, failure: &Failure) {
        let mut state = self.state();
        let text = failure.text();
        state.status.failures += 1;
        state.status.last_error = Some(text.clone());
        if state.nth == lease.nth && state.connection.is_some() {
            self.set_down(&mut state);
            state.told = true;
            drop(state);
            tracing::warn!(error = text, "{} does not answer; the embedded store stands in for it", B::NAME);
        }
    }

    /// For reading: a failure of the service is noted, and the embedded store answers; a refusal is the caller's.
    pub(in crate::storage) fn note(&self, lease: &Lease<B::Connection>, failure: Failure) -> Result<(), Error> {
        match failure {
            Failure::Refused(error) => return Err(error),
            Failure::Slow(text) => self.slow(text),
            failure => self.failed(lease, &failure),
        }
        Ok(())
    }

    /// Notes that one operation was not done in time. The others go on; the keeper has a look at the service.
    fn slow(&self, text: String) {
        let mut state = self.state();
        state.status.failures += 1;
        state.status.last_error = Some(text);
        drop(state);
        self.shared.wake.notify_one();
    }

    /// For writing: a failure of the service sends the operation to the journal; a refusal is the caller's. Even if the
    /// service is back already, it is left alone until the operation has been written back.
    pub(in crate::storage) async fn set_aside(
        &self,
        lease: &Lease<B::Connection>,
        failure: Failure,
    ) -> Result<Queue, Error> {
        self.note(lease, failure)?;
        let queue = self.shared.queue.clone().read_owned().await;
        self.lower();
        Ok(queue)
    }

    /// Counts an operation that was put into the journal.
    pub(in crate::storage) fn queued(&self) {
        self.state().status.pending += 1;
    }

    /// Gives up the oldest operations beyond the newest ones with `most` bytes: an outage may last longer than there is room
    /// for. Returns how many those were.
    pub(in crate::storage) async fn limit(&self, most: i64) -> Result<u64, Error> {
        let given_up = self.journal.limit(most).await?;
        if given_up > 0 {
            self.dequeued(given_up);
            tracing::error!(operations = given_up, "too much waits for {}; the oldest is given up", B::NAME);
        }
        Ok(given_up)
    }

    /// Goes without the connection until the journal is empty. Says nothing: the service has not failed.
    pub(super) fn lower(&self) {
        let mut state = self.state();
        if state.connection.is_some() {
            state.status.last_error = None;
            self.set_down(&mut state);
        }
    }

    fn set_down(&self, state: &mut State<B::Connection>) {
        state.connection = None;
        state.status.connected = false;
        state.status.since_ms = self.clock.now_ms();
        self.shared.wake.notify_one();
    }

    /// Waits until there is no connection or doubt about it, at most this long. Returns whether there is none.
    pub(super) async fn until_down(&self, patience: Duration) -> bool {
        // A notification may be left from a time that is over, so the state decides.
        if self.state().connection.is_some() {
            drop(tokio::time::timeout(patience, self.shared.wake.notified()).await);
        }
        self.state().connection.is_none()
    }

    /// Keeps operations out of the journal.
    pub(super) async fn close_queue(&self) -> RwLockWriteGuard<'_, ()> {
        self.shared.queue.write().await
    }

    /// Counts operations that wait no more.
    pub(super) fn dequeued(&self, count: u64) {
        let mut state = self.state();
        state.status.pending = state.status.pending.saturating_sub(count);
    }

    /// The service is in use from now on. The journal is empty, and the guard keeps it so.
    pub(super) fn raise(&self, connection: B::Connection, written_back: usize, _closed: RwLockWriteGuard<'_, ()>) {
        let mut state = self.state();
        let now = self.clock.now_ms();
        state.status.pending = 0;
        let first = state.nth == 0;
        let seconds = now.saturating_sub(state.status.since_ms) / 1000;
        let tells = first || state.told;
        state.told = false;
        state.nth += 1;
        state.connection = Some(connection);
        state.status.connected = true;
        state.status.since_ms = now;
        drop(state);
        if tells {
            tracing::info!(written_back, seconds, "{} {}", B::NAME, if first { "is in use" } else { "is back" });
        }
    }

    /// Notes an attempt to connect that failed; the log is told of the first.
    pub(in crate::storage) fn attempt_failed(&self, failure: &Failure) {
        let mut state = self.state();
        let text = failure.text();
        state.status.failures += 1;
        state.status.last_error = Some(text.clone());
        if !state.told {
            state.told = true;
            drop(state);
            tracing::warn!(error = text, "{} can't be used; the embedded store stands in for it", B::NAME);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<B::Connection>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

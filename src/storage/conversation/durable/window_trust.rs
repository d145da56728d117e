use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Whether windows in Redis can be read: only in a run of Redis in which all that are out of date were dropped. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(in crate::storage) struct WindowTrust(Arc<TrustState>);

#[derive(Debug, Default)]
struct TrustState {
    run: Mutex<RedisRun>,
    /// Whether Postgres has what Redis had before.
    has_adopted: AtomicBool,
    wake: Notify,
}

/// The name of all runs of a Redis that does not say.
const UNNAMED: &str = "-";

#[derive(Clone, Debug, Default)]
struct RedisRun {
    /// What Redis calls its run.
    name: Arc<str>,
    /// Counts connections.
    connections: u64,
    is_trusted: bool,
}

/// A run that was seen, and at which connection.
#[derive(Debug)]
pub(super) struct SeenRun {
    pub(super) name: Arc<str>,
    connections: u64,
}

impl WindowTrust {
    /// Redis was connected to, in this run.
    pub(in crate::storage) fn connected(&self, run: &str) {
        let mut state = self.0.run.lock();
        let name = if run.is_empty() { UNNAMED } else { run };
        *state = RedisRun { name: name.into(), connections: state.connections + 1, is_trusted: false };
        drop(state);
        self.wake();
    }

    /// The run, if its windows can be read.
    pub(super) fn run(&self) -> Option<Arc<str>> {
        let state = self.0.run.lock();
        state.is_trusted.then(|| state.name.clone())
    }

    /// The run, whether or not.
    pub(super) fn seen(&self) -> SeenRun {
        let state = self.0.run.lock();
        SeenRun { name: state.name.clone(), connections: state.connections }
    }

    /// Whether this may be another run of Redis than the one before, under the same name, of which nothing was dropped yet.
    pub(super) fn is_doubtful(&self, seen: &SeenRun) -> bool {
        &*seen.name == UNNAMED && self.run().is_none()
    }

    /// What was out of date in this run was dropped.
    pub(super) fn trust(&self, seen: &SeenRun) {
        let mut state = self.0.run.lock();
        if state.connections == seen.connections {
            state.is_trusted = true;
        }
    }

    /// Postgres has what Redis had from before Postgres was used.
    pub(super) fn adopted(&self) {
        self.0.has_adopted.store(true, Ordering::Release);
    }

    /// Whether that is so.
    pub(super) fn has_adopted(&self) -> bool {
        self.0.has_adopted.load(Ordering::Acquire)
    }

    /// There is something to drop.
    pub(super) fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Waits until there is.
    pub(super) async fn woken(&self) {
        self.0.wake.notified().await;
    }
}

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::chat::StartedChat;
use crate::kernel::{Error, ErrorKind, count_panics};
use crate::telemetry;

/// Executions that run at once.
const MAX_RUNS: usize = 8;

/// Executions that nobody waits for, and how to stop each. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct BackgroundRuns {
    places: Arc<Semaphore>,
    running: Arc<Mutex<HashMap<String, CancellationToken>>>,
    tasks: TaskTracker,
}

/// A place for one execution, free again when it is dropped.
pub(super) type RunPlace = OwnedSemaphorePermit;

impl BackgroundRuns {
    pub(super) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_RUNS)), running: Arc::default(), tasks: TaskTracker::new() }
    }

    /// A place, unless all are taken.
    pub(super) fn place(&self) -> Result<RunPlace, Error> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            let text = format!("{MAX_RUNS} executions of this page are running already; stop one, or try again later");
            Error::new(ErrorKind::Busy, text)
        })
    }

    /// Has an execution run until its end or until it is stopped.
    pub(super) fn run(&self, place: RunPlace, started: StartedChat) {
        let StartedChat { execution_id, work } = started;
        let stop = CancellationToken::new();
        self.running.lock().insert(execution_id.clone(), stop.clone());
        let entry = RunEntry { running: self.running.clone(), id: execution_id };
        let run = async move {
            let (_place, _entry) = (place, entry);
            tokio::select! {
                () = stop.cancelled() => {}
                _ = count_panics("topology", work) => {}
            }
        };
        self.tasks.spawn(telemetry::in_timed_context(run));
    }

    /// Stops an execution; false if none of this id is running here.
    pub(super) fn stop(&self, id: &str) -> bool {
        let running = self.running.lock();
        running.get(id).inspect(|stop| stop.cancel()).is_some()
    }

    /// Done when nothing runs any more; nothing should be started meanwhile.
    pub(super) async fn finished(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Stops all that runs, and waits for its end.
    pub(super) async fn close(&self) {
        self.running.lock().values().for_each(CancellationToken::cancel);
        self.finished().await;
    }
}

/// The entry of a running execution, which goes when this does.
struct RunEntry {
    running: Arc<Mutex<HashMap<String, CancellationToken>>>,
    id: String,
}

impl Drop for RunEntry {
    fn drop(&mut self) {
        self.running.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn started(id: &str, work: impl Future<Output = ()> + Send + 'static) -> StartedChat {
        StartedChat { execution_id: id.to_owned(), work: work.boxed() }
    }

    #[tokio::test]
    async fn places_and_entries_are_free_again_however_a_run_ends() {
        let runs = BackgroundRuns::new();
        for n in 0..MAX_RUNS {
            let id = n.to_string();
            runs.run(runs.place().unwrap(), started(&id, std::future::pending()));
        }
        assert_eq!(runs.place().err().map(|error| error.kind()), Some(ErrorKind::Busy));
        assert!(runs.stop("0") && !runs.stop("no such"));
        runs.close().await;
        assert_eq!((runs.places.available_permits(), runs.running.lock().len()), (MAX_RUNS, 0));
        let runs = BackgroundRuns::new();
        runs.run(runs.place().unwrap(), started("a", async {}));
        runs.run(runs.place().unwrap(), started("b", async { panic!("a bug") }));
        runs.finished().await;
        assert_eq!((runs.places.available_permits(), runs.running.lock().len()), (MAX_RUNS, 0));
    }
}

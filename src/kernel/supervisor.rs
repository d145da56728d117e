use std::any::Any;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Backoff;

/// Pauses before a task that has panicked is started again.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
/// A task that ran for this long before it panicked gets the shortest pause again.
const STABLE_AFTER: Duration = Duration::from_secs(60);

/// Panics of each background task since the process was started.
static PANICS: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

/// A supervised background task. Dropping it ends the task.
#[derive(Debug)]
#[must_use = "dropping it ends the task"]
pub struct BackgroundTask {
    _task: AbortOnDropHandle<()>,
}

impl BackgroundTask {
    /// Runs what `start` makes until it is done. If it panics, that is logged and counted under `name`, and `start` makes
    /// another one after a pause.
    pub fn spawn<F>(name: &'static str, mut start: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        PANICS.lock().entry(name).or_default();
        let supervise = async move {
            let mut panics_in_a_row = 0;
            loop {
                let started = Instant::now();
                if count_panics(name, async { start().await }).await.is_some() {
                    return;
                }
                panics_in_a_row = if started.elapsed() < STABLE_AFTER { panics_in_a_row + 1 } else { 1 };
                tokio::time::sleep(BACKOFF.after(panics_in_a_row)).await;
            }
        };
        Self { _task: AbortOnDropHandle::new(tokio::spawn(supervise)) }
    }
}

/// What `work` gives; `None` if it panics, which is logged and counted under `name`. For tasks that can't be repeated, because
/// they own what they work on: whoever uses that finds it closed and makes another.
pub async fn count_panics<T>(name: &'static str, work: impl Future<Output = T>) -> Option<T> {
    PANICS.lock().entry(name).or_default();
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| record(name, &*panic)).ok()
}

/// Runs `work` again and again on the thread at hand, until it is done without a panic.
pub fn supervise_thread(name: &'static str, mut work: impl FnMut()) {
    PANICS.lock().entry(name).or_default();
    while let Err(panic) = catch_unwind(AssertUnwindSafe(&mut work)) {
        record(name, &*panic);
        std::thread::sleep(BACKOFF.after(1));
    }
}

/// The names of all background tasks so far, each with how often it has panicked.
pub fn background_panics() -> BTreeMap<&'static str, u64> {
    PANICS.lock().clone()
}

fn record(task: &'static str, panic: &(dyn Any + Send)) {
    *PANICS.lock().entry(task).or_default() += 1;
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(task, untrusted = text, "a background task has panicked");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_counted_and_starts_again_with_growing_pauses() {
        let starts = Arc::new(AtomicUsize::new(0));
        let counted = starts.clone();
        let task = BackgroundTask::spawn("supervisor-test", move || {
            let nth = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(nth >= 3, "start {nth} fails");
                std::future::pending().await
            }
        });
        let begun = Instant::now();
        while starts.load(Ordering::SeqCst) < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(begun.elapsed() >= BACKOFF.after(1) * 7, "{:?}", begun.elapsed());
        assert_eq!(background_panics()["supervisor-test"], 3);
        drop(task);
        tokio::time::sleep(BACKOFF.after(u32::MAX) * 2).await;
        assert_eq!(starts.load(Ordering::SeqCst), 4, "dropping it ends it");
    }

    #[tokio::test]
    async fn work_that_can_not_be_repeated_is_counted_too() {
        assert_eq!(count_panics("once-test", async { 7 }).await, Some(7));
        assert_eq!(count_panics("once-test", async { panic!("a bug") }).await, None::<()>);
        assert_eq!(background_panics()["once-test"], 1);
    }

    #[test]
    fn a_thread_goes_on_after_a_panic() {
        let mut runs = 0;
        supervise_thread("thread-test", || {
            runs += 1;
            assert!(runs > 1, "the first run fails");
        });
        assert_eq!((runs, background_panics()["thread-test"]), (2, 1));
    }
}

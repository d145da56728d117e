use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

tokio::task_local! {
    static STOPWATCH: Stopwatch;
}

/// How long a piece of work waits for others. Waits that overlap count once. Cheap to clone; clones share the time.
#[derive(Clone, Debug, Default)]
pub struct Stopwatch(Arc<Mutex<StopwatchState>>);

#[derive(Debug, Default)]
struct StopwatchState {
    /// Waits under way, and since when there are any.
    waits: usize,
    since: Option<Instant>,
    total: Duration,
}

/// A wait under way. It ends when this is dropped.
#[derive(Debug)]
pub struct WaitGuard(Stopwatch);

impl Stopwatch {
    /// Runs `work`, whose waits count here.
    pub async fn time<F: Future>(self, work: F) -> F::Output {
        STOPWATCH.scope(self, work).await
    }

    /// Begins a wait of the work at hand, if anybody counts.
    pub fn wait() -> Option<WaitGuard> {
        let stopwatch = STOPWATCH.try_with(Clone::clone).ok()?;
        let mut run = stopwatch.0.lock();
        run.waits += 1;
        run.since.get_or_insert_with(Instant::now);
        drop(run);
        Some(WaitGuard(stopwatch))
    }

    /// The time waited so far.
    pub fn waited(&self) -> Duration {
        let run = self.0.lock();
        run.total + run.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let mut run = self.0.0.lock();
        run.waits = run.waits.saturating_sub(1);
        if run.waits == 0
            && let Some(since) = run.since.take()
        {
            run.total += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_that_overlap_count_once() {
        assert!(Stopwatch::wait().is_none(), "nobody counts here");
        let stopwatch = Stopwatch::default();
        let wait = async |seconds| {
            let _wait = Stopwatch::wait();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        };
        let work = async {
            tokio::join!(wait(2), wait(5), wait(3));
            tokio::time::sleep(Duration::from_secs(10)).await;
            wait(1).await;
        };
        stopwatch.clone().time(work).await;
        assert_eq!(stopwatch.waited(), Duration::from_secs(6));
    }
}

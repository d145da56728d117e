use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// Time after which a connection that nobody uses is closed, and a process behind it ended.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// Number of users of a connection, and when the last one began or left.
#[derive(Debug)]
pub(super) struct UsageTracker(Mutex<(usize, Instant)>);

/// One use of a connection.
pub(super) struct UsageGuard<'a>(&'a UsageTracker);

impl UsageTracker {
    pub(super) fn new() -> Self {
        Self(Mutex::new((0, Instant::now())))
    }

    pub(super) fn start(&self) -> UsageGuard<'_> {
        self.0.lock().0 += 1;
        UsageGuard(self)
    }

    /// Waits until nobody has used the connection for long.
    pub(super) async fn wait_idle(&self) {
        loop {
            let (users, last) = *self.0.lock();
            if users == 0 && last.elapsed() >= IDLE_TIMEOUT {
                return;
            }
            sleep_until((last + IDLE_TIMEOUT).max(Instant::now() + Duration::from_secs(1))).await;
        }
    }
}

impl Drop for UsageGuard<'_> {
    fn drop(&mut self) {
        let mut usage = self.0.0.lock();
        *usage = (usage.0.saturating_sub(1), Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_only_after_its_last_user_has_left() {
        let usage = UsageTracker::new();
        let started = Instant::now();
        let user = usage.start();
        assert!(timeout(3 * IDLE_TIMEOUT, usage.wait_idle()).await.is_err());
        drop(user);
        usage.wait_idle().await;
        assert!(started.elapsed() >= 4 * IDLE_TIMEOUT, "{:?}", started.elapsed());
        assert!(started.elapsed() < 5 * IDLE_TIMEOUT, "{:?}", started.elapsed());
    }
}

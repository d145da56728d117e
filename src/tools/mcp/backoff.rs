use std::time::Duration;

use tokio::time::Instant;

use crate::kernel::Backoff;

/// How long a server that can't be connected to is left alone.
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(60));

/// How often in a row no connection came about, and until when that is believed to go on.
#[derive(Debug, Default)]
pub(super) struct ConnectBackoff {
    failures: u32,
    until: Option<Instant>,
}

impl ConnectBackoff {
    /// Notes what came of an attempt to connect.
    pub(super) fn record(&mut self, failed: bool, now: Instant) {
        *self = if failed {
            let failures = self.failures.saturating_add(1);
            Self { failures, until: Some(now + BACKOFF.after(failures)) }
        } else {
            Self::default()
        };
    }

    /// Lets the next attempt be made at once. Should it fail too, the rest after it is as long as if there had been none.
    pub(super) fn allow_now(&mut self) {
        self.until = None;
    }

    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds after `now` at which the rest is over.
    fn length(backoff: &ConnectBackoff, now: Instant) -> u64 {
        (0..1000).find(|seconds| backoff.is_ready(now + Duration::from_secs(*seconds))).unwrap()
    }

    #[test]
    fn the_rest_doubles_with_each_failure_up_to_a_minute_until_a_connection_comes_about() {
        let (mut backoff, now) = (ConnectBackoff::default(), Instant::now());
        assert_eq!(length(&backoff, now), 0);
        let lengths = [(); 7].map(|()| {
            backoff.record(true, now);
            length(&backoff, now)
        });
        assert_eq!(lengths, [5, 10, 20, 40, 60, 60, 60]);
        backoff.failures = u32::MAX;
        backoff.record(true, now);
        assert_eq!(length(&backoff, now), 60);
        backoff.record(false, now);
        assert_eq!(length(&backoff, now), 0);
        backoff.record(true, now);
        assert_eq!(length(&backoff, now), 5);
    }

    #[test]
    fn an_interrupted_rest_goes_on_where_it_was_if_the_next_attempt_fails_too() {
        let (mut backoff, now) = (ConnectBackoff::default(), Instant::now());
        backoff.record(true, now);
        backoff.record(true, now);
        backoff.allow_now();
        assert_eq!(length(&backoff, now), 0);
        backoff.record(true, now);
        assert_eq!(length(&backoff, now), 20);
    }
}

use std::time::Duration;

use tokio::time::Instant;

/// How long a server that can't be connected to is left alone: at first, and at most. The time doubles with each failure.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

/// How often in a row no connection came about, and until when that is believed to go on.
#[derive(Debug, Default)]
pub(super) struct Rest {
    failures: u32,
    until: Option<Instant>,
}

impl Rest {
    /// Notes what came of an attempt to connect.
    pub(super) fn note(&mut self, failed: bool, now: Instant) {
        *self = if failed {
            let rest = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
            Self { failures: self.failures.saturating_add(1), until: Some(now + rest) }
        } else {
            Self::default()
        };
    }

    /// Lets the next attempt be made at once. Should it fail too, the rest after it is as long as if there had been none.
    pub(super) fn interrupt(&mut self) {
        self.until = None;
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds after `now` at which the rest is over.
    fn length(rest: &Rest, now: Instant) -> u64 {
        (0..1000).find(|seconds| rest.is_over(now + Duration::from_secs(*seconds))).unwrap()
    }

    #[test]
    fn the_rest_doubles_with_each_failure_up_to_a_minute_until_a_connection_comes_about() {
        let (mut rest, now) = (Rest::default(), Instant::now());
        assert_eq!(length(&rest, now), 0);
        let lengths = [(); 7].map(|()| {
            rest.note(true, now);
            length(&rest, now)
        });
        assert_eq!(lengths, [5, 10, 20, 40, 60, 60, 60]);
        rest.failures = u32::MAX;
        rest.note(true, now);
        assert_eq!(length(&rest, now), 60);
        rest.note(false, now);
        assert_eq!(length(&rest, now), 0);
        rest.note(true, now);
        assert_eq!(length(&rest, now), 5);
    }

    #[test]
    fn an_interrupted_rest_goes_on_where_it_was_if_the_next_attempt_fails_too() {
        let (mut rest, now) = (Rest::default(), Instant::now());
        rest.note(true, now);
        rest.note(true, now);
        rest.interrupt();
        assert_eq!(length(&rest, now), 0);
        rest.note(true, now);
        assert_eq!(length(&rest, now), 20);
    }
}

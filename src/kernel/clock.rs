use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// Wall-clock time. Everything that stores or compares a time asks this, so that a test can move time by hand.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual_ms: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands at `start_ms` (milliseconds since 1970) until [`Clock::advance`] moves it.
    pub fn manual(start_ms: i64) -> Self {
        Self { manual_ms: Some(Arc::new(AtomicI64::new(start_ms))) }
    }

    /// Moves a manual clock forward; the system clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Some(ms) = &self.manual_ms {
            ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Milliseconds since 1970 (UTC).
    pub fn now_ms(&self) -> i64 {
        match &self.manual_ms {
            Some(ms) => ms.load(Ordering::SeqCst),
            None => system_now().as_millisecond(),
        }
    }

    /// Milliseconds since 1970 as RFC 3339 with `Z` and always three decimals, so that texts sort as times do; out-of-range
    /// values become the nearest end of the range.
    pub fn rfc3339(ms: i64) -> String {
        let fallback = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
        format!("{:.3}", Timestamp::from_millisecond(ms).unwrap_or(fallback))
    }

    /// The milliseconds since 1970 of a time as RFC 3339 writes it. One without an offset is taken as UTC.
    pub fn parse(text: &str) -> Option<i64> {
        let parsed = text.parse::<Timestamp>().or_else(|_| format!("{text}Z").parse());
        parsed.ok().map(Timestamp::as_millisecond)
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
fn system_now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(1_000);
        assert_eq!(clock.now_ms(), 1_000);
        clock.clone().advance(Duration::from_secs(2));
        assert_eq!(clock.now_ms(), 3_000);
        assert_eq!(Clock::rfc3339(clock.now_ms()), "1970-01-01T00:00:03.000Z");
        for same in ["1970-01-01T00:00:03Z", "1970-01-01T00:00:03.000", "1970-01-01T01:00:03+01:00"] {
            assert_eq!(Clock::parse(same), Some(3_000), "{same}");
        }
        assert_eq!(Clock::parse("yesterday"), None);
    }
}

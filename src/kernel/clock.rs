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
        if let Some(text) = rfc3339_of_unix(ms) {
            return text;
        }
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

/// [`Clock::rfc3339`] of the years 1970 to 9999, of which every line of the log has one.
fn rfc3339_of_unix(ms: i64) -> Option<String> {
    const DAY_MS: u64 = 86_400_000;
    let ms = u64::try_from(ms).ok().filter(|ms| *ms < 253_402_300_800_000)?;
    let (year, month, day) = date_of_day(ms / DAY_MS);
    let (seconds, millis) = (ms % DAY_MS / 1000, ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let numbers = [(year, 4), (month, 2), (day, 2), (hour, 2), (minute, 2), (second, 2), (millis, 3)];
    let mut text = String::with_capacity(24);
    for ((number, digits), end) in numbers.into_iter().zip("--T::.Z".chars()) {
        let digit = |place: u32| b'0' + (number / 10_u64.pow(place) % 10) as u8;
        text.extend((0..digits).rev().map(|place| char::from(digit(place))));
        text.push(end);
    }
    Some(text)
}

/// Year, month and day of the Gregorian calendar, by the days since 1970. Years are counted from March, so that a leap day is the
/// last of its year (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn date_of_day(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, of_year - (153 * march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_are_written_as_jiff_writes_them(ms in 0_i64..253_402_300_800_000) {
            prop_assert_eq!(Clock::rfc3339(ms), format!("{:.3}", Timestamp::from_millisecond(ms).unwrap()));
        }
    }

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

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::subject::LimitSubject;
use crate::settings::LimitKind;
use crate::storage::{LimitCounter, PreviousWindow};

const MINUTE_MS: i64 = 60_000;

/// The time that a limit is about, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LimitWindow {
    /// What was used in it; `None` where only what is in use counts.
    pub(super) counter: Option<LimitCounter>,
    /// How long it takes.
    pub(super) length: Option<Duration>,
    /// What is left of it.
    pub(super) rest: Duration,
    /// When it ends, in milliseconds since 1970.
    pub(super) ends_ms: Option<i64>,
}

impl LimitWindow {
    pub(super) fn new(kind: LimitKind, subject: &LimitSubject, now_ms: i64) -> Self {
        match kind {
            LimitKind::ConcurrentChats => Self { counter: None, length: None, rest: Duration::ZERO, ends_ms: None },
            LimitKind::RequestsPerMinute => Self::of_minute(subject, now_ms),
            LimitKind::TokensPerDay => {
                let day = date_of(now_ms);
                Self::of_dates(subject, "day", day, day.saturating_add(1.day()), now_ms)
            }
            LimitKind::TokensPerMonth => {
                let month = date_of(now_ms).first_of_month();
                Self::of_dates(subject, "month", month, month.saturating_add(1.month()), now_ms)
            }
        }
    }

    /// The last 60 seconds: what came in this minute, and of the minute before as much as still lies in them.
    fn of_minute(subject: &LimitSubject, now_ms: i64) -> Self {
        let minute = now_ms.div_euclid(MINUTE_MS);
        let rest_ms = MINUTE_MS - now_ms.rem_euclid(MINUTE_MS);
        let name = |minute: i64| format!("{subject}:requests:{minute}");
        let permille = rest_ms.unsigned_abs() * 1000 / MINUTE_MS.unsigned_abs();
        let previous = Some(PreviousWindow { name: name(minute - 1), permille });
        let ends_ms = (minute + 2) * MINUTE_MS;
        Self {
            counter: Some(LimitCounter { name: name(minute), previous, ends_ms }),
            length: Some(millis(MINUTE_MS)),
            rest: millis(rest_ms),
            ends_ms: Some(now_ms + rest_ms),
        }
    }

    /// From midnight to midnight, UTC.
    fn of_dates(subject: &LimitSubject, what: &str, from: Date, to: Date, now_ms: i64) -> Self {
        let (begins_ms, ends_ms) = (midnight(from), midnight(to));
        let name = format!("{subject}:tokens:{what}:{from}");
        Self {
            counter: Some(LimitCounter { name, previous: None, ends_ms }),
            length: Some(millis(ends_ms - begins_ms)),
            rest: millis(ends_ms - now_ms),
            ends_ms: Some(ends_ms),
        }
    }
}

fn date_of(now_ms: i64) -> Date {
    Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::MAX).to_zoned(TimeZone::UTC).date()
}

fn midnight(date: Date) -> i64 {
    date.to_zoned(TimeZone::UTC).map_or(i64::MAX, |time| time.timestamp().as_millisecond())
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Clock;

    fn window(kind: LimitKind, at: &str) -> LimitWindow {
        LimitWindow::new(kind, &LimitSubject::User("ada".to_owned()), Clock::parse(at).unwrap())
    }

    #[test]
    fn days_and_months_are_those_of_utc() {
        let day = window(LimitKind::TokensPerDay, "2028-02-29T23:59:59Z");
        let counter = day.counter.unwrap();
        assert_eq!((counter.name.as_str(), counter.previous), ("user:ada:tokens:day:2028-02-29", None));
        assert_eq!((day.rest, day.length), (Duration::from_secs(1), Some(Duration::from_secs(86_400))));
        assert_eq!(Some(counter.ends_ms), Clock::parse("2028-03-01T00:00:00Z"));
        let month = window(LimitKind::TokensPerMonth, "2028-02-29T23:59:59Z");
        assert_eq!(month.counter.unwrap().name, "user:ada:tokens:month:2028-02-01");
        assert_eq!((month.rest, month.length), (Duration::from_secs(1), Some(Duration::from_secs(29 * 86_400))));
    }

    #[test]
    fn of_the_minute_before_counts_what_lies_in_the_last_sixty_seconds() {
        let share = |at| window(LimitKind::RequestsPerMinute, at).counter.unwrap().previous.unwrap().permille;
        assert_eq!(share("2026-12-02T10:00:00Z"), 1000);
        assert_eq!(share("2026-12-02T10:00:45Z"), 250);
        assert_eq!(share("2026-12-02T10:00:59.999Z"), 0);
        let name = |at| window(LimitKind::RequestsPerMinute, at).counter.unwrap().name;
        assert_eq!(name("2026-12-02T10:00:00Z"), name("2026-12-02T10:00:59Z"));
    }
}

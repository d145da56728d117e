//! Days and times of PostgreSQL, which count from 2000-01-01, as text: ISO 8601 as long as a year has four digits, and what PostgreSQL
//! itself writes beyond.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time, date};

use crate::datasources::values::fraction;

const EPOCH: Date = date(2000, 1, 1);
const MICROS_OF_DAY: i64 = 86_400_000_000;

/// What stands behind a moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    None,
    Utc,
}

/// A date that is so many days after the epoch.
pub(super) fn day(days: i32) -> String {
    match days {
        i32::MAX => "infinity".to_owned(),
        i32::MIN => "-infinity".to_owned(),
        days => EPOCH
            .checked_add(SignedDuration::from_secs(i64::from(days) * 86_400))
            .map_or_else(|_| far_day(days.into()), |day| day.to_string()),
    }
}

/// A time of the day.
pub(super) fn time(micros: i64) -> Option<String> {
    // The end of a day is a time there, and none for the library.
    if micros == MICROS_OF_DAY {
        return Some("24:00:00".to_owned());
    }
    Some(Time::midnight().checked_add(SignedDuration::from_micros(micros)).ok()?.to_string())
}

/// A time of the day, so many seconds west of Greenwich.
pub(super) fn time_with_zone(micros: i64, west: i32) -> Option<String> {
    let (time, offset) = (time(micros)?, west.checked_neg()?);
    let (sign, offset) = (if offset < 0 { '-' } else { '+' }, offset.abs());
    Some(format!("{time}{sign}{:02}:{:02}", offset / 3600, offset / 60 % 60))
}

/// A moment that is so many microseconds after the epoch.
pub(super) fn moment(micros: i64, zone: Zone) -> String {
    match micros {
        i64::MAX => "infinity".to_owned(),
        i64::MIN => "-infinity".to_owned(),
        micros => {
            let suffix = if zone == Zone::Utc { "Z" } else { "" };
            let moment = DateTime::from_parts(EPOCH, Time::midnight()).checked_add(SignedDuration::from_micros(micros));
            moment.map_or_else(|_| far_moment(micros, zone), |moment| format!("{moment}{suffix}"))
        }
    }
}

/// A moment in a year of five digits or more, as in `20000-01-01 00:00:00.5+00`.
fn far_moment(micros: i64, zone: Zone) -> String {
    let (day, of_day) = (far_day(micros.div_euclid(MICROS_OF_DAY)), micros.rem_euclid(MICROS_OF_DAY).unsigned_abs());
    let (seconds, decimals) = (of_day / 1_000_000, fraction(of_day % 1_000_000));
    let suffix = if zone == Zone::Utc { "+00" } else { "" };
    let clock = format!("{:02}:{:02}:{:02}{decimals}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{day} {clock}{suffix}")
}

/// A day in such a year. The calendar repeats every 400 years, which makes it one of a year that the library knows.
fn far_day(days: i64) -> String {
    const DAYS_OF_CYCLE: i64 = 146_097;
    let (cycles, rest) = (days.div_euclid(DAYS_OF_CYCLE), days.rem_euclid(DAYS_OF_CYCLE));
    let near = EPOCH.saturating_add(SignedDuration::from_secs(rest * 86_400));
    let year = i64::from(near.year()) + 400 * cycles;
    // There is no year 0: the one before year 1 is 1 BC.
    let (year, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    format!("{year:04}-{:02}-{:02}{era}", near.month(), near.day())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn near_moments_are_iso_8601_and_far_ones_are_as_postgresql_writes_them() {
        for (days, expected) in [
            (0, "2000-01-01"),
            (-1, "1999-12-31"),
            (i32::MAX, "infinity"),
            (2_921_939, "9999-12-31"),
            (2_921_940, "10000-01-01"),
            (6_574_365, "20000-01-01"),
            (2_145_031_948, "5874897-12-31"),
        ] {
            assert_eq!(day(days), expected);
        }
        assert_eq!(moment(1_500_000, Zone::Utc), "2000-01-01T00:00:01.5Z");
        assert_eq!(moment(568_025_136_000_000_000, Zone::Utc), "20000-01-01 00:00:00+00");
        assert_eq!(moment(568_025_136_000_500_000, Zone::None), "20000-01-01 00:00:00.5");
        assert_eq!(moment(9_223_371_331_199_999_999, Zone::None), "294276-12-31 23:59:59.999999");
        assert_eq!(time(MICROS_OF_DAY).unwrap(), "24:00:00");
        assert_eq!(time_with_zone(3_600_000_000, -19_800).unwrap(), "01:00:00+05:30");
    }

    proptest! {
        #[test]
        fn a_day_is_the_same_by_either_way(days in -730_000_i32..2_900_000) {
            prop_assert_eq!(far_day(days.into()), day(days));
        }

        #[test]
        fn any_number_is_a_moment(micros in any::<i64>(), days in any::<i32>()) {
            drop((moment(micros, Zone::Utc), day(days), time(micros), time_with_zone(micros, days)));
        }
    }
}

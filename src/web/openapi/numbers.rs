//! Regular expressions of the numbers in a range, for numbers that come as texts.

use std::ops::RangeInclusive;

/// Matches the whole numbers of `range` as [`crate::kernel::Lenient`] reads them from a text: `5`, `05`, `+5`, `5.0`.
pub(super) fn whole(range: &RangeInclusive<u64>) -> String {
    let minus = if *range.start() == 0 { "|-0+" } else { "" };
    format!(r"^(?:\+?{}{minus})(?:\.0+)?$", digits(range))
}

/// The digits of the numbers of `range`, with or without leading zeros, and without anchors.
pub fn digits(range: &RangeInclusive<u64>) -> String {
    format!("0*(?:{})", between(*range.start(), *range.end()).join("|"))
}

/// Matches the decimal numbers from `tenths` / 10 to `end` as texts, without exponents.
pub(super) fn decimal(tenths: u64, end: u64) -> String {
    let (floor, first) = (tenths / 10, tenths % 10);
    let from = if first == 0 { floor } else { floor + 1 };
    let mut forms = vec![format!(r"0*{end}(?:\.0*)?")];
    if from < end {
        forms.push(format!(r"{}(?:\.[0-9]*)?", digits(&(from..=end - 1))));
    }
    if floor == 0 || first > 0 {
        let floor = if floor == 0 { String::new() } else { floor.to_string() };
        forms.push(format!(r"0*{floor}\.[{first}-9][0-9]*"));
    }
    format!(r"^\s*\+?(?:{})\s*$", forms.join("|"))
}

/// The numbers from `start` to `end`, by their count of digits.
fn between(start: u64, end: u64) -> Vec<String> {
    let mut forms = Vec::new();
    let mut low = start;
    loop {
        let length = low.to_string().len();
        let longest = "9".repeat(length).parse().unwrap_or(u64::MAX);
        let high = end.min(longest);
        forms.extend(same_length(low.to_string().as_bytes(), high.to_string().as_bytes()));
        if high >= end {
            return forms;
        }
        low = high + 1;
    }
}

/// The numbers between two with as many digits.
fn same_length(low: &[u8], high: &[u8]) -> Vec<String> {
    let (Some((first, low)), Some((last, high))) = (low.split_first(), high.split_first()) else {
        return vec![String::new()];
    };
    let after =
        |digit: u8, forms: Vec<String>| forms.into_iter().map(move |rest| format!("{}{rest}", char::from(digit)));
    if first == last {
        return after(*first, same_length(low, high)).collect();
    }
    let (from_zero, to_nine) = (low.iter().all(|digit| *digit == b'0'), high.iter().all(|digit| *digit == b'9'));
    let mut forms = Vec::new();
    if !from_zero {
        forms.extend(after(*first, same_length(low, "9".repeat(low.len()).as_bytes())));
    }
    let (from, to) = (first + u8::from(!from_zero), last - u8::from(!to_nine));
    if from <= to {
        let rest = match low.len() {
            0 => String::new(),
            1 => "[0-9]".to_owned(),
            length => format!("[0-9]{{{length}}}"),
        };
        forms.push(format!("[{}-{}]{rest}", char::from(from), char::from(to)));
    }
    if !to_nine {
        forms.extend(after(*last, same_length("0".repeat(high.len()).as_bytes(), high)));
    }
    forms
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;
    use serde_json::json;

    use super::*;
    use crate::kernel::Lenient;

    proptest! {
        #[test]
        fn a_pattern_holds_the_range_and_no_more(start in 0_u64..3000, length in 0_u64..20_000, n in 0_u64..25_000) {
            let range = start..=start + length;
            let pattern = Regex::new(&whole(&range)).unwrap();
            for edge in [n, start, start + length, start + length + 1, start.saturating_sub(1)] {
                prop_assert_eq!(pattern.is_match(&edge.to_string()), range.contains(&edge), "{} {}", pattern, edge);
            }
        }

        #[test]
        fn a_text_is_in_the_pattern_if_it_is_read_as_a_number_of_the_range(text in r"[+-]?[0-9]{1,3}(\.[0-9]{0,2})?") {
            let range = 0..=70_u64;
            let read = i64::read(&json!(text)).is_ok_and(|number| (0..=70).contains(&number));
            prop_assert_eq!(Regex::new(&whole(&range)).unwrap().is_match(&text), read, "{}", text);
        }

        #[test]
        fn a_text_is_in_the_pattern_if_it_is_read_as_a_decimal_of_the_range(text in r" ?\+?[0-9]{0,2}(\.[0-9]{0,2})? ?") {
            for (tenths, end) in [(0, 2), (1, 36), (15, 20)] {
                let range = tenths as f64 / 10.0..=end as f64;
                let read = f64::read(&json!(text)).is_ok_and(|number| range.contains(&number));
                prop_assert_eq!(Regex::new(&decimal(tenths, end)).unwrap().is_match(&text), read, "{} {:?}", text, range);
            }
        }
    }
}

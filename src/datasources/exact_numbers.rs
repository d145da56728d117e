//! Numbers within a JSON text. A database keeps them exactly, whatever their length; most clients read them as floats of eight bytes.

use std::borrow::Cow;

/// Whole numbers up to here are the same for every client.
const EXACT: u64 = 1 << 53;

/// The JSON text with those numbers as texts that a client would round. Texts in it stay as they are; what is no JSON may become
/// anything that is none either.
pub(super) fn with_exact_numbers(json: &[u8]) -> Cow<'_, [u8]> {
    let mut quoted = Vec::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at = end_of_text(json, at + 1),
            b'-' | b'0'..=b'9' => {
                let end = at + json.iter().skip(at).take_while(|byte| is_of_number(**byte)).count();
                let number = json.get(at..end).unwrap_or_default();
                if !is_exact(number) {
                    quoted.extend_from_slice(json.get(copied..at).unwrap_or_default());
                    quoted.extend([b"\"", number, b"\""].concat());
                    copied = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    quoted.extend_from_slice(json.get(copied..).unwrap_or_default());
    Cow::Owned(quoted)
}

/// Where a text ends whose quote stands before `from`.
fn end_of_text(json: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        match json.get(at) {
            None => return json.len(),
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Whether a client reads exactly this number.
fn is_exact(number: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(number) else { return true };
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits.parse::<u64>().is_ok_and(|number| number <= EXACT);
    }
    match text.parse::<f64>() {
        Ok(float) => float.is_finite() && normalised(text) == normalised(&format!("{float:e}")),
        // Not a number, so the text is no JSON.
        Err(_) => true,
    }
}

/// The digits of a number without zeros at their ends, and the power of ten that the first of them stands for.
fn normalised(number: &str) -> (String, i64) {
    let unsigned = number.trim_start_matches('-');
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, decimals].concat();
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return (String::new(), 0);
    }
    let exponent = exponent.parse::<i64>().unwrap_or(i64::MAX / 2);
    let place = whole.len() as i64 - (digits.len() - significant.len()) as i64;
    (significant.trim_end_matches('0').to_owned(), exponent.saturating_add(place))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn shown(json: &str) -> String {
        String::from_utf8(with_exact_numbers(json.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn numbers_that_a_client_would_round_are_texts_and_no_other() {
        for kept in [
            "9007199254740992",
            "-9007199254740992",
            "[0, -0, 0.0, 1.10, 1e300, 0.1, 0.30000000000000004, 5e-324, 12.50]",
            r#"{"a": "9007199254740993", "9007199254740993": "\\", "b": "x\"9007199254740993"}"#,
            "[true, null, {}]",
            "",
            "-",
            "1.2.3",
        ] {
            assert_eq!(shown(kept), kept);
        }
        for (json, expected) in [
            ("9007199254740993", r#""9007199254740993""#),
            ("[1,-9223372036854775808]", r#"[1,"-9223372036854775808"]"#),
            ("{\"n\":123456789012345678901234567890}", r#"{"n":"123456789012345678901234567890"}"#),
            ("[0.12345678901234567890,2]", r#"["0.12345678901234567890",2]"#),
            ("1e400", r#""1e400""#),
            ("1.0000000000000000001", r#""1.0000000000000000001""#),
        ] {
            assert_eq!(shown(json), expected);
        }
    }

    proptest! {
        #[test]
        fn every_digit_of_a_number_is_kept(whole in "-?(0|[1-9][0-9]{0,30})", decimals in "(\\.[0-9]{1,20})?") {
            let number = whole + &decimals;
            let read: Value = serde_json::from_str(&shown(&format!("[{number}]"))).unwrap();
            let same = match &read[0] {
                Value::String(text) => *text == number,
                other => normalised(&other.to_string()) == normalised(&number),
            };
            prop_assert!(same, "{} as {}", number, read);
        }

        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            drop(with_exact_numbers(&bytes));
        }
    }
}

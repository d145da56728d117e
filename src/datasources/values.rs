//! Cells of a result as JSON, for what drivers and wire formats decode.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::exact_numbers::with_exact_numbers;
use crate::kernel::JsonReader;

/// JSON in a cell, with numbers as [`integer`] and exact decimals have them; that of very many values stays a text.
pub(super) fn json_cell(text: &[u8]) -> Value {
    let read = JsonReader::embedded().read(&with_exact_numbers(text));
    read.unwrap_or_else(|_| String::from_utf8_lossy(text).into())
}

/// An integer: a number where every client reads it exactly, else a text.
pub(super) fn integer(number: i128) -> Value {
    const EXACT: i128 = 1 << 53;
    match i64::try_from(number) {
        Ok(small) if (-EXACT..=EXACT).contains(&number) => small.into(),
        _ => Value::String(number.to_string()),
    }
}

/// A float; what JSON has no number for is a text.
pub(super) fn float(number: f64) -> Value {
    match serde_json::Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => "NaN".into(),
        None if number > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

/// A float of four bytes by its shortest text, not by the one of eight nearest to it.
pub(super) fn short_float(number: f32) -> Value {
    number.to_string().parse::<f64>().map_or(Value::Null, float)
}

/// Bytes as Base64.
pub(super) fn base64_text(bytes: &[u8]) -> Value {
    BASE64.encode(bytes).into()
}

/// UTF-8 as it is, anything else as Base64.
pub(super) fn text_or_base64(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or_else(|_| base64_text(bytes), Value::from)
}

/// The decimals of a second, such as `.5`; nothing for a whole one.
pub(super) fn fraction(micros: u64) -> String {
    if micros == 0 { String::new() } else { format!(".{micros:06}").trim_end_matches('0').to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_that_a_client_would_round_are_texts() {
        assert_eq!(integer(9_007_199_254_740_992), json!(9_007_199_254_740_992_i64));
        assert_eq!(integer(9_007_199_254_740_993), json!("9007199254740993"));
        assert_eq!(integer(i128::from(u64::MAX)), json!("18446744073709551615"));
        assert_eq!((float(0.5), float(f64::NEG_INFINITY)), (json!(0.5), json!("-Infinity")));
    }
}

use serde_json::{Map, Number, Value};

/// A value, or what was expected: (pydantic's error type, sentence).
pub type LenientResult<T> = Result<T, (&'static str, &'static str)>;

/// A type that can be read from JSON as leniently as the original (pydantic's lax mode) did: `"30"` and `2.0` are
/// integers, `"yes"` is a boolean, but a string is only ever a string. Environment variables and query parameters are
/// read by the same rules.
pub trait Lenient: Sized {
    /// Reads the value, or says what was expected.
    fn read(value: &Value) -> LenientResult<Self>;
}

/// Reads one of these words, in any case; `expected` is the sentence for anything else.
pub fn read_word<T: Copy>(text: Option<&str>, words: &[(&str, T)], expected: &'static str) -> LenientResult<T> {
    let found = words.iter().find(|(word, _)| text.is_some_and(|text| word.eq_ignore_ascii_case(text)));
    found.map(|(_, read)| *read).ok_or(("enum", expected))
}

impl Lenient for String {
    fn read(value: &Value) -> LenientResult<Self> {
        value.as_str().map(str::to_owned).ok_or(("string_type", "Input should be a valid string"))
    }
}

impl Lenient for bool {
    fn read(value: &Value) -> LenientResult<Self> {
        const UNCLEAR: (&str, &str) = ("bool_parsing", "Input should be a valid boolean, unable to interpret input");
        match value {
            Value::Bool(b) => Ok(*b),
            Value::Number(n) => match n.as_f64() {
                Some(0.0) => Ok(false),
                Some(1.0) => Ok(true),
                _ => Err(UNCLEAR),
            },
            Value::String(s) => match s.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "y" | "on" | "t" => Ok(true),
                "false" | "0" | "no" | "n" | "off" | "f" => Ok(false),
                _ => Err(UNCLEAR),
            },
            _ => Err(("bool_type", "Input should be a valid boolean")),
        }
    }
}

impl Lenient for i64 {
    fn read(value: &Value) -> LenientResult<Self> {
        match value {
            Value::Bool(b) => Ok(i64::from(*b)),
            Value::Number(n) => whole(n),
            Value::String(s) => parse_int(s)
                .ok_or(("int_parsing", "Input should be a valid integer, unable to parse string as an integer")),
            _ => Err(("int_type", "Input should be a valid integer")),
        }
    }
}

impl Lenient for f64 {
    fn read(value: &Value) -> LenientResult<Self> {
        let number = match value {
            Value::Bool(b) => Some(f64::from(u8::from(*b))),
            Value::Number(n) => n.as_f64(),
            Value::String(s) => {
                let parsed = s.trim().parse::<f64>().ok();
                return parsed
                    .filter(|number| number.is_finite())
                    .ok_or(("float_parsing", "Input should be a valid number, unable to parse string as a number"));
            }
            _ => None,
        };
        number.filter(|number| number.is_finite()).ok_or(("float_type", "Input should be a valid number"))
    }
}

impl Lenient for Map<String, Value> {
    fn read(value: &Value) -> LenientResult<Self> {
        value.as_object().cloned().ok_or(("dict_type", "Input should be a valid dictionary"))
    }
}

/// A list of strings, or one string of comma-separated values.
impl Lenient for Vec<String> {
    fn read(value: &Value) -> LenientResult<Self> {
        const EXPECTED: (&str, &str) =
            ("list_type", "Input should be a list of strings, or one comma-separated string");
        match value {
            Value::String(s) => {
                Ok(s.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
            }
            Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned).ok_or(EXPECTED)).collect(),
            _ => Err(EXPECTED),
        }
    }
}

fn whole(n: &Number) -> LenientResult<i64> {
    if let Some(int) = n.as_i64() {
        return Ok(int);
    }
    match n.as_f64() {
        Some(float) if float.fract() != 0.0 => {
            Err(("int_from_float", "Input should be a valid integer, got a number with a fractional part"))
        }
        Some(float) if float.abs() < 9e18 => Ok(float as i64),
        _ => Err(("int_parsing_size", "Input should be a valid integer, the number is too large")),
    }
}

/// `5`, `05`, `+5`, `1_0` and `5.0` as the original accepted them; not ` 5`, `1e1` or `1.5`.
fn parse_int(text: &str) -> Option<i64> {
    let integral = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    let digits = integral.strip_prefix(['+', '-']).unwrap_or(integral);
    let grouped = digits.split('_').all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()));
    if !grouped {
        return None;
    }
    integral.replace('_', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn integers_are_read_as_the_original_read_them() {
        let accepted = [
            (json!(5), 5),
            (json!("5"), 5),
            (json!("05"), 5),
            (json!("+5"), 5),
            (json!("1_0"), 10),
            (json!("5.0"), 5),
            (json!(2.0), 2),
            (json!(true), 1),
            (json!("-3"), -3),
        ];
        for (value, expected) in accepted {
            assert_eq!(i64::read(&value), Ok(expected), "{value}");
        }
        for value in [json!(""), json!("abc"), json!("1.5"), json!("1e1"), json!(" 5"), json!("1__0"), json!("_1")] {
            assert_eq!(i64::read(&value).map_err(|e| e.0), Err("int_parsing"), "{value}");
        }
        assert_eq!(i64::read(&json!(1.5)).map_err(|e| e.0), Err("int_from_float"));
        assert_eq!(i64::read(&json!(null)).map_err(|e| e.0), Err("int_type"));
        assert_eq!(i64::read(&json!(1e300)).map_err(|e| e.0), Err("int_parsing_size"));
    }

    #[test]
    fn booleans_take_the_words_of_the_original_in_any_case() {
        for word in ["true", "1", "YES", "y", "On", "t"] {
            assert_eq!(bool::read(&json!(word)), Ok(true), "{word}");
        }
        for value in [json!(""), json!("2"), json!("maybe"), json!(" true"), json!(2), json!(null)] {
            assert!(bool::read(&value).is_err(), "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_integer_survives_being_written_as_text(n: i64) {
            prop_assert_eq!(i64::read(&json!(n.to_string())), Ok(n));
            prop_assert_eq!(i64::read(&json!(n)), Ok(n));
        }

        #[test]
        fn reading_never_panics(text in ".*") {
            let value = json!(text);
            drop((i64::read(&value), bool::read(&value), f64::read(&value), Vec::<String>::read(&value)));
        }
    }
}

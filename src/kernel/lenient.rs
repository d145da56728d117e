use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use super::JsonReader;

/// A value, or what was expected: (pydantic's error type, sentence).
pub type LenientResult<T> = Result<T, (&'static str, &'static str)>;

/// A type that can be read from JSON as leniently as the original (pydantic's lax mode) did: `"30"` and `2.0` are
/// integers, `"yes"` is a boolean, but a string is only ever a string. So are environment variables and query parameters.
pub trait Lenient: Sized {
    /// Whether blanks around a text mean something: those around a variable's number or word come from the file that it stands in.
    const KEEPS_BLANKS: bool = false;

    /// Reads the value, or says what was expected.
    fn read(value: &Value) -> LenientResult<Self>;
}

/// Reads one of the words that serde knows of `T`, in any case; `expected` is the sentence for anything else.
pub fn read_word<T: DeserializeOwned>(text: Option<&str>, expected: &'static str) -> LenientResult<T> {
    let word = text.map(|text| Value::String(text.to_ascii_lowercase()));
    word.and_then(|word| T::deserialize(word).ok()).ok_or(("enum", expected))
}

impl Lenient for String {
    const KEEPS_BLANKS: bool = true;

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
            Value::String(s) => parse_int(s),
            _ => Err(("int_type", "Input should be a valid integer")),
        }
    }
}

impl Lenient for f64 {
    fn read(value: &Value) -> LenientResult<Self> {
        const UNCLEAR: (&str, &str) =
            ("float_parsing", "Input should be a valid number, unable to parse string as a number");
        const NO_NUMBER: (&str, &str) = ("float_type", "Input should be a valid number");
        let number: Self = match value {
            Value::Bool(b) => f64::from(u8::from(*b)),
            Value::Number(n) => n.as_f64().ok_or(NO_NUMBER)?,
            Value::String(s) => ungrouped(s.trim()).and_then(|s| s.parse().ok()).ok_or(UNCLEAR)?,
            _ => return Err(NO_NUMBER),
        };
        // The original takes the words `NaN` and `inf` for numbers.
        if number.is_finite() { Ok(number) } else { Err(("finite_number", "Input should be a finite number")) }
    }
}

impl Lenient for Map<String, Value> {
    fn read(value: &Value) -> LenientResult<Self> {
        value.as_object().cloned().ok_or(("dict_type", "Input should be a valid dictionary"))
    }
}

/// A list of strings, or one string that holds them: as a JSON list, which is all that pydantic-settings takes in a variable, or separated
/// by commas, with or without brackets and quotes.
impl Lenient for Vec<String> {
    fn read(value: &Value) -> LenientResult<Self> {
        const EXPECTED: (&str, &str) =
            ("list_type", "Input should be a list of strings, or one comma-separated string");
        match value {
            Value::String(s) => match JsonReader::embedded().read::<Self>(unquoted(s.trim()).as_bytes()) {
                Ok(items) => Ok(items
                    .iter()
                    .map(|item| item.trim())
                    .filter(|item| !item.is_empty())
                    .map(str::to_owned)
                    .collect()),
                Err(_) => Ok(comma_separated(s)),
            },
            Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned).ok_or(EXPECTED)).collect(),
            _ => Err(EXPECTED),
        }
    }
}

fn comma_separated(text: &str) -> Vec<String> {
    let text = unquoted(text.trim());
    // Not the brackets of an IPv6 address that is one of several.
    let inner =
        text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).filter(|inner| !inner.contains(['[', ']']));
    let items = inner.unwrap_or(text).split(',').map(|item| unquoted(item.trim()).trim());
    items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// The text without a pair of quotes around it.
fn unquoted(text: &str) -> &str {
    let between = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote).filter(|text| !text.contains(quote));
    between('"').or_else(|| between('\'')).unwrap_or(text)
}

fn whole(n: &Number) -> LenientResult<i64> {
    match (n.as_i64(), n.as_f64()) {
        (Some(int), _) => Ok(int),
        (None, Some(float)) if float.fract() != 0.0 => {
            Err(("int_from_float", "Input should be a valid integer, got a number with a fractional part"))
        }
        (None, Some(float)) if float.abs() < 9e18 => Ok(float as i64),
        _ => Err(TOO_LARGE),
    }
}

/// The original has integers of any size.
const TOO_LARGE: (&str, &str) = ("int_parsing_size", "Input should be a valid integer, the number is too large");

/// `5`, `05`, `+5`, `1_0` and `5.0` as the original accepted them; not ` 5`, `1e1` or `1.5`.
fn parse_int(text: &str) -> LenientResult<i64> {
    const UNCLEAR: (&str, &str) =
        ("int_parsing", "Input should be a valid integer, unable to parse string as an integer");
    let integral = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
        Some(_) => return Err(UNCLEAR),
        None => text,
    };
    let number = ungrouped(integral).ok_or(UNCLEAR)?;
    let digits = number.strip_prefix(['+', '-']).unwrap_or(&number);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UNCLEAR);
    }
    number.parse().map_err(|_| TOO_LARGE)
}

/// A number without the underscores that group its digits; `None` if one does not stand between others.
fn ungrouped(number: &str) -> Option<String> {
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    let is_misplaced = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    (!is_misplaced).then(|| number.replace('_', ""))
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
            (json!("1_0.0"), 10),
        ];
        for (value, expected) in accepted {
            assert_eq!(i64::read(&value), Ok(expected), "{value}");
        }
        for value in [
            json!(""),
            json!("abc"),
            json!("1.5"),
            json!("1e1"),
            json!(" 5"),
            json!("1__0"),
            json!("_1"),
            json!("+ 5"),
            json!("5.0_0"),
        ] {
            assert_eq!(i64::read(&value).map_err(|e| e.0), Err("int_parsing"), "{value}");
        }
        assert_eq!(i64::read(&json!(1.5)).map_err(|e| e.0), Err("int_from_float"));
        assert_eq!(i64::read(&json!(null)).map_err(|e| e.0), Err("int_type"));
        for value in [json!(1e300), json!(u64::MAX), json!("99999999999999999999"), json!("-99999999999999999999.0")] {
            assert_eq!(i64::read(&value).map_err(|e| e.0), Err("int_parsing_size"), "{value}");
        }
    }

    #[test]
    fn booleans_take_the_words_of_the_original_in_any_case() {
        for word in ["true", "1", "YES", "y", "On", "t"] {
            assert_eq!(bool::read(&json!(word)), Ok(true), "{word}");
        }
        for word in ["false", "0", "NO", "n", "oFF", "f"] {
            assert_eq!(bool::read(&json!(word)), Ok(false), "{word}");
        }
        for value in [json!(""), json!("2"), json!("maybe"), json!(" true"), json!(2), json!(null)] {
            assert!(bool::read(&value).is_err(), "{value}");
        }
    }

    #[test]
    fn a_number_is_finite() {
        for text in ["NaN", "inf", "-Infinity", "1e400"] {
            assert_eq!(f64::read(&json!(text)).map_err(|e| e.0), Err("finite_number"), "{text}");
        }
        assert_eq!(f64::read(&json!("hot")).map_err(|e| e.0), Err("float_parsing"));
        for (text, number) in [(" 0.5 ", 0.5), ("1e-1", 0.1), ("1E5", 1e5), ("1_0.5", 10.5), (".5", 0.5), ("5.", 5.0)] {
            assert_eq!(f64::read(&json!(text)), Ok(number), "{text}");
        }
        for text in ["", "_1", "1__0", "0x10", "1,5"] {
            assert_eq!(f64::read(&json!(text)).map_err(|e| e.0), Err("float_parsing"), "{text}");
        }
    }

    #[test]
    fn a_list_is_read_however_it_is_written() {
        for text in [
            "a,b c",
            " a , b c ,",
            r#"["a", "b c"]"#,
            " [ \"a\",\n \"b c\" ] ",
            r#""a,b c""#,
            "'a','b c'",
            r#"'["a", "b c"]'"#,
            "['a', 'b c']",
            "[a, b c]",
        ] {
            assert_eq!(Vec::<String>::read(&json!(text)), Ok(vec!["a".to_owned(), "b c".to_owned()]), "{text}");
        }
        for text in ["", " ", "[]", "[ ]", "\"\"", ",", "[\"\"]"] {
            assert_eq!(Vec::<String>::read(&json!(text)), Ok(vec![]), "{text}");
        }
        for (text, expected) in [("[fd00::1]:80,[fd00::2]:80", 2), ("[fd00::1]", 1), ("[\"a\", 1]", 2), ("*", 1)] {
            assert_eq!(Vec::<String>::read(&json!(text)).unwrap().len(), expected, "{text}");
        }
        assert_eq!(Vec::<String>::read(&json!("[fd00::1]:80,b")).unwrap()[0], "[fd00::1]:80");
        assert_eq!(Vec::<String>::read(&json!(["a, b"])), Ok(vec!["a, b".to_owned()]));
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

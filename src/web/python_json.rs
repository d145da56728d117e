use serde::de::IgnoredAny;
use serde_json::Value;

use crate::kernel::{FieldIssue, JsonReader, Segment};

/// What a text has that Python's JSON knows and JSON does not, if it is JSON apart from that: `NaN`, infinite numbers, and halves of
/// characters. The original took these, and could then not show what had them.
pub(super) fn beyond_json(text: &[u8], reader: JsonReader) -> Option<FieldIssue> {
    let mut scan = Scan { reader, levels: Vec::new(), repaired: Vec::with_capacity(text.len()), found: None };
    let mut rest = text;
    while let Some(byte) = rest.first() {
        let (token, after) = rest.split_at_checked(token_length(*byte, rest))?;
        scan.take(*byte, token);
        rest = after;
    }
    reader.read::<IgnoredAny>(&scan.repaired).ok()?;
    scan.found
}

/// How far a text, a number or a word goes; anything else is taken byte by byte.
fn token_length(first: u8, rest: &[u8]) -> usize {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
    let mut is_escaped = false;
    let mut ends_text = |byte: u8| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    };
    match first {
        b'"' => rest.iter().skip(1).position(|byte| ends_text(*byte)).map_or(rest.len(), |end| end + 2),
        byte if is_word(byte) => rest.iter().take_while(|byte| is_word(**byte)).count(),
        _ => 1,
    }
}

/// An object, with the key of its member, or a list, with the number of its item.
enum Level {
    Object(Option<Segment>),
    List(usize),
}

/// A text on its way to JSON.
struct Scan {
    reader: JsonReader,
    levels: Vec<Level>,
    repaired: Vec<u8>,
    found: Option<FieldIssue>,
}

impl Scan {
    fn take(&mut self, first: u8, token: &[u8]) {
        match first {
            b'{' => self.levels.push(Level::Object(None)),
            b'[' => self.levels.push(Level::List(0)),
            b'}' | b']' => drop(self.levels.pop()),
            b',' => match self.levels.last_mut() {
                Some(Level::Object(key)) => *key = None,
                Some(Level::List(index)) => *index += 1,
                None => {}
            },
            b'"' => return self.take_text(token),
            _ if is_infinite(token) => {
                self.find("finite_number", "Input should be a finite number");
                return self.repaired.push(b'0');
            }
            _ => {}
        }
        self.repaired.extend_from_slice(token);
    }

    fn take_text(&mut self, token: &[u8]) {
        let whole = without_half_characters(token);
        if whole.len() != token.len() {
            let msg = "Input should be a text of whole characters, without half a surrogate pair";
            self.find("string_unicode", msg);
        }
        if let Some(Level::Object(key @ None)) = self.levels.last_mut() {
            *key = self.reader.read::<String>(&whole).ok().map(|key| Segment::from(key.as_str()));
        }
        self.repaired.extend(whole);
    }

    /// Notes the first of what is found. JSON can't quote it.
    fn find(&mut self, kind: &'static str, msg: &str) {
        let at = |level: &Level| match level {
            Level::Object(key) => key.clone(),
            Level::List(index) => Some(Segment::Index(*index)),
        };
        let loc = [Segment::from("body")].into_iter().chain(self.levels.iter().filter_map(at)).collect();
        self.found.get_or_insert_with(|| FieldIssue::new(kind, loc, msg, Value::Null));
    }
}

/// Whether Python takes this for a number that is none, or an infinite one.
fn is_infinite(token: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(token) else { return false };
    let is_number = text.starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    matches!(text, "NaN" | "Infinity" | "-Infinity")
        || is_number && !text.contains("nf") && text.parse().is_ok_and(f64::is_infinite)
}

/// A text with the character for what can't be read in the place of each escape that is half a surrogate pair.
fn without_half_characters(token: &[u8]) -> Vec<u8> {
    let (mut whole, mut rest) = (Vec::with_capacity(token.len()), token);
    while let Some(byte) = rest.first() {
        let (length, is_half) = match (*byte, escaped_unit(rest)) {
            (b'\\', Some(0xd800..=0xdbff)) => match rest.get(6..).and_then(escaped_unit) {
                Some(0xdc00..=0xdfff) => (12, false),
                _ => (6, true),
            },
            (b'\\', Some(0xdc00..=0xdfff)) => (6, true),
            (b'\\', _) => (2, false),
            _ => (1, false),
        };
        let (part, after) = rest.split_at(length.min(rest.len()));
        whole.extend_from_slice(if is_half { "\u{fffd}".as_bytes() } else { part });
        rest = after;
    }
    whole
}

/// The UTF-16 unit of an escape such as `\u00e9` that the text begins with.
fn escaped_unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn found(text: &str) -> Option<(&'static str, String)> {
        let issue = beyond_json(text.as_bytes(), JsonReader::new(1_000))?;
        assert!(!issue.raised_by_original);
        Some((issue.kind, issue.path()))
    }

    #[test]
    fn what_only_python_takes_is_found_with_its_place() {
        let rows = [
            (r#"{"timeout_seconds": NaN}"#, "finite_number", "body.timeout_seconds"),
            (r#"{"a": [1, {"b\"c": -Infinity}], "d": NaN}"#, "finite_number", "body.a[1].b\"c"),
            (r#"{"a": {"x": 1}, "b": [[], [1e400]]}"#, "finite_number", "body.b[1][0]"),
            ("Infinity", "finite_number", "body"),
            (r#"{"config": {"note": "\ud800"}}"#, "string_unicode", "body.config.note"),
            (r#"["\\", "\udc00\ud800"]"#, "string_unicode", "body[1]"),
        ];
        for (text, kind, path) in rows {
            assert_eq!(found(text), Some((kind, path.to_owned())), "{text}");
        }
        for text in [
            r#"{"a": NaN,}"#,
            "[nan]",
            "[-inf]",
            r#"["NaN", "\ud83d\ude00"]"#,
            "{",
            r#"{"a": 01}"#,
            r#"["\x41"]"#,
            "NaNa",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn json_has_none_of_it(key in ".{0,9}", text in ".{0,9}", number: f64) {
            let value = json!({key: [text, number]});
            prop_assert_eq!(found(&value.to_string()), None);
        }

        #[test]
        fn any_bytes_are_scanned(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            drop(beyond_json(&bytes, JsonReader::new(1_000)));
        }
    }
}

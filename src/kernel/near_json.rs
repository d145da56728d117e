use std::iter::Peekable;
use std::str::CharIndices;

/// A text that is almost JSON as JSON, or `None` if it is further off. Programs and models write: a byte order mark, a fence of
/// backticks around it all, comments, commas before a closing bracket, single quotes, keys without quotes, the words of Python and
/// JavaScript (`True`, `None`, `NaN`, `Infinity`), line breaks in texts, and halves of surrogate pairs, which become U+FFFD.
/// Nothing is made up: what breaks off stays broken. Whoever calls this has found that the text is not JSON, and reads the result
/// as strictly as that.
pub(super) fn repaired_json(text: &str) -> Option<String> {
    let text = without_fence(text.trim_start_matches('\u{feff}').trim());
    let mut repair =
        JsonRepair { chars: text.char_indices().peekable(), text, output: String::with_capacity(text.len()) };
    while repair.token()? {}
    Some(repair.output)
}

/// What stands between a fence of backticks.
fn without_fence(text: &str) -> &str {
    let inside = text.strip_prefix("```").and_then(|rest| rest.trim_end().strip_suffix("```"));
    inside.map_or(text, |inside| inside.trim_start_matches(|c: char| c.is_ascii_alphanumeric()).trim())
}

struct JsonRepair<'a> {
    chars: Peekable<CharIndices<'a>>,
    text: &'a str,
    output: String,
}

impl JsonRepair<'_> {
    /// Takes the next token over; whether there was one. `None` if there is no way to.
    fn token(&mut self) -> Option<bool> {
        let Some((at, c)) = self.chars.next() else { return Some(false) };
        match c {
            '"' | '\'' => self.text(c)?,
            '}' | ']' => {
                self.drop_comma();
                self.output.push(c);
            }
            '/' => self.comment()?,
            '{' | '[' | ':' | ',' => self.output.push(c),
            c if c.is_whitespace() => self.output.push(' '),
            c if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') || is_word(c) => self.word(at)?,
            _ => return None,
        }
        Some(true)
    }

    /// A comma before a closing bracket.
    fn drop_comma(&mut self) {
        let kept = self.output.trim_end();
        if let Some(kept) = kept.strip_suffix(',') {
            self.output.truncate(kept.len());
        }
    }

    fn comment(&mut self) -> Option<()> {
        match self.chars.next()?.1 {
            '/' => while self.chars.next_if(|(_, c)| *c != '\n').is_some() {},
            '*' => {
                let mut last = ' ';
                loop {
                    let (_, c) = self.chars.next()?;
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// A number, a word of some language, or a key.
    fn word(&mut self, start: usize) -> Option<()> {
        let is_part = |c: char| is_word(c) || c.is_ascii_digit() || matches!(c, '-' | '+' | '.');
        while self.chars.next_if(|(_, c)| is_part(*c)).is_some() {}
        let end = self.chars.peek().map_or(self.text.len(), |(at, _)| *at);
        let (word, rest) = (self.text.get(start..end)?, self.text.get(end..)?);
        let is_key = rest.trim_start().starts_with(':') && word.starts_with(is_word);
        let written = match word {
            key if is_key => format!("\"{key}\""),
            "true" | "True" | "TRUE" => "true".to_owned(),
            "false" | "False" | "FALSE" => "false".to_owned(),
            "null" | "None" | "NULL" | "undefined" | "NaN" | "nan" | "Infinity" | "-Infinity" | "+Infinity" | "inf"
            | "-inf" => "null".to_owned(),
            word if word.starts_with(is_word) => return None,
            number => {
                let number = number.trim_start_matches('+');
                let number = if number.starts_with('.') { format!("0{number}") } else { number.to_owned() };
                if number.ends_with('.') { format!("{number}0") } else { number }
            }
        };
        self.output.push_str(&written);
        Some(())
    }

    /// A text up to the quote that it began with.
    fn text(&mut self, quote: char) -> Option<()> {
        self.output.push('"');
        loop {
            match self.chars.next()?.1 {
                c if c == quote => break,
                '"' => self.output.push_str("\\\""),
                '\\' => self.escape()?,
                '\n' => self.output.push_str("\\n"),
                '\r' => self.output.push_str("\\r"),
                '\t' => self.output.push_str("\\t"),
                c if c < ' ' => self.output.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => self.output.push(c),
            }
        }
        self.output.push('"');
        Some(())
    }

    /// What follows a backslash. A half of a surrogate pair is no character.
    fn escape(&mut self) -> Option<()> {
        match self.chars.next()?.1 {
            c @ ('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => self.output.extend(['\\', c]),
            '\n' => {}
            'u' => {
                let unit = self.unit()?;
                match unit {
                    0xD800..=0xDBFF => self.pair(unit)?,
                    0xDC00..=0xDFFF => self.output.push(char::REPLACEMENT_CHARACTER),
                    unit => self.output.push_str(&format!("\\u{unit:04x}")),
                }
            }
            '\'' => self.output.push('\''),
            // A backslash that begins no escape, as in a path of Windows, means itself.
            c => self.output.extend(['\\', '\\', c]),
        }
        Some(())
    }

    /// The second half of a pair, if there is one.
    fn pair(&mut self, first: u32) -> Option<()> {
        let mut ahead = self.chars.clone();
        let is_unit = ahead.next().is_some_and(|(_, c)| c == '\\') && ahead.next().is_some_and(|(_, c)| c == 'u');
        let second = hex(&mut ahead).filter(|unit| is_unit && (0xDC00..=0xDFFF).contains(unit));
        match second {
            Some(second) => {
                self.chars = ahead;
                self.output.push_str(&format!("\\u{first:04x}\\u{second:04x}"));
            }
            None => self.output.push(char::REPLACEMENT_CHARACTER),
        }
        Some(())
    }

    fn unit(&mut self) -> Option<u32> {
        hex(&mut self.chars)
    }
}

/// Four hexadecimal digits.
fn hex(chars: &mut Peekable<CharIndices<'_>>) -> Option<u32> {
    (0..4).try_fold(0, |unit, _| Some(unit * 16 + chars.next()?.1.to_digit(16)?))
}

fn is_word(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '$')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> Option<Value> {
        serde_json::from_str(&repaired_json(text)?).ok()
    }

    #[test]
    fn what_is_almost_json_is_read() {
        let expected = json!({"url": "/a", "n": [1, 2]});
        for text in [
            r#"{"url": "/a", "n": [1, 2],}"#,
            r#"{"url": "/a", "n": [1, 2,],}"#,
            "{'url': '/a', 'n': [1, 2]}",
            "{url: '/a', n: [1, 2]}",
            "```json\n{\"url\": \"/a\", \"n\": [1, 2]}\n```",
            "```\n{\"url\": \"/a\", \"n\": [+1, 2]}```",
            "\u{feff}{\"url\": \"/a\", \"n\": [1, 2]}",
            "{\"url\": \"/a\", // where\n \"n\": [1, /* and */ 2]}",
        ] {
            assert_eq!(read(text), Some(expected.clone()), "{text}");
        }
        for (text, value) in [
            ("{'a': True, 'b': False, 'c': None}", json!({"a": true, "b": false, "c": null})),
            (r#"{"a": NaN, "b": -Infinity, "c": Infinity}"#, json!({"a": null, "b": null, "c": null})),
            ("{\"a\": \"two\nlines\tand a tab\"}", json!({"a": "two\nlines\tand a tab"})),
            (
                r#"{"a": "\ud83d", "b": "\ude00!", "c": "\ud83d\ude00"}"#,
                json!({"a": "\u{fffd}", "b": "\u{fffd}!", "c": "😀"}),
            ),
            (r#"{'a': 'it\'s "so"'}"#, json!({"a": "it's \"so\""})),
            (r#"{"a": .5, "b": 1.}"#, json!({"a": 0.5, "b": 1.0})),
            (r#"{"a": "C:\dir"}"#, json!({"a": "C:\\dir"})),
        ] {
            assert_eq!(read(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_further_off_is_not_made_up() {
        for text in ["", "not json {", "{\"a\": \"/a", "{\"a\": 1", "{oops", "{a: b}", "[1 2]", "{\"a\" 1}", "<html>"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn json_stays_what_it_is(texts in proptest::collection::vec("(?s).{0,12}", 0..4), number: i32) {
            let value = json!({"texts": texts, "number": number, "none": null, "yes": [true, {}]});
            prop_assert_eq!(read(&value.to_string()), Some(value.clone()));
            prop_assert_eq!(read(&format!("{value:#}")), Some(value));
        }

        #[test]
        fn any_text_is_read(text in "(?s).{0,60}") {
            drop(repaired_json(&text));
        }
    }
}

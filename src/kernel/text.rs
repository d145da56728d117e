use regex::Regex;

/// Marks where a text was cut.
const ELLIPSIS: char = '…';
/// Longest name that a message quotes, in characters.
const MAX_QUOTED_CHARS: usize = 80;

/// A text, or its first `max` characters with an ellipsis.
pub fn truncate_chars(text: &str, max: usize) -> String {
    text.char_indices().nth(max).map_or_else(|| text.to_owned(), |(end, _)| head(text, end))
}

/// A text of at most `max` characters, the ellipsis among them.
pub fn fit_chars(text: &str, max: usize) -> String {
    if text.chars().count() <= max { text.to_owned() } else { truncate_chars(text, max.saturating_sub(1)) }
}

/// A name in quotes, for a message about it. Whoever sent the name may have sent a long one.
pub fn quoted(name: &str) -> String {
    format!("'{}'", fit_chars(name, MAX_QUOTED_CHARS))
}

/// A text, or its beginning of at most `max` bytes with an ellipsis.
pub fn truncate_bytes(text: &str, max: usize) -> String {
    if text.len() <= max { text.to_owned() } else { head(text, text.floor_char_boundary(max)) }
}

/// A text on one line: each run of white space becomes a blank.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The media type of a `Content-Type` header, in lower case and without parameters.
pub fn media_type(header: &str) -> String {
    header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn head(text: &str, end: usize) -> String {
    format!("{}{ELLIPSIS}", text.get(..end).unwrap_or_default())
}

/// A pattern that stands in the source.
#[expect(clippy::expect_used, reason = "the unit tests of whoever calls it compile each")]
pub fn constant_regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("constant pattern")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!((truncate_chars("äöü", 3), truncate_chars("äöü", 2)), ("äöü".to_owned(), "äö…".to_owned()));
        assert_eq!((fit_chars("äöü", 3), fit_chars("äöü", 2)), ("äöü".to_owned(), "ä…".to_owned()));
        assert_eq!((truncate_bytes("äöü", 6), truncate_bytes("äöü", 5)), ("äöü".to_owned(), "äö…".to_owned()));
        assert_eq!(quoted(&"ü".repeat(80)), format!("'{}'", "ü".repeat(80)));
        assert_eq!(quoted(&"ü".repeat(5000)), format!("'{}…'", "ü".repeat(79)));
        assert_eq!(one_line(" a\n\tb  c "), "a b c");
        assert_eq!(media_type(" Text/HTML ; charset=utf-8"), "text/html");
    }
}

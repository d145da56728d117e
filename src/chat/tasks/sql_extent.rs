//! How far SQL goes in a text that goes on as prose.

use std::sync::LazyLock;

use regex::Regex;

use crate::kernel::constant_regex;

/// How SQL goes on after a gap. Prose begins with one capital.
static GOES_ON: LazyLock<Regex> = LazyLock::new(|| {
    const WORDS: &str = "select|from|where|and|or|(left|right|inner|full|cross|natural)?[ ]?join|group|having|order|limit|offset|union|except|intersect|window|insert|update|delete|drop|alter|create|truncate";
    constant_regex(&format!(r"^\s*([(),]|--|({}|{WORDS})\b)", WORDS.to_uppercase()))
});

/// A line that tells of something else.
static LABEL: LazyLock<Regex> = LazyLock::new(|| {
    constant_regex(
        r"^[ \t>*#_]*(?i:sql ?results?|results?|answer|final answer|explanation|output|notes?|hinweis|erklärung|ergebnis|explicación|resultado|respuesta|nota)[ \t*_]*:(?:[\s*]|$)",
    )
});

/// Where in a text that begins with SQL prose follows: after the `;` or the blank line that ends it, unless it goes on as SQL, or
/// at a line with a label such as `SQLResult:`. What stands in texts, comments and brackets ends nothing.
pub(super) fn prose_start(text: &str) -> usize {
    let (mut at, mut depth, mut last) = (0, 0_usize, ' ');
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..).unwrap_or_default();
        let skipped = opaque(rest);
        if skipped > 0 {
            (at, last) = (at + skipped, c);
            continue;
        }
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ';' if depth == 0 && !after.trim().is_empty() && !GOES_ON.is_match(after) => return at,
            '\n' if LABEL.is_match(after) => return at,
            '\n' if depth == 0 && last != ',' && is_blank_line(after) && !GOES_ON.is_match(after) => return at,
            _ => {}
        }
        if !c.is_whitespace() {
            last = c;
        }
        at += c.len_utf8();
    }
    text.len()
}

/// Whether the line that begins here is blank.
fn is_blank_line(text: &str) -> bool {
    text.split('\n').next().is_some_and(|line| line.trim().is_empty()) && !text.trim().is_empty()
}

/// Bytes of the text, name or comment that begins here; 0 if none does or it has no end.
fn opaque(text: &str) -> usize {
    let closed = |open: usize, mark: &str| {
        let inside = text.get(open..).and_then(|rest| rest.find(mark));
        inside.map_or(0, |at| open + at + mark.len())
    };
    match text.as_bytes() {
        [quote @ (b'\'' | b'"' | b'`'), ..] => closed(1, char::from(*quote).encode_utf8(&mut [0; 4])),
        [b'$', b'$', ..] => closed(2, "$$"),
        [b'/', b'*', ..] => closed(2, "*/"),
        // The end of the line is none of the comment: a blank one may follow.
        [b'-', b'-', ..] => text.find('\n').unwrap_or(text.len()),
        _ => 0,
    }
}

/// A text without comments and blanks before it.
pub(super) fn without_comments(text: &str) -> &str {
    let mut text = text.trim_start();
    while text.starts_with("--") || text.starts_with("/*") {
        let length = opaque(text);
        if length == 0 {
            break;
        }
        text = text.get(length..).unwrap_or_default().trim_start();
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sql_ends_where_prose_begins() {
        for (sql, prose) in [
            ("SELECT 1", ";\nThis gives one."),
            ("SELECT 1", "; This gives one."),
            ("SELECT 1", "\n\nThis gives one."),
            ("SELECT 1", "\nSQLResult: 1"),
            ("SELECT 1", "\n**Explanation:** one"),
            ("SELECT a FROM b\n\nWHERE c\n\n  AND d;", ""),
            ("SELECT ';\n\nNo' AS a, \"b; C\" FROM t -- all; Of it\nWHERE d", ""),
            ("WITH a AS (\n\nSELECT 1\n\n),\n\nb AS (SELECT 2)\nSELECT * FROM b", "\n\nDone."),
            ("SELECT 1;\nDROP TABLE a", ""),
            ("SELECT a::int, b[1:2] FROM t", ""),
        ] {
            let text = format!("{sql}{prose}");
            assert_eq!(text.get(..prose_start(&text)), Some(sql), "{text}");
        }
        assert_eq!(without_comments("-- a\n/* b */ SELECT 1"), "SELECT 1");
    }

    proptest! {
        #[test]
        fn any_text_has_an_extent(text in "(?s).{0,60}") {
            prop_assert!(text.is_char_boundary(prose_start(&text)));
            without_comments(&text);
        }
    }
}

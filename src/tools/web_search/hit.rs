use std::sync::LazyLock;

use regex::{Captures, Regex};
use url::Url;

use crate::kernel::truncate_chars;
use crate::tools::output::SearchHit;

const MAX_TITLE_CHARS: usize = 300;
const MAX_URL_CHARS: usize = 2000;
const MAX_SNIPPET_CHARS: usize = 2000;
const MAX_DATE_CHARS: usize = 60;
/// Bytes of a tag or an entity.
const MAX_MARKUP_BYTES: usize = 1000;

/// A result as plain text of bounded length. `None` if it does not lead to a page.
pub(super) fn normalized(hit: SearchHit) -> Option<SearchHit> {
    let url = Url::parse(hit.url.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    if url.as_str().len() > MAX_URL_CHARS {
        return None;
    }
    let title = plain_text(&hit.title, MAX_TITLE_CHARS);
    let host = || truncate_chars(url.host_str().unwrap_or_default(), MAX_TITLE_CHARS);
    Some(SearchHit {
        title: if title.is_empty() { host() } else { title },
        url: url.into(),
        snippet: plain_text(&hit.snippet, MAX_SNIPPET_CHARS),
        published: hit.published.map(|date| plain_text(&date, MAX_DATE_CHARS)).filter(|date| !date.is_empty()),
        ..hit
    })
}

#[expect(clippy::expect_used, reason = "a constant pattern; the tests below compile it")]
static TAG: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("(?i)<(?:(?P<block>/*(?:br|p|li|div|td)(?:[ /][^>]*)?)|[a-z/!][^>]*)>").expect("a valid pattern")
});
#[expect(clippy::expect_used, reason = "a constant pattern; the tests below compile it")]
static ENTITY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("&(#[xX]?[0-9a-fA-F]+|[a-z]+);").expect("a valid pattern"));

/// HTML as plain text: without tags, with the characters that entities stand for, and with single blanks.
pub(super) fn plain_text(html: &str, longest: usize) -> String {
    // Markup is looked for in a bounded part, so that a reply made to be hard to read is not.
    let start = html.get(..html.floor_char_boundary(8 * longest + MAX_MARKUP_BYTES)).unwrap_or(html);
    let text = TAG.replace_all(start, |tag: &Captures<'_>| match tag.get_match() {
        tag if tag.len() > MAX_MARKUP_BYTES => tag.as_str().to_owned(),
        // A break separates words; emphasis does not.
        _ => if tag.name("block").is_some() { " " } else { "" }.to_owned(),
    });
    let text = ENTITY.replace_all(&text, |found: &Captures<'_>| {
        entity(&found[1]).map_or_else(|| found[0].to_owned(), |character| character.to_string())
    });
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    truncate_chars(&words.collect::<Vec<_>>().join(" "), longest)
}

/// The character that an entity stands for, of those that search engines use.
fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let hex = number.strip_prefix(['x', 'X']);
        let code = hex.map_or_else(|| number.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok());
        return code.and_then(char::from_u32);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "middot" => '·',
        "laquo" => '«',
        "raquo" => '»',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn snippets_become_plain_text() {
        let rows = [
            ("a <strong>bold</strong> word", "a bold word"),
            ("one<br/>two<p>three", "one two three"),
            ("R&amp;D &#39;24 &#x2014; &quot;x&quot;&nbsp;y", "R&D '24 — \"x\" y"),
            ("1 < 2 & 3 > 2; AT&T;", "1 < 2 & 3 > 2; AT&T;"),
            ("&lt;b&gt; is a tag", "<b> is a tag"),
            ("  many\n\t blanks\u{0} ", "many blanks"),
            ("<!-- gone -->kept <b", "kept <b"),
            ("&#xD800;&#99999999;", "&#xD800;&#99999999;"),
        ];
        for (html, text) in rows {
            assert_eq!(plain_text(html, 100), text, "{html}");
        }
        assert_eq!(plain_text("éclair", 1), "é…");
        let far = format!("a <b {}>c", "x".repeat(2000));
        assert!(plain_text(&far, 500).starts_with("a <b xxx"), "an end so far away is none");
        assert!(plain_text(&"<x".repeat(1_000_000), 300).len() < 400);
    }

    #[test]
    fn only_pages_are_results() {
        let hit = |url: &str| normalized(SearchHit { url: url.to_owned(), ..SearchHit::default() });
        for url in ["", "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "/relative", "http://"] {
            assert_eq!(hit(url), None, "{url}");
        }
        assert_eq!(hit(&format!("http://a/{}", "x".repeat(3000))), None);
        let found = hit(" https://Example.com/a b ").unwrap();
        assert_eq!((found.url.as_str(), found.title.as_str()), ("https://example.com/a%20b", "example.com"));
        let long = hit(&format!("https://{}/", "x".repeat(1000))).unwrap();
        assert_eq!(long.title, format!("{}…", "x".repeat(300)));
    }

    proptest! {
        #[test]
        fn any_text_becomes_plain_text_of_bounded_length(html in "[<>&;#x0-9a-z/é ]{0,60}") {
            let text = plain_text(&html, 20);
            prop_assert!(text.chars().count() <= 21);
        }
    }
}

use serde_json::{Value, json};
use url::Url;

const MAX_TITLE_CHARS: usize = 300;
const MAX_URL_CHARS: usize = 2000;
const MAX_SNIPPET_CHARS: usize = 2000;
const MAX_DATE_CHARS: usize = 60;

/// One result.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Hit {
    pub(super) title: String,
    pub(super) url: String,
    pub(super) snippet: String,
    pub(super) score: Option<f64>,
    pub(super) published: Option<String>,
}

impl Hit {
    /// The result in an item whose members have these names: title, URL, snippet.
    pub(super) fn of(item: &Value, [title, url, snippet]: [&str; 3]) -> Self {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { title: text(title), url: text(url), snippet: text(snippet), ..Self::default() }
    }

    /// With the date in this member.
    pub(super) fn published(self, item: &Value, name: &str) -> Self {
        Self { published: item.get(name).and_then(Value::as_str).map(str::to_owned), ..self }
    }

    /// With the score in this member.
    pub(super) fn score(self, item: &Value, name: &str) -> Self {
        Self { score: item.get(name).and_then(Value::as_f64), ..self }
    }

    /// As plain text of bounded length. `None` if it does not lead to a page.
    pub(super) fn normalized(self) -> Option<Self> {
        let url = self.url.trim();
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        if parsed.as_str().len() > MAX_URL_CHARS {
            return None;
        }
        let title = plain_text(&self.title, MAX_TITLE_CHARS);
        Some(Self {
            title: if title.is_empty() { parsed.host_str().unwrap_or_default().to_owned() } else { title },
            url: parsed.into(),
            snippet: plain_text(&self.snippet, MAX_SNIPPET_CHARS),
            published: self.published.map(|date| plain_text(&date, MAX_DATE_CHARS)).filter(|date| !date.is_empty()),
            ..self
        })
    }

    /// As callers see it.
    pub(super) fn to_json(&self) -> Value {
        let score = self.score.map(|score| ("score", json!(score)));
        let published = self.published.as_ref().map(|published| ("published", json!(published)));
        let texts = [("title", &self.title), ("url", &self.url), ("snippet", &self.snippet)];
        let texts = texts.map(|(name, text)| (name, json!(text)));
        texts.into_iter().chain(score).chain(published).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Bytes of a tag or an entity.
const MAX_MARKUP_BYTES: usize = 1000;

/// HTML as plain text: without tags, with the characters that entities stand for, and with single blanks.
pub(super) fn plain_text(html: &str, longest: usize) -> String {
    // Markup is looked for in a bounded part, so that a reply made to be hard to read is not.
    let start = html.get(..html.floor_char_boundary(8 * longest + MAX_MARKUP_BYTES)).unwrap_or(html);
    let text = decode_entities(&strip_tags(start));
    let words: Vec<_> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    let text = words.join(" ");
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

fn strip_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        let is_tag = after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        match split_near(after, '>').filter(|_| is_tag) {
            Some((tag, after)) => {
                // A break separates words; emphasis does not.
                let name = tag.trim_start_matches('/').to_ascii_lowercase();
                if ["br", "p", "li", "div", "td"].iter().any(|block| name.split([' ', '/']).next() == Some(block)) {
                    text.push(' ');
                }
                rest = after;
            }
            None => {
                text.push('<');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

/// Splits at the next such character, unless that is farther away than any markup is long.
fn split_near(text: &str, end: char) -> Option<(&str, &str)> {
    let at = text.get(..text.floor_char_boundary(MAX_MARKUP_BYTES))?.find(end)?;
    Some((text.get(..at)?, text.get(at + end.len_utf8()..)?))
}

fn decode_entities(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let found = split_near(after, ';').and_then(|(name, after)| Some((entity(name)?, after)));
        match found {
            Some((character, after)) => {
                plain.push(character);
                rest = after;
            }
            None => {
                plain.push('&');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// The character that an entity stands for, of those that search engines use.
fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let hex = number.strip_prefix(['x', 'X']);
        let code = hex.map_or_else(|| number.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok());
        return code.and_then(char::from_u32);
    }
    let known = [
        ("amp", '&'),
        ("lt", '<'),
        ("gt", '>'),
        ("quot", '"'),
        ("apos", '\''),
        ("nbsp", ' '),
        ("ndash", '–'),
        ("mdash", '—'),
        ("hellip", '…'),
        ("middot", '·'),
        ("laquo", '«'),
        ("raquo", '»'),
        ("lsquo", '‘'),
        ("rsquo", '’'),
        ("ldquo", '“'),
        ("rdquo", '”'),
    ];
    known.into_iter().find(|(known, _)| *known == name).map(|(_, character)| character)
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
        let hit = |url: &str| Hit { url: url.to_owned(), ..Hit::default() }.normalized();
        for url in ["", "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "/relative", "http://"] {
            assert_eq!(hit(url), None, "{url}");
        }
        assert_eq!(hit(&format!("http://a/{}", "x".repeat(3000))), None);
        let found = hit(" https://Example.com/a b ").unwrap();
        assert_eq!((found.url.as_str(), found.title.as_str()), ("https://example.com/a%20b", "example.com"));
    }

    proptest! {
        #[test]
        fn any_text_becomes_plain_text_of_bounded_length(html in "[<>&;#x0-9a-z/é ]{0,60}") {
            let text = plain_text(&html, 20);
            prop_assert!(text.chars().count() <= 21);
        }
    }
}

use url::Url;

use super::hit::{normalized, plain_text};
use crate::fuzz::first_line;
use crate::tools::output::SearchHit;

/// Characters of a text.
const MAX_CHARS: usize = 100;

/// The first line is the address of a hit, the rest its text: what is shown is a page's address, and one line of plain text.
pub(crate) fn search_hit(data: &[u8]) {
    let (url, html) = first_line(data);
    let text = plain_text(&html, MAX_CHARS);
    check_text(&text, MAX_CHARS);
    let Some(hit) = normalized(SearchHit { title: html.clone(), url, snippet: html, ..SearchHit::default() }) else {
        return;
    };
    check_text(&hit.title, 300);
    check_text(&hit.snippet, 2_000);
    assert!(Url::parse(&hit.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")), "{}", hit.url);
}

fn check_text(text: &str, most: usize) {
    assert!(text.chars().count() <= most + 1, "{text}");
    assert!(!text.contains(char::is_control) && !text.contains("  ") && text.trim() == text, "{text:?}");
}

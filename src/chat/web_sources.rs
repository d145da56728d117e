use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;

use super::text::short_line;
use crate::kernel::{one_line, truncate_chars};
use crate::tools::SearchHit;

/// Sources of one search that an answer lists at most.
const MAX_SOURCES: usize = 20;
/// Longest address of a source, in characters.
const MAX_URL_CHARS: usize = 2000;
/// Characters of a page's summary that a model is shown.
const MAX_SNIPPET_CHARS: usize = 1000;

/// A page that a search found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct WebSource {
    title: String,
    url: String,
}

impl WebSource {
    /// The pages in the output of a search, which strangers wrote: only addresses of the web, and titles on one line.
    fn all_in(results: &[SearchHit]) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        for source in results.iter().filter_map(Self::read) {
            if found.len() < MAX_SOURCES && !found.iter().any(|known| known.url == source.url) {
                found.push(source);
            }
        }
        found
    }

    fn read(result: &SearchHit) -> Option<Self> {
        let url = result.url.trim();
        let is_web = url.starts_with("http://") || url.starts_with("https://");
        let is_plain = !url.chars().any(|c| c.is_whitespace() || c.is_control() || "<>".contains(c));
        if !is_web || !is_plain || url.chars().count() > MAX_URL_CHARS {
            return None;
        }
        let title = short_line(&result.title);
        Some(Self { title: if title.is_empty() { url.to_owned() } else { title }, url: url.to_owned() })
    }
}

/// The pages that the searches of one request found; their places in the list are their numbers wherever they are told.
#[derive(Debug, Default)]
pub(super) struct WebSources(Mutex<Option<Vec<WebSource>>>);

impl WebSources {
    /// Adds the pages of a search. Gives its results in words, by their numbers.
    pub(super) fn add(&self, results: &[SearchHit]) -> String {
        let found = WebSource::all_in(results);
        let mut known = self.lock();
        let known = known.get_or_insert_default();
        if found.is_empty() {
            return "The search found nothing.".to_owned();
        }
        let lines: Vec<_> = found.into_iter().map(|source| line_of(source, known, results)).collect();
        format!("Results of a web search:\n\n{}", lines.join("\n\n"))
    }

    /// All of them; none if nothing was searched.
    pub(super) fn all(&self) -> Option<Vec<WebSource>> {
        self.lock().clone()
    }

    /// The list below an answer; none if there is nothing to list.
    pub(super) fn list(&self) -> Option<String> {
        let known = self.lock();
        let line = |(at, source): (usize, &WebSource)| format!("{}. {}: {}", at + 1, source.title, source.url);
        let lines: Vec<_> = known.iter().flatten().enumerate().map(line).collect();
        (!lines.is_empty()).then(|| format!("Sources:\n{}", lines.join("\n")))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<WebSource>>> {
        self.0.lock()
    }
}

/// A page with its number, which it gets if it has none yet, and its summary in the search's output.
fn line_of(source: WebSource, known: &mut Vec<WebSource>, results: &[SearchHit]) -> String {
    let at = known.iter().position(|other| other.url == source.url).unwrap_or(known.len());
    let snippet = results.iter().find(|hit| hit.url == source.url).map_or("", |hit| hit.snippet.as_str());
    let snippet = truncate_chars(&one_line(snippet), MAX_SNIPPET_CHARS);
    let line = format!("[{}] {}\n{}\n{snippet}", at + 1, source.title, source.url).trim_end().to_owned();
    if at == known.len() {
        known.push(source);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(title: &str, url: &str, snippet: &str) -> SearchHit {
        let (title, url, snippet) = (title.to_owned(), url.to_owned(), snippet.to_owned());
        SearchHit { title, url, snippet, ..SearchHit::default() }
    }

    #[test]
    fn sources_are_pages_of_the_web_and_each_is_listed_once() {
        let results = [
            hit("Rust\n1. evil", "https://rust-lang.org", ""),
            hit("", "https://rust-lang.org", ""),
            hit("x", "", ""),
            hit("bad", "javascript:alert(1)", ""),
            hit("bad", "https://a b", ""),
            hit("", "http://b/", ""),
        ];
        let sources = WebSources::default();
        assert_eq!(sources.all(), None);
        assert!(sources.add(&[]).contains("nothing") && sources.list().is_none());
        assert_eq!(sources.all(), Some(Vec::new()), "it was searched");
        sources.add(&[hit("", "http://b/", "B")]);
        let told = sources.add(&results);
        assert!(told.ends_with("[2] Rust 1. evil\nhttps://rust-lang.org\n\n[1] http://b/\nhttp://b/"), "{told}");
        let list = "Sources:\n1. http://b/: http://b/\n2. Rust 1. evil: https://rust-lang.org";
        assert_eq!(sources.list().as_deref(), Some(list));
        let many: Vec<_> = (0..100).map(|at| hit("", &format!("http://a/{at}"), "")).collect();
        assert_eq!(WebSource::all_in(&many).len(), MAX_SOURCES);
    }
}

use serde_json::Value;

use super::hit::Hit;
use super::provider::{KEY_REFUSED, Provider};

/// Any service that takes `GET ?q=&max_results=`, with filters under their own names and the key as a bearer token, and answers
/// with a list of results in one of the usual shapes: the list itself, or one under a usual name, of objects whose members have
/// usual names.
pub(super) const PROVIDER: Provider = Provider {
    key: "generic",
    name: "The search service",
    server: None,
    path: "/",
    nested: false,
    needs_key: false,
    needs_engine: false,
    filters: &["language", "country", "site", "safe"],
    time_ranges: &["day", "week", "month", "year"],
    page: 50,
    pages: 1,
    refused: KEY_REFUSED,
    request: |request| {
        let filters = ["language", "country", "site", "safe", "time_range"].map(|name| (name, request.filter(name)));
        let plain = [("q", Some(request.query.text.clone())), ("max_results", Some(request.count.to_string()))];
        request.get(plain.into_iter().chain(filters)).bearer(request.key)
    },
    read: |reply| {
        let items = LIST_POINTERS.iter().find_map(|pointer| reply.pointer(pointer)?.as_array());
        let items =
            items.ok_or_else(|| format!("answered with JSON that holds no list under a usual name: {}", LIST_NAMES))?;
        Ok(items.iter().map(hit).collect())
    },
};

const LIST_NAMES: &str = "results, items, organic, data, hits, webPages.value or web.results";
const LIST_POINTERS: [&str; 8] =
    ["", "/results", "/items", "/organic", "/data", "/hits", "/webPages/value", "/web/results"];

fn hit(item: &Value) -> Hit {
    let first = |names: &[&'static str]| {
        let known = |name: &&&'static str| item.get(**name).is_some_and(Value::is_string);
        names.iter().find(known).copied().unwrap_or_default()
    };
    let title = first(&["title", "name"]);
    let url = first(&["url", "link", "href"]);
    let snippet = first(&["snippet", "description", "content", "text", "body"]);
    let published = first(&["published", "date", "publishedDate", "published_date"]);
    Hit::of(item, [title, url, snippet]).score(item, "score").published(item, published)
}

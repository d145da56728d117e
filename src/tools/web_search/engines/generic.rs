use serde_json::Value;

use crate::tools::output::SearchHit;
use crate::tools::web_search::provider::{Provider, hit};

/// Any service that takes `GET ?q=&limit=&max_results=`, with filters under their own names and the key as a bearer token, and
/// answers with a list of results in one of the usual shapes: the list itself, or one under a usual name, of objects whose members
/// have usual names. The original asked every service so, but for `max_results`, and read `results`, `items` and `data`.
pub(super) const PROVIDER: Provider = Provider {
    name: "The search service",
    needs_key: false,
    request: |request| {
        let filters =
            ["language", "country", "site", "safe", "time_range"].map(|name| (name, request.query.filter(name)));
        let count = Some(request.count.to_string());
        let plain = [("q", Some(request.query.text.clone())), ("limit", count.clone()), ("max_results", count)];
        request.get(plain.into_iter().chain(filters)).bearer(request.key)
    },
    read: |reply| {
        let lists = || LIST_POINTERS.iter().filter_map(|pointer| reply.pointer(pointer)?.as_array());
        let items = lists().find(|items| !items.is_empty()).or_else(|| lists().next());
        let items =
            items.ok_or_else(|| format!("answered with JSON that holds no list under a usual name: {}", LIST_NAMES))?;
        Ok(items.iter().map(hit_of).collect())
    },
    ..Provider::DEFAULTS
};

const LIST_NAMES: &str = "results, items, organic, data, hits, webPages.value or web.results";
const LIST_POINTERS: [&str; 8] =
    ["", "/results", "/items", "/organic", "/data", "/hits", "/webPages/value", "/web/results"];

fn hit_of(item: &Value) -> SearchHit {
    let first = |names: &[&'static str]| {
        let is_set =
            |name: &&&'static str| item.get(**name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        names.iter().find(is_set).copied().unwrap_or_default()
    };
    let (title, url) = (first(&["title", "name"]), first(&["url", "link", "href"]));
    let snippet = first(&["snippet", "description", "content", "text", "body"]);
    let published = first(&["published", "date", "publishedDate", "published_date"]);
    hit(item, [title, url, snippet, published, "score"])
}

use serde_json::json;

use super::hit::Hit;
use super::provider::{KEY_REFUSED, Provider, list};

/// Tavily Search.
///
/// `POST https://api.tavily.com/search` with a bearer token and `{"query", "max_results", "time_range", "include_domains"}`;
/// `max_results` up to 20, `time_range` `day`, `week`, `month` or `year`. Results are `results[]` with `title`, `url`, `content`,
/// `score` and, for news, `published_date`. Errors are `{"detail": {"error"}}`: 401 for the key, 429 for too many requests, 432
/// and 433 for used up plans. Source: <https://docs.tavily.com/documentation/api-reference/endpoint/search>, Tavily's own client
/// <https://github.com/tavily-ai/tavily-python/blob/master/tavily/tavily.py>, and
/// <https://help.tavily.com/articles/8645538886-understanding-http-errors>.
pub(super) const PROVIDER: Provider = Provider {
    key: "tavily",
    name: "Tavily",
    server: Some("https://api.tavily.com"),
    path: "/search",
    nested: false,
    needs_key: true,
    needs_engine: false,
    filters: &["site"],
    time_ranges: &["day", "week", "month", "year"],
    page: 20,
    pages: 1,
    refused: KEY_REFUSED,
    request: |request| {
        let body = json!({
            "query": request.query.text,
            "max_results": request.count,
            "time_range": request.filter("time_range"),
            "include_domains": request.filter("site").map(|site| [site]),
        });
        request.post(body).bearer(request.key)
    },
    read: |reply| {
        let hit =
            |item| Hit::of(item, ["title", "url", "content"]).score(item, "score").published(item, "published_date");
        Ok(list(reply, "/results", "/query")?.iter().map(hit).collect())
    },
};

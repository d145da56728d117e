use serde_json::json;

use super::hit::Hit;
use super::provider::{Provider, REFUSED_KEY, list};

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
    refused: REFUSED_KEY,
    ask: |ask| {
        let body = json!({
            "query": ask.query.text,
            "max_results": ask.count,
            "time_range": ask.filter("time_range"),
            "include_domains": ask.filter("site").map(|site| [site]),
        });
        ask.post(body).bearer(ask.key)
    },
    read: |reply| {
        let hit =
            |item| Hit::of(item, ["title", "url", "content"]).score(item, "score").published(item, "published_date");
        Ok(list(reply, "/results", "/query")?.iter().map(hit).collect())
    },
};

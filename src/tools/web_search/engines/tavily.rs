use serde_json::json;

use crate::tools::web_search::provider::{Provider, hits};

/// Tavily Search.
///
/// `POST https://api.tavily.com/search` with a bearer token and `{"query", "max_results", "time_range", "include_domains"}`;
/// `max_results` up to 20, `time_range` `day`, `week`, `month` or `year`. Results are `results[]` with `title`, `url`, `content`,
/// `score` and, for news, `published_date`. Errors are `{"detail": {"error"}}`: 401 for the key, 429 for too many requests, 432
/// and 433 for used up plans. Source: <https://docs.tavily.com/documentation/api-reference/endpoint/search>, Tavily's own client
/// <https://github.com/tavily-ai/tavily-python/blob/master/tavily/tavily.py>, and
/// <https://help.tavily.com/articles/8645538886-understanding-http-errors>.
pub(super) const PROVIDER: Provider = Provider {
    name: "Tavily",
    server: Some("https://api.tavily.com"),
    path: "/search",
    filters: &["site"],
    page: 20,
    request: |request| {
        let body = json!({
            "query": request.query.text,
            "max_results": request.count,
            "time_range": request.query.filter("time_range"),
            "include_domains": request.query.filter("site").map(|site| [site]),
        });
        request.post(body).bearer(request.key)
    },
    read: |reply| hits(reply, "/results", &["/query"], ["title", "url", "content", "published_date", "score"]),
    ..Provider::DEFAULTS
};

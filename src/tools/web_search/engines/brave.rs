use crate::outbound::Call;
use crate::tools::web_search::provider::{Provider, hits};

/// Brave Search API.
///
/// `GET https://api.search.brave.com/res/v1/web/search?q=` with the header `X-Subscription-Token`; `count` up to 20, `offset` in
/// pages from 0 to 9, `country`, `search_lang`, `freshness` as `pd`, `pw`, `pm` or `py`, `safesearch`, `result_filter`. Results are
/// `web.results[]` with `title`, `url`, `description` (HTML) and `page_age`. A refused key is a 422 with the code
/// `SUBSCRIPTION_TOKEN_INVALID`, too many requests are a 429 with `RATE_LIMITED`. Source:
/// <https://api-dashboard.search.brave.com/documentation>, and the parameters in Brave's own client,
/// <https://github.com/brave/brave-search-mcp-server/blob/main/src/tools/web/params.ts>.
pub(super) const PROVIDER: Provider = Provider {
    name: "Brave Search",
    server: Some("https://api.search.brave.com"),
    path: "/res/v1/web/search",
    page: 20,
    pages: 3,
    request: |request| {
        let call = request.get([
            ("q", Some(request.text())),
            ("count", Some(request.count.to_string())),
            ("offset", (request.page > 0).then(|| request.page.to_string())),
            ("result_filter", Some("web".to_owned())),
            ("country", request.query.filter("country").map(|country| country.to_ascii_uppercase())),
            ("search_lang", request.query.filter("language").map(|language| language.to_ascii_lowercase())),
            (
                "freshness",
                request.query.filter("time_range").map(|range| format!("p{}", range.get(..1).unwrap_or("y"))),
            ),
            ("safesearch", request.query.filter("safe")),
        ]);
        Call { headers: request.key_in("X-Subscription-Token"), ..call }
    },
    read: |reply| hits(reply, "/web/results", &["/type"], ["title", "url", "description", "page_age", ""]),
    ..Provider::DEFAULTS
};

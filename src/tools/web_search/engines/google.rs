use crate::kernel::Secret;
use crate::tools::web_search::provider::{Provider, hits};

/// Google's Custom Search JSON API.
///
/// `GET https://www.googleapis.com/customsearch/v1?key=&cx=&q=`; `num` 1 to 10, `start` from 1, up to 100 results; `lr` as
/// `lang_en`, `gl` a country, `dateRestrict` as `d1`, `safe` `active` or `off`. Results are `items[]` with `title`, `link` and
/// `snippet`; without any, `items` is missing. Source: <https://developers.google.com/custom-search/v1/reference/rest/v1/cse/list>,
/// and <https://developers.google.com/custom-search/v1/reference/rest/v1/Search>. Used up quota is a 429, formerly a 403 with the
/// reason `dailyLimitExceeded`.
pub(super) const PROVIDER: Provider = Provider {
    name: "Google Custom Search",
    server: Some("https://www.googleapis.com"),
    path: "/customsearch/v1",
    needs_engine: true,
    page: 10,
    pages: 5,
    request: |request| {
        let restrict = request.query.filter("time_range").map(|range| format!("{}1", range.get(..1).unwrap_or("d")));
        let safe = request.query.filter("safe").map(|safe| if safe == "off" { safe } else { "active".to_owned() });
        request.get([
            ("key", request.key.map(Secret::expose).map(str::to_owned)),
            ("cx", request.engine.map(str::to_owned)),
            ("q", Some(request.text())),
            ("num", Some(request.count.to_string())),
            ("start", Some((request.page * 10 + 1).to_string())),
            ("lr", request.query.filter("language").map(|language| format!("lang_{language}"))),
            ("gl", request.query.filter("country").map(|country| country.to_ascii_lowercase())),
            ("dateRestrict", restrict),
            ("safe", safe),
        ])
    },
    read: |reply| hits(reply, "/items", &["/queries", "/searchInformation"], ["title", "link", "snippet", "", ""]),
    ..Provider::DEFAULTS
};

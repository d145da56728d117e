use crate::kernel::Secret;
use crate::outbound::Call;
use crate::tools::web_search::provider::{Provider, hits};

/// Bing Web Search API v7. Microsoft retired its own service on 11 August 2025; the format lives on in services that took it
/// over, which `config.endpoint` may name.
///
/// `GET https://api.bing.microsoft.com/v7.0/search?q=` with the header `Ocp-Apim-Subscription-Key`; `count` up to 50, `mkt` as
/// `en-US`, `setLang`, `cc` with `Accept-Language`, `freshness`, `safeSearch`. Results are `webPages.value[]` with `name`, `url`
/// and `snippet`; without any, `webPages` is missing. Quota used up: 403, or 429 per second. Source:
/// <https://learn.microsoft.com/en-us/bing/search-apis/bing-web-search/reference/query-parameters>, and its neighbours `endpoints`
/// and `error-codes`.
pub(super) const PROVIDER: Provider = Provider {
    name: "Bing Web Search",
    server: Some("https://api.bing.microsoft.com"),
    path: "/v7.0/search",
    time_ranges: &["day", "week", "month"],
    request: |request| {
        let (language, country) =
            (request.query.filter("language"), request.query.filter("country").map(|code| code.to_ascii_uppercase()));
        let mut headers = request.key_in("Ocp-Apim-Subscription-Key");
        let (market, language, country) = match (language, country) {
            (Some(language), Some(country)) => {
                let plain = language.split('-').next().unwrap_or_default().to_ascii_lowercase();
                (Some(format!("{plain}-{country}")), None, None)
            }
            (None, Some(country)) => {
                headers.push(("Accept-Language".to_owned(), Secret::new("en")));
                (None, None, Some(country))
            }
            (language, None) => (None, language, None),
        };
        let call = request.get([
            ("q", Some(request.text())),
            ("count", Some(request.count.to_string())),
            ("responseFilter", Some("Webpages".to_owned())),
            ("mkt", market),
            ("setLang", language),
            ("cc", country),
            ("freshness", request.query.filter("time_range").map(|range| capitalize(&range))),
            ("safeSearch", request.query.filter("safe").map(|safe| capitalize(&safe))),
        ]);
        Call { headers, ..call }
    },
    read: |reply| hits(reply, "/webPages/value", &["/_type"], ["name", "url", "snippet", "datePublished", ""]),
    ..Provider::DEFAULTS
};

fn capitalize(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

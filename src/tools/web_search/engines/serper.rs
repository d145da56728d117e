use serde_json::json;

use crate::outbound::Call;
use crate::tools::web_search::provider::{Provider, hits};

/// Serper, which asks Google.
///
/// `POST https://google.serper.dev/search` with the header `X-API-KEY` and `{"q", "num", "gl", "hl", "tbs"}`; `tbs` as in Google's
/// own URLs, `qdr:d` for the last day. Results are `organic[]` with `title`, `link`, `snippet` and `date`. A refused key is
/// `403 {"message": "Unauthorized.", "statusCode": 403}`, too many requests are a 429. Source: <https://serper.dev/playground>
/// (behind a login; read in clients, such as
/// <https://github.com/open-webui/open-webui/blob/main/backend/open_webui/retrieval/web/serper.py>). That used up credits are
/// `400 {"message": "Not enough credits"}` is hearsay.
pub(super) const PROVIDER: Provider = Provider {
    name: "Serper",
    server: Some("https://google.serper.dev"),
    path: "/search",
    filters: &["language", "country", "site"],
    request: |request| {
        let body = json!({
            "q": request.text(),
            "num": request.count,
            "gl": request.query.filter("country").map(|country| country.to_ascii_lowercase()),
            "hl": request.query.filter("language").map(|language| language.to_ascii_lowercase()),
            "tbs": request.query.filter("time_range").map(|range| format!("qdr:{}", range.get(..1).unwrap_or("y"))),
        });
        Call { headers: request.key_in("X-API-KEY"), ..request.post(body) }
    },
    read: |reply| hits(reply, "/organic", &["/searchParameters"], ["title", "link", "snippet", "date", ""]),
    ..Provider::DEFAULTS
};

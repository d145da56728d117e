use serde_json::Value;

use crate::tools::web_search::provider::{Provider, hits};

/// SearXNG, a metasearch engine that people run themselves.
///
/// `GET /search?q=&format=json`; `pageno` from 1, `language`, `time_range` `day`, `week`, `month` or `year`, `safesearch` 0, 1 or
/// 2. Results are `results[]` with `title`, `url`, `content`, `score` and `publishedDate`; engines that failed are
/// `unresponsive_engines[]`, each with name and cause. 403 if JSON is not among the formats that it is set to give. Source:
/// <https://docs.searxng.org/dev/search_api.html>, and `searx/webadapter.py` in <https://github.com/searxng/searxng> for the weeks.
pub(super) const PROVIDER: Provider = Provider {
    name: "SearXNG",
    path: "/search",
    nested: true,
    needs_key: false,
    filters: &["language", "site", "safe"],
    page: 10,
    pages: 5,
    refused: "gives no JSON to this server; its settings.yml should list json under search.formats, and its limiter let this \
              server pass",
    request: |request| {
        let safe = request.query.filter("safe").map(|safe| match safe.as_str() {
            "off" => "0".to_owned(),
            "moderate" => "1".to_owned(),
            _ => "2".to_owned(),
        });
        let call = request.get([
            ("q", Some(request.text())),
            ("format", Some("json".to_owned())),
            ("pageno", (request.page > 0).then(|| (request.page + 1).to_string())),
            ("language", request.query.filter("language")),
            ("time_range", request.query.filter("time_range")),
            ("safesearch", safe),
        ]);
        // None is needed; a proxy in front may ask for one.
        call.bearer(request.key)
    },
    read: |reply| {
        let hits = hits(reply, "/results", &["/query"], ["title", "url", "content", "publishedDate", "score"])?;
        let unresponsive = unresponsive(reply);
        if hits.is_empty() && !unresponsive.is_empty() {
            return Err(format!("found nothing, but these of its engines did not answer: {}", unresponsive.join(", ")));
        }
        Ok(hits)
    },
    ..Provider::DEFAULTS
};

/// The engines that did not answer, with the cause of each.
fn unresponsive(reply: &Value) -> Vec<String> {
    let engines = reply.get("unresponsive_engines").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text = |engine: &Value| {
        let part =
            |index: usize| engine.get(index).and_then(Value::as_str).unwrap_or_default().chars().take(60).collect();
        let (name, cause): (String, String) = (part(0), part(1));
        if cause.is_empty() { name } else { format!("{name} ({cause})") }
    };
    engines.iter().take(10).map(text).collect()
}

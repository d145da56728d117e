use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::fields::{read_secret, read_service, read_timeout};
use crate::kernel::{Fields, Lenient, LenientResult, Secret, SecretUrl, read_word};
use crate::settings::bounds;

/// Who searches the web.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SearchProvider {
    /// Any service that takes `q` and answers with a list of results, as the original spoke to all of them.
    Generic,
    /// Google Custom Search.
    Google,
    /// Bing Web Search.
    Bing,
    /// Brave Search.
    Brave,
    /// Tavily.
    Tavily,
    /// Serper.
    Serper,
    /// SearXNG; it needs no key.
    Searxng,
}

impl SearchProvider {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 7] = [
        ("generic", Self::Generic),
        ("google", Self::Google),
        ("bing", Self::Bing),
        ("brave", Self::Brave),
        ("tavily", Self::Tavily),
        ("serper", Self::Serper),
        ("searxng", Self::Searxng),
    ];

    /// Its name in configurations.
    pub fn as_str(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, other)| *other == self).map_or("", |(name, _)| name)
    }
}

impl Lenient for SearchProvider {
    fn read(value: &Value) -> LenientResult<Self> {
        let expected = "Input should be 'generic', 'google', 'bing', 'brave', 'tavily', 'serper' or 'searxng'; or another \
            name and the endpoint of its service";
        read_word(value.as_str().map(str::trim), expected)
    }
}

/// Options of `web_search`.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// `provider`, or [`SearchProvider::Generic`] for a service of one's own that has another's name or one that is not known.
    pub provider: SearchProvider,
    /// `endpoint` with `port`, or else `base_url`; the provider's own if there is none.
    pub endpoint: Option<SecretUrl>,
    /// `api_key` or `auth_token`
    pub api_key: Option<Secret>,
    /// `engine_id` or `cx`: the search engine of Google Custom Search.
    pub engine_id: Option<String>,
    /// `max_results`: how many results are asked for unless a caller says so.
    pub max_results: usize,
    /// `timeout`
    pub timeout: Option<Duration>,
}

/// The keys of `config` that name a service.
const ENDPOINT: &str = "endpoint";
const BASE_URL: &str = "base_url";

impl SearchOptions {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let engine_id: Option<String> = fields.optional("engine_id");
        let engine_id = engine_id.or_else(|| fields.optional("cx"));
        let endpoint = read_service(fields, [ENDPOINT, BASE_URL]);
        Self {
            provider: read_provider(fields, endpoint.as_ref(), engine_id.is_some()),
            endpoint,
            api_key: read_secret(fields, ["api_key", "auth_token"]),
            engine_id,
            max_results: fields.count_or("max_results", 10, bounds::SEARCH_RESULTS),
            timeout: read_timeout(fields),
        }
    }
}

/// Who is asked. In the original the provider was but a name, and the endpoint decided: so it is for names that are not known, and
/// for Google where neither its server nor one of its search engines is meant.
fn read_provider(fields: &mut Fields<'_>, endpoint: Option<&SecretUrl>, has_engine: bool) -> SearchProvider {
    let name = fields.value("provider").filter(|name| name.is_string());
    let is_unknown = name.is_some_and(|name| SearchProvider::read(name).is_err());
    let has_endpoint = [ENDPOINT, BASE_URL].into_iter().any(|key| fields.value(key).is_some());
    if is_unknown && has_endpoint {
        return SearchProvider::Generic;
    }
    match fields.or("provider", SearchProvider::Generic) {
        SearchProvider::Google if !has_engine && endpoint.is_some_and(|url| !is_googles(url)) => {
            SearchProvider::Generic
        }
        provider => provider,
    }
}

fn is_googles(url: &SecretUrl) -> bool {
    let url = url.parse();
    let host = url.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
    host == "googleapis.com" || host.ends_with(".googleapis.com")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn provider(config: Value) -> Result<SearchProvider, Vec<String>> {
        let mut fields = Fields::new(config.as_object().unwrap(), Vec::new());
        let options = SearchOptions::read(&mut fields);
        let issues = fields.into_issues();
        if issues.is_empty() { Ok(options.provider) } else { Err(issues.iter().map(|issue| issue.path()).collect()) }
    }

    #[test]
    fn a_service_of_ones_own_is_asked_plainly_whatever_it_is_called() {
        use SearchProvider::{Bing, Generic, Google};
        let rows = [
            (json!({"provider": "google", "endpoint": "https://search.example/api"}), Generic),
            (json!({"provider": " Google ", "base_url": "http://search"}), Generic),
            (json!({"provider": "google", "endpoint": "https://googleapis.com.example/"}), Generic),
            (json!({"provider": "google", "endpoint": "https://search.example/api", "cx": "e"}), Google),
            (json!({"provider": "google", "endpoint": "https://www.GoogleApis.com/customsearch/v1"}), Google),
            (json!({"provider": "google"}), Google),
            (json!({"provider": "DuckDuckGo", "endpoint": "http://search"}), Generic),
            (json!({"provider": "bing", "endpoint": "http://search"}), Bing),
            (json!({}), Generic),
        ];
        for (config, expected) in rows {
            assert_eq!(provider(config.clone()), Ok(expected), "{config}");
        }
        assert_eq!(provider(json!({"provider": "duckduckgo"})), Err(vec!["provider".to_owned()]));
        assert_eq!(provider(json!({"provider": 5, "endpoint": "http://search"})), Err(vec!["provider".to_owned()]));
        assert_eq!(provider(json!({"provider": "x", "endpoint": "search"})), Err(vec!["endpoint".to_owned()]));
    }
}

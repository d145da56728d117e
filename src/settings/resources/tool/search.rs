use std::time::Duration;

use serde_json::Value;

use super::fields::{read_secret, read_service, read_timeout};
use crate::kernel::{Fields, Lenient, LenientResult, Secret, SecretUrl, read_word};
use crate::settings::bounds;

/// Who searches the web.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchProvider {
    /// Any service that takes `q` and answers with a list of results.
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
}

impl Lenient for SearchProvider {
    fn read(value: &Value) -> LenientResult<Self> {
        read_word(
            value.as_str().map(str::trim),
            &Self::ALL,
            "Input should be 'generic', 'google', 'bing', 'brave', 'tavily', 'serper' or 'searxng'",
        )
    }
}

/// Options of `web_search`.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// `provider`
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

impl SearchOptions {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let engine_id: Option<String> = fields.optional("engine_id");
        Self {
            provider: fields.or("provider", SearchProvider::Generic),
            endpoint: read_service(fields, ["endpoint", "base_url"]),
            api_key: read_secret(fields, ["api_key", "auth_token"]),
            engine_id: engine_id.or_else(|| fields.optional("cx")),
            max_results: usize::try_from(fields.int_or("max_results", 10, bounds::SEARCH_RESULTS)).unwrap_or(10),
            timeout: read_timeout(fields),
        }
    }
}

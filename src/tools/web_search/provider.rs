use serde_json::Value;
use url::Url;

use super::hit::Hit;
use super::query::SearchQuery;
use super::{bing, brave, generic, google, searxng, serper, tavily};
use crate::kernel::Secret;
use crate::outbound::Call;
use crate::settings::{SearchOptions, SearchProvider};

/// How a search engine is spoken to.
pub(super) struct Provider {
    /// Its name in configurations.
    pub(super) key: &'static str,
    /// Its name in sentences.
    pub(super) name: &'static str,
    /// Its public server; none if everybody has one of their own.
    pub(super) server: Option<&'static str>,
    /// Where a server of its kind takes searches.
    pub(super) path: &'static str,
    /// Whether it takes searches below the path of an endpoint that leads elsewhere.
    pub(super) nested: bool,
    /// Whether it asks for a key.
    pub(super) needs_key: bool,
    /// Whether it asks which engine is meant.
    pub(super) needs_engine: bool,
    /// The filters that it has, besides the time range.
    pub(super) filters: &'static [&'static str],
    /// The time ranges that it has.
    pub(super) time_ranges: &'static [&'static str],
    /// Results that it gives at once.
    pub(super) page: usize,
    /// How often it is asked for one search.
    pub(super) pages: usize,
    /// What the statuses 401 and 403 say about the configuration; completes a sentence that begins with its name.
    pub(super) refused: &'static str,
    /// The request for a page.
    pub(super) request: fn(&PageRequest<'_>) -> Call,
    /// The results in a reply; the error completes a sentence that begins with its name.
    pub(super) read: fn(&Value) -> Result<Vec<Hit>, String>,
}

/// One page of a search that is to be asked for.
pub(super) struct PageRequest<'a> {
    /// Where searches are taken.
    pub(super) url: &'a Url,
    pub(super) query: &'a SearchQuery,
    pub(super) key: Option<&'a Secret>,
    pub(super) engine: Option<&'a str>,
    /// Which page, from 0.
    pub(super) page: usize,
    /// Results on each page.
    pub(super) count: usize,
}

/// What most engines mean by 401 and 403.
pub(super) const KEY_REFUSED: &str = "refused the key; config.api_key should be one that is valid for this service";

/// The engine behind a name.
pub(super) fn of(provider: SearchProvider) -> &'static Provider {
    match provider {
        SearchProvider::Generic => &generic::PROVIDER,
        SearchProvider::Google => &google::PROVIDER,
        SearchProvider::Bing => &bing::PROVIDER,
        SearchProvider::Brave => &brave::PROVIDER,
        SearchProvider::Tavily => &tavily::PROVIDER,
        SearchProvider::Serper => &serper::PROVIDER,
        SearchProvider::Searxng => &searxng::PROVIDER,
    }
}

impl Provider {
    /// Where searches go; the error tells what the configuration lacks.
    pub(super) fn url(&self, options: &SearchOptions) -> Result<Url, String> {
        let key = self.key;
        let needs = |what: &str| Err(format!("the provider '{key}' needs {what}"));
        if self.needs_key && options.api_key.is_none() {
            return needs("config.api_key");
        }
        if self.needs_engine && options.engine_id.is_none() {
            return needs("config.engine_id, the ID of the search engine (cx)");
        }
        let given = options.endpoint.as_ref().map(|endpoint| endpoint.expose());
        let Some(mut url) = given.or(self.server).and_then(|server| Url::parse(server).ok()) else {
            return needs("config.endpoint, the URL of the service");
        };
        // An endpoint with a path is meant as it stands; a bare server is one of the engine's usual kind.
        let path = url.path().trim_end_matches('/').to_owned();
        if path.is_empty() || self.nested && !path.ends_with(self.path) {
            url.set_path(&format!("{path}{}", self.path));
        }
        Ok(url)
    }
}

impl PageRequest<'_> {
    /// A GET with these parameters; those without a value are left out.
    pub(super) fn get<'b>(&self, pairs: impl IntoIterator<Item = (&'b str, Option<String>)>) -> Call {
        let mut url = self.url.clone();
        let given = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
        url.query_pairs_mut().extend_pairs(given);
        Call::get(url.as_str())
    }

    /// A POST of this JSON; members that are null are left out.
    pub(super) fn post(&self, mut json: Value) -> Call {
        if let Some(members) = json.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        Call::post(self.url.as_str(), &json)
    }

    /// A filter, if it was given.
    pub(super) fn filter(&self, name: &str) -> Option<String> {
        self.query.filter(name).map(str::to_owned)
    }

    /// The text of the query for engines that know `site:` as a part of it.
    pub(super) fn text(&self) -> String {
        match self.query.filter("site") {
            Some(site) => format!("{} site:{site}", self.query.text),
            None => self.query.text.clone(),
        }
    }

    /// A header that holds the key.
    pub(super) fn key_in(&self, header: &str) -> Vec<(String, Secret)> {
        self.key.map(|key| (header.to_owned(), key.clone())).into_iter().collect()
    }
}

/// The results under `pointer`. Where there is no list there are no results, if `marker` shows that it is a reply of the right
/// kind.
pub(super) fn list<'a>(reply: &'a Value, pointer: &str, marker: &str) -> Result<&'a [Value], String> {
    match reply.pointer(pointer) {
        Some(Value::Array(items)) => Ok(items),
        None | Some(Value::Null) if reply.pointer(marker).is_some_and(|mark| !mark.is_null()) => Ok(&[]),
        _ => Err("answered with JSON that is no list of results in its documented form".to_owned()),
    }
}

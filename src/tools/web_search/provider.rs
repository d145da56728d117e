use serde_json::Value;
use url::Url;

use super::query::SearchQuery;
use crate::kernel::Secret;
use crate::outbound::Call;
use crate::settings::SearchOptions;
use crate::tools::output::SearchHit;

/// How a search engine is spoken to.
pub(super) struct Provider {
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
    pub(super) read: fn(&Value) -> Result<Vec<SearchHit>, String>,
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

impl Provider {
    /// What most engines have in common.
    pub(super) const DEFAULTS: Self = Self {
        name: "",
        server: None,
        path: "/",
        nested: false,
        needs_key: true,
        needs_engine: false,
        filters: &["language", "country", "site", "safe"],
        time_ranges: &["day", "week", "month", "year"],
        page: 50,
        pages: 1,
        refused: "refused the key; config.api_key should be one that is valid for this service",
        request: |request| request.get([]),
        read: |_| Ok(Vec::new()),
    };

    /// Where searches go; the error tells what the configuration lacks.
    pub(super) fn url(&self, options: &SearchOptions) -> Result<Url, String> {
        let key = options.provider.as_str();
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

/// The results in the list under `pointer`; none where there is no list, if one of the markers shows the right kind of reply.
pub(super) fn hits(reply: &Value, pointer: &str, markers: &[&str], names: [&str; 5]) -> Result<Vec<SearchHit>, String> {
    let is_set = |marker: &&str| reply.pointer(marker).is_some_and(|mark| !mark.is_null());
    match reply.pointer(pointer) {
        Some(Value::Array(items)) => Ok(items.iter().map(|item| hit(item, names)).collect()),
        None | Some(Value::Null) if markers.iter().any(is_set) => Ok(Vec::new()),
        _ => Err("answered with JSON that is no list of results in its documented form".to_owned()),
    }
}

/// The result in an item with members of these names: title, URL, snippet, date, score; `""` if there is none such.
pub(super) fn hit(item: &Value, [title, url, snippet, published, score]: [&str; 5]) -> SearchHit {
    let text = |name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned);
    SearchHit {
        title: text(title).unwrap_or_default(),
        url: text(url).unwrap_or_default(),
        snippet: text(snippet).unwrap_or_default(),
        score: item.get(score).and_then(Value::as_f64),
        published: text(published),
    }
}

//! `web_search`: asks a search engine and gives one kind of result list, whoever answers.
//!
//! `provider` says how each engine is spoken to, one file per engine; `query` reads what a model asks for, `hit` tidies what was
//! found, `refusal` puts refusals into words. The runtime calls [`describe`], [`execute`] and [`check`]. To add an engine: a
//! variant of `SearchProvider`, a file with its `Provider`, its line in `provider::of`.

mod bing;
mod brave;
mod generic;
mod google;
mod hit;
mod provider;
mod query;
mod refusal;
mod searxng;
mod serper;
mod tavily;

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Tool;
use super::check::ToolCheck;
use super::function::FunctionSpec;
use super::result::ToolResult;
use crate::kernel::{Deadline, JsonError};
use crate::outbound::{CallError, HttpClient, Reply, RetryDecision, RetryPolicy, display_url, retry};
use crate::settings::{SearchOptions, SearchProvider};
use hit::Hit;
use provider::{PageRequest, Provider};
use query::SearchQuery;

/// Largest reply of an engine, in bytes.
const MAX_REPLY_BYTES: usize = 4_000_000;
/// Longest test. The original's limit for its tests of HTTP tools.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// A search changes nothing, so one that found nobody listening is tried once more.
const RETRY: RetryPolicy =
    RetryPolicy { attempts: 2, initial_backoff: Duration::from_millis(300), max_backoff: Duration::from_millis(300) };

/// What the tool is offered as.
pub(super) fn describe(options: &SearchOptions) -> FunctionSpec {
    let parameters = query::schema(provider::of(options.provider), options.max_results);
    FunctionSpec { description: "Search the web for information".to_owned(), parameters }
}

/// Does what the arguments, which fit the schema, ask for.
pub(super) async fn execute(
    http: &HttpClient,
    tool: &Tool,
    options: &SearchOptions,
    arguments: &Map<String, Value>,
    deadline: Deadline,
) -> ToolResult {
    let prepared = Search::new(http, tool, options)
        .and_then(|search| Ok((search, SearchQuery::read(arguments, options.max_results)?)))
        .map_err(|why| ToolResult::error(format!("Tool '{}' was not run: {why}", tool.name)));
    let (search, query) = match prepared {
        Ok(prepared) => prepared,
        Err(refused) => return refused,
    };
    let (found, problem) = search.run(&query, deadline).await;
    let result = match problem {
        Some(SearchError::Call(error)) if found.is_empty() => ToolResult::call(&search.who(), &error),
        Some(SearchError::Refused(status, text)) if found.is_empty() => {
            ToolResult::failure(text).with("status_code", status)
        }
        Some(problem) => search.success(&query, &found).with("incomplete", problem.text(&search.who())),
        None => search.success(&query, &found),
    };
    result.with("provider", search.provider.key).with("endpoint", search.shown())
}

/// Looks whether the tool can do its work. A search would cost its owner money, except at SearXNG, which is asked.
pub(super) async fn check(http: &HttpClient, tool: &Tool, options: &SearchOptions, deadline: Deadline) -> ToolCheck {
    let search = match Search::new(http, tool, options) {
        Err(missing) => return ToolCheck::incomplete(format!("Tool '{}' can't search: {missing}", tool.name)),
        Ok(_) if options.provider != SearchProvider::Searxng => return ToolCheck::untested(&tool.effective.kind),
        Ok(search) => search,
    };
    let query = SearchQuery::for_text("test");
    let found = match search.run(&query, deadline.at_most(CHECK_TIMEOUT)).await {
        (_, Some(SearchError::Call(error))) => ToolCheck::unreachable(&error, CHECK_TIMEOUT.as_secs()),
        (_, Some(SearchError::Refused(status, text))) => {
            ToolCheck::failed("error", "Search failed", text).with("status_code", status)
        }
        (found, None) => {
            let message = format!("Tool endpoint is reachable: a search found {} results", found.len());
            ToolCheck::passed("reachable", message).with("status_code", 200)
        }
    };
    found.with("endpoint_url", search.shown())
}

/// A search engine as a tool has it configured.
struct Search<'a> {
    http: &'a HttpClient,
    tool: &'a Tool,
    options: &'a SearchOptions,
    provider: &'static Provider,
    url: url::Url,
}

/// Why there are no more results.
enum SearchError {
    Call(CallError),
    /// The status of a reply, and what is wrong with it in a full sentence.
    Refused(u16, String),
}

impl SearchError {
    fn text(&self, who: &str) -> String {
        match self {
            Self::Call(error) => format!("{who} {error}"),
            Self::Refused(_, text) => text.clone(),
        }
    }
}

impl<'a> Search<'a> {
    /// The error tells what the tool's owner has to add.
    fn new(http: &'a HttpClient, tool: &'a Tool, options: &'a SearchOptions) -> Result<Self, String> {
        let provider = provider::of(options.provider);
        let url = provider.url(options)?;
        Ok(Self { http, tool, options, provider, url })
    }

    /// What was found, page by page, and what ended it early.
    async fn run(&self, query: &SearchQuery, deadline: Deadline) -> (Vec<Hit>, Option<SearchError>) {
        let mut found: Vec<Hit> = Vec::new();
        let mut known = HashSet::new();
        let count = query.wanted.min(self.provider.page);
        for page in 0..self.provider.pages {
            let hits = match self.page(query, page, count, deadline).await {
                Ok(hits) => hits,
                Err(problem) => return (found, Some(problem)),
            };
            let given = hits.len();
            found.extend(hits.into_iter().filter_map(Hit::normalized).filter(|hit| known.insert(hit.url.clone())));
            if given < count || found.len() >= query.wanted {
                break;
            }
        }
        found.truncate(query.wanted);
        (found, None)
    }

    async fn page(
        &self,
        query: &SearchQuery,
        page: usize,
        count: usize,
        deadline: Deadline,
    ) -> Result<Vec<Hit>, SearchError> {
        let (key, engine) = (self.options.api_key.as_ref(), self.options.engine_id.as_deref());
        let call = (self.provider.request)(&PageRequest { url: &self.url, query, key, engine, page, count });
        let verdict = |error: &CallError| match error {
            CallError::Refused | CallError::Unreachable(_) => RetryDecision::Retry(None),
            _ => RetryDecision::Stop,
        };
        let (sent, _) = retry(RETRY, deadline, || self.http.send(&call, deadline), verdict).await;
        let reply = sent.map_err(SearchError::Call)?;
        let status = reply.status();
        if !(200..300).contains(&status) {
            return Err(SearchError::Refused(status, self.refusal(reply, deadline).await));
        }
        let reader = reply.reader();
        let body = reply.bytes(MAX_REPLY_BYTES, deadline).await.map_err(SearchError::Call)?;
        let wrong = |what: &str| SearchError::Refused(status, format!("{} {what}", self.who()));
        let json: Value = reader.read(&body).map_err(|error| match error {
            JsonError::TooManyValues(most) => SearchError::Call(CallError::TooManyValues(most)),
            JsonError::Invalid(_) => wrong(refusal::not_json(&body)),
        })?;
        (self.provider.read)(&json).map_err(|what| wrong(&what))
    }

    async fn refusal(&self, reply: Reply, deadline: Deadline) -> String {
        let redaction = self.tool.redaction();
        let what = refusal::explain(self.provider, reply, redaction, deadline).await;
        format!("{} {what}", self.who())
    }

    fn success(&self, query: &SearchQuery, found: &[Hit]) -> ToolResult {
        let results: Vec<_> = found.iter().map(Hit::to_json).collect();
        let (query, count) = (&query.text, results.len());
        ToolResult::success(json!({"query": query, "provider": self.provider.key, "results": results, "count": count}))
    }

    fn who(&self) -> String {
        format!("{} ({})", self.provider.name, self.shown())
    }

    fn shown(&self) -> String {
        display_url(self.url.as_str())
    }
}

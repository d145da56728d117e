//! `web_search`: asks a search engine and gives one kind of result list, whoever answers.
//!
//! `query` is what models are told and what one asks for; `provider` is what there is to know of an engine, and
//! `engines` has one file for each; `hit` makes plain text of what was found, `refusal` words what error replies mean. The
//! runtime calls [`describe`], [`execute`] and [`check`].

mod engines;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod hit;
mod provider;
mod query;
mod refusal;

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Map, Value};

use super::check::{HTTP_CHECK_TIMEOUT, ToolCheck, ToolCheckStatus};
use super::context::ToolContext;
use super::function::FunctionSpec;
use super::output::{SearchHit, SearchOutput, ToolOutput};
use super::result::ToolResult;
use crate::kernel::{Backoff, JsonError};
use crate::outbound::{CallError, RetryDecision, RetryPolicy, display_url, retry};
use crate::settings::{SearchOptions, SearchProvider};
use provider::{PageRequest, Provider};
use query::SearchQuery;

/// Largest reply of an engine, in bytes.
const MAX_REPLY_BYTES: usize = 4_000_000;
/// A search changes nothing, so one that found nobody listening is tried once more.
const RETRY: RetryPolicy =
    RetryPolicy { attempts: 2, backoff: Backoff::new(Duration::from_millis(300), Duration::from_millis(300)) };

/// What the tool is offered as.
pub(super) fn describe(options: &SearchOptions) -> FunctionSpec {
    let provider = engines::provider(options.provider);
    let parameters = query::schema(provider.filters, provider.time_ranges, options.max_results);
    FunctionSpec::new("Search the web for information", parameters)
}

/// Does what the arguments, which fit the schema, ask for.
pub(super) async fn execute(
    context: ToolContext<'_>,
    options: &SearchOptions,
    arguments: &Map<String, Value>,
) -> ToolResult {
    let prepared = Search::new(context, options)
        .and_then(|search| Ok((search, SearchQuery::read(arguments, options.max_results)?)));
    let (search, query) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => return ToolResult::error(format!("Tool '{}' was not run: {why}", context.tool.name)),
    };
    let (results, error) = search.run(&query).await;
    let result = match error {
        Some(SearchError::Call(error)) if results.is_empty() => ToolResult::call(&search.who(), &error),
        Some(SearchError::Refused(status, text)) if results.is_empty() => {
            ToolResult::failure(text).with("status_code", status)
        }
        error => {
            let (query, provider, count) = (query.text, options.provider.as_str(), results.len());
            ToolResult::success(ToolOutput::Search(SearchOutput { query, provider, results, count }))
                .with_some("incomplete", error.map(|error| error.text(&search.who())))
        }
    };
    result.with("provider", options.provider.as_str()).with("endpoint", search.endpoint())
}

/// Looks whether the tool can do its work. A search would cost its owner money, except at SearXNG, which is asked.
pub(super) async fn check(context: ToolContext<'_>, options: &SearchOptions) -> ToolCheck {
    let tool = context.tool;
    let context = ToolContext { deadline: context.deadline.at_most(HTTP_CHECK_TIMEOUT), ..context };
    let search = match Search::new(context, options) {
        Err(missing) => return ToolCheck::incomplete(format!("Tool '{}' can't search: {missing}", tool.name)),
        Ok(_) if options.provider != SearchProvider::Searxng => {
            return ToolCheck::not_applicable(&tool.effective.kind);
        }
        Ok(search) => search,
    };
    let check = match search.run(&SearchQuery::for_text("test")).await {
        (_, Some(SearchError::Call(error))) => ToolCheck::unreachable(&error, HTTP_CHECK_TIMEOUT.as_secs()),
        (_, Some(SearchError::Refused(status, text))) => {
            ToolCheck::failed(ToolCheckStatus::Error, "Search failed", text).with("status_code", status)
        }
        (found, None) => {
            let message = format!("Tool endpoint is reachable: a search found {} results", found.len());
            ToolCheck::passed(message).with("status_code", 200)
        }
    };
    check.with("endpoint_url", search.endpoint())
}

/// A search engine as a tool has it configured.
struct Search<'a> {
    context: ToolContext<'a>,
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
    fn text(self, who: &str) -> String {
        match self {
            Self::Call(error) => format!("{who} {error}"),
            Self::Refused(_, text) => text,
        }
    }
}

impl<'a> Search<'a> {
    /// The error tells what the tool's owner has to add.
    fn new(context: ToolContext<'a>, options: &'a SearchOptions) -> Result<Self, String> {
        let provider = engines::provider(options.provider);
        let url = provider.url(options)?;
        Ok(Self { context, options, provider, url })
    }

    /// What was found, page by page, and what ended it early.
    async fn run(&self, query: &SearchQuery) -> (Vec<SearchHit>, Option<SearchError>) {
        let mut found: Vec<SearchHit> = Vec::new();
        let mut known = HashSet::new();
        let count = query.wanted.min(self.provider.page);
        for page in 0..self.provider.pages {
            let hits = match self.page(query, page, count).await {
                Ok(hits) => hits,
                Err(error) => return (found, Some(error)),
            };
            let given = hits.len();
            found.extend(hits.into_iter().filter_map(hit::normalized).filter(|hit| known.insert(hit.url.clone())));
            if given < count || found.len() >= query.wanted {
                break;
            }
        }
        found.truncate(query.wanted);
        (found, None)
    }

    async fn page(&self, query: &SearchQuery, page: usize, count: usize) -> Result<Vec<SearchHit>, SearchError> {
        let ToolContext { tool, http, deadline, .. } = self.context;
        let (key, engine) = (self.options.api_key.as_ref(), self.options.engine_id.as_deref());
        let call = (self.provider.request)(&PageRequest { url: &self.url, query, key, engine, page, count });
        let decide = |error: &CallError| match error {
            CallError::Refused | CallError::Unreachable(_) => RetryDecision::Retry(None),
            _ => RetryDecision::Stop,
        };
        let (sent, _) = retry(RETRY, deadline, || http.send_following(&call, deadline), decide).await;
        let reply = sent.map_err(SearchError::Call)?;
        let status = reply.status();
        let wrong = |what: &str| SearchError::Refused(status, format!("{} {what}", self.who()));
        if !(200..300).contains(&status) {
            return Err(wrong(&refusal::explain(self.provider, reply, tool.redaction(), deadline).await));
        }
        let reader = reply.reader();
        let body = reply.bytes(MAX_REPLY_BYTES, deadline).await.map_err(SearchError::Call)?;
        let json: Value = reader.read(&body).map_err(|error| match error {
            JsonError::TooManyValues(most) => SearchError::Call(CallError::TooManyValues(most)),
            JsonError::Invalid(_) => wrong(refusal::not_json(&body)),
        })?;
        (self.provider.read)(&json).map_err(|what| wrong(&what))
    }

    fn who(&self) -> String {
        format!("{} ({})", self.provider.name, self.endpoint())
    }

    /// The URL, without what may be a credential.
    fn endpoint(&self) -> String {
        display_url(self.url.as_str())
    }
}

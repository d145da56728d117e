use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::answer::AgentAnswer;
use super::client::{AgentClient, AgentEntry, AgentFailure, AgentReply};
use crate::kernel::{Deadline, Error, FieldIssue};
use crate::outbound::{BreakerState, CallError, HttpClient, join_url};
use crate::settings::Settings;
use crate::storage::{ConfigRepository, ConfigService};
use crate::telemetry::metrics::{self, Callee};

/// How many agents are asked for a sign of life at once.
const MAX_CONCURRENT_PINGS: usize = 256;
/// What a caller of the API takes.
const ACCEPT_ANY: &str = "application/json, text/event-stream;q=0.9, */*;q=0.5";
/// Where an agent takes work, unless a call says otherwise.
pub(super) const DEFAULT_ENDPOINT: &str = "/execute";

/// Keeps, tests and calls agents. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AgentService {
    config: ConfigRepository,
    client: AgentClient,
}

/// A call to an agent.
#[derive(Clone, Debug)]
pub struct AgentCall {
    /// Path below the agent's URL.
    pub endpoint: String,
    /// HTTP method, in upper case.
    pub method: String,
    /// Limit of this call; at most the agent's own, which counts if this is none.
    pub timeout_seconds: Option<i64>,
    /// Sent as JSON.
    pub body: Option<Map<String, Value>>,
}

impl Default for AgentCall {
    fn default() -> Self {
        Self { endpoint: DEFAULT_ENDPOINT.to_owned(), method: "POST".to_owned(), timeout_seconds: None, body: None }
    }
}

/// Why an agent gave no answer.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum AgentError {
    /// The caller asked for what can't be.
    InvalidCall(#[from] Error),
    /// The agent failed, or can't be called.
    Failed(#[from] AgentFailure),
}

/// What came of a call: an answer, or a stream of events.
pub(super) enum CallOutcome {
    Answer(AgentAnswer),
    Stream(BoxStream<'static, Result<String, AgentFailure>>),
}

/// How an agent is.
#[derive(Clone, Debug)]
pub struct PingReport {
    /// Whether it answered as one that is well.
    pub healthy: bool,
    /// The agent's status, if it answered.
    pub status: Option<u16>,
    /// What that means.
    pub message: &'static str,
    /// Why it did not answer.
    pub error: Option<String>,
    /// How long that took.
    pub response_time_ms: f64,
    /// Whether calls go through to it.
    pub breaker: BreakerState,
}

impl ConfigService for AgentService {
    fn config(&self) -> &ConfigRepository {
        &self.config
    }
}

impl AgentService {
    /// A service that is configured in `config`.
    pub fn new(config: ConfigRepository, http: HttpClient) -> Self {
        Self { config, client: AgentClient::new(http) }
    }

    /// Calls an agent for a caller of the API, who may take the answer as a stream.
    pub(super) async fn call(
        &self,
        settings: &Settings,
        entry: &AgentEntry,
        call: &AgentCall,
    ) -> Result<CallOutcome, AgentError> {
        let limit = limit_of(entry, call.timeout_seconds)?;
        let whole = settings.orchestration.timeout.max(limit);
        let (deadline, started) = (Deadline::after(limit), Instant::now());
        let outcome = match self.send(entry, call, ACCEPT_ANY, deadline).await {
            Err(error) => Err(error),
            Ok(reply) if reply.is_stream() => Ok(CallOutcome::Stream(reply.stream(limit, Deadline::after(whole)))),
            Ok(reply) => reply.read(deadline).await.map(CallOutcome::Answer).map_err(Into::into),
        };
        count(entry, &outcome, started);
        outcome
    }

    /// Calls an agent for chat, which wants the whole answer before `deadline`.
    pub async fn ask(
        &self,
        entry: &AgentEntry,
        call: &AgentCall,
        deadline: Deadline,
    ) -> Result<AgentAnswer, AgentError> {
        let (deadline, started) = (deadline.at_most(entry.effective.timeout()), Instant::now());
        let outcome =
            async { Ok(self.send(entry, call, "application/json", deadline).await?.read(deadline).await?) }.await;
        count(entry, &outcome, started);
        outcome
    }

    async fn send(
        &self,
        entry: &AgentEntry,
        call: &AgentCall,
        accept: &'static str,
        deadline: Deadline,
    ) -> Result<AgentReply, AgentError> {
        let agent = &entry.effective;
        let url = join_url(agent.url.expose(), &call.endpoint)
            .map_err(|expected| wrong_query("endpoint", expected, call.endpoint.as_str().into()))?;
        if !agent.enabled {
            let error = format!("Agent '{}' is disabled", entry.name);
            return Err(AgentFailure { status: 400, error, timed_out: false }.into());
        }
        let body = call.body.clone().map(Value::Object);
        Ok(self.client.call(entry, &call.method, url, body.as_ref(), accept, deadline).await?)
    }

    /// Asks one agent for a sign of life, within its own timeout and before `deadline`; `None` if it is disabled.
    pub async fn ping(&self, entry: &AgentEntry, deadline: Deadline) -> Option<PingReport> {
        if !entry.effective.enabled {
            return None;
        }
        let started = Instant::now();
        let outcome = self.client.ping(entry, deadline.at_most(entry.effective.timeout())).await;
        let (status, message, error) = match outcome {
            Ok(200) => (Some(200), "Agent is reachable", None),
            Ok(status) => (Some(status), "Agent returned non-200 status", None),
            Err(CallError::Timeout) => {
                (None, "Agent did not respond within timeout period", Some("Connection timeout".to_owned()))
            }
            Err(error) => (None, "Failed to connect to agent", Some(format!("Agent '{}' {error}", entry.name))),
        };
        Some(PingReport {
            healthy: status == Some(200),
            status,
            message,
            error,
            response_time_ms: started.elapsed().as_secs_f64() * 1000.0,
            breaker: self.client.breaker(entry),
        })
    }

    /// Asks all agents at once, each as [`AgentService::ping`] does; the order is that of the catalog.
    pub async fn ping_all(&self, settings: &Settings, deadline: Deadline) -> Vec<(AgentEntry, Option<PingReport>)> {
        let entries: Vec<_> = settings.agents.iter().cloned().collect();
        let ask = |entry: AgentEntry| async move {
            let ping = self.ping(&entry, deadline).await;
            (entry, ping)
        };
        futures_util::stream::iter(entries).map(ask).buffered(MAX_CONCURRENT_PINGS).collect().await
    }

    /// The states of all agents' breakers.
    pub fn breakers(&self, settings: &Settings) -> Vec<BreakerState> {
        settings.agents.iter().map(|entry| self.client.breaker(entry)).collect()
    }
}

/// Tells the figures how a call ended, if one was made.
fn count<T>(entry: &AgentEntry, outcome: &Result<T, AgentError>, started: Instant) {
    let outcome = match outcome {
        Ok(_) => "ok",
        Err(AgentError::Failed(AgentFailure { timed_out: true, .. })) => "timeout",
        Err(AgentError::Failed(_)) => "error",
        Err(AgentError::InvalidCall(_)) => return,
    };
    metrics::call(Callee::Agent, entry.name.as_str(), outcome, started.elapsed());
}

fn limit_of(entry: &AgentEntry, asked: Option<i64>) -> Result<Duration, Error> {
    let most = entry.effective.timeout_seconds;
    match asked {
        Some(asked) if asked > most => {
            let msg = format!("Input should be at most the agent's own timeout_seconds, {most}");
            Err(wrong_query("timeout_seconds", msg, asked.into()))
        }
        asked => Ok(Duration::from_secs(asked.unwrap_or(most).unsigned_abs())),
    }
}

fn wrong_query(field: &str, msg: String, input: Value) -> Error {
    Error::invalid(vec![FieldIssue::new("value_error", vec!["query".into(), field.into()], msg, input)])
}

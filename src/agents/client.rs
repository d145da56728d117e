use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::Value;
use tokio::time::timeout;

use super::answer::{AgentAnswer, Payload, is_json_lines};
use super::event_redactor::EventRedactor;
use crate::kernel::{Deadline, JsonError};
use crate::outbound::{
    Body, BreakerState, Breakers, Call, CallError, HttpClient, Permit, Reply, display_url, join_url, read_lines,
};
use crate::settings::{AgentSettings, CatalogEntry};

/// Largest reply taken from an agent, in bytes.
const MAX_REPLY_BYTES: usize = 10_000_000;
/// Largest stream passed through, in bytes.
const MAX_STREAM_BYTES: usize = 100_000_000;
/// Largest event of a stream, in bytes.
const MAX_EVENT_BYTES: usize = 1_000_000;
/// What a text may begin with that is none of it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How much of an error's text is quoted.
const MAX_ERROR_CHARS: usize = 500;

/// An agent of the catalog.
pub type AgentEntry = Arc<CatalogEntry<AgentSettings>>;

/// Calls agents over HTTP. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct AgentClient {
    http: HttpClient,
    breakers: Breakers,
}

/// Why a call got no answer.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct AgentFailure {
    /// In the original's terms: the agent's status, 408 for a timeout, 500 for no connection, 400 for a call that was not
    /// made.
    pub status: u16,
    /// What happened, naming the agent.
    pub error: String,
    /// Whether the agent took too long.
    pub timed_out: bool,
}

/// An agent's reply that has begun.
pub(super) struct AgentReply {
    entry: AgentEntry,
    reply: Reply,
}

impl AgentClient {
    pub(super) fn new(http: HttpClient) -> Self {
        Self { http, breakers: Breakers::default() }
    }

    /// Calls an endpoint and waits for the head of the reply; a status other than 2xx is a failure.
    pub(super) async fn call(
        &self,
        entry: &AgentEntry,
        method: &str,
        url: String,
        body: Option<&Value>,
        accept: &'static str,
        deadline: Deadline,
    ) -> Result<AgentReply, AgentFailure> {
        let agent = &entry.effective;
        let failure = |status, what: String| AgentFailure::new(entry, status, &what);
        let permit = self.breakers.admit(&breaker_key(entry)).map_err(|wait| {
            let seconds = wait.as_secs().max(1);
            failure(500, format!("keeps failing; it is not called again for {seconds} s (its test calls it at once)"))
        })?;
        // A caller with less patience than the agent is given must not close it to others.
        let impatient = deadline.is_shorter_than(agent.timeout());
        let call = Call { body: body.map(Body::json), ..Call::get(url) }.method(method);
        let call = call.bearer(agent.auth_token.as_ref()).accept(accept);
        let reply = match self.http.send_following(&call, deadline).await {
            Ok(reply) => reply,
            Err(error) => {
                match &error {
                    CallError::Timeout if impatient => drop(permit),
                    CallError::Timeout | CallError::Interrupted(_) => self.probe(entry, permit),
                    error if error.is_outage() => permit.failed(),
                    _ => drop(permit),
                }
                return Err(AgentFailure::of(entry, &error));
            }
        };
        let status = reply.status();
        match status {
            502 | 503 => permit.failed(),
            504 => self.probe(entry, permit),
            _ => permit.succeeded(),
        }
        if (200..300).contains(&status) {
            return Ok(AgentReply { entry: entry.clone(), reply });
        }
        let text = reply.status_text();
        let said = reply.error_text(entry.redaction(), deadline).await;
        let said: String = said.trim().chars().take(MAX_ERROR_CHARS).collect();
        let said = if said.is_empty() { said } else { format!(": {said}") };
        Err(failure(status, format!("answered {text}{said}")))
    }

    /// Asks for a sign of life at `/health`: the status, whatever it is. Closes the breaker if there is one.
    pub(super) async fn ping(&self, entry: &AgentEntry, deadline: Deadline) -> Result<u16, CallError> {
        let status = self.request_health(entry, deadline).await?;
        if status == 200 {
            self.breakers.reset(&breaker_key(entry));
        }
        Ok(status)
    }

    async fn request_health(&self, entry: &AgentEntry, deadline: Deadline) -> Result<u16, CallError> {
        let url = join_url(entry.effective.url.expose(), "/health").map_err(CallError::Invalid)?;
        let call = Call::get(url).bearer(entry.effective.auth_token.as_ref());
        Ok(self.http.send_following(&call, deadline).await?.status())
    }

    /// An agent that says nothing shows by a sign of life that it is there.
    fn probe(&self, entry: &AgentEntry, permit: Permit) {
        let (client, entry) = (self.clone(), Arc::clone(entry));
        permit.probe(async move {
            let deadline = Deadline::after(entry.effective.timeout().min(Permit::PROBE_TIMEOUT));
            match client.request_health(&entry, deadline).await {
                Ok(status) => matches!(status, 502..=504),
                Err(error) => error.is_outage(),
            }
        });
    }

    /// The state of an agent's breaker.
    pub(super) fn breaker(&self, entry: &AgentEntry) -> BreakerState {
        self.breakers.state(&breaker_key(entry))
    }
}

/// An agent that moves starts with a clean record.
fn breaker_key(entry: &AgentEntry) -> String {
    format!("agent {} at {}", entry.name, display_url(entry.effective.url.expose()))
}

impl AgentReply {
    /// Whether the agent answers with events.
    pub(super) fn is_stream(&self) -> bool {
        content_type(&self.reply) == "text/event-stream"
    }

    /// The whole answer.
    pub(super) async fn read(self, deadline: Deadline) -> Result<AgentAnswer, AgentFailure> {
        let redaction = self.entry.redaction();
        let (status, content_type) = (self.reply.status(), redaction.text(&content_type(&self.reply)));
        let reader = self.reply.reader();
        let bytes = self.reply.bytes(MAX_REPLY_BYTES, deadline).await;
        let bytes = bytes.map_err(|error| AgentFailure::of(&self.entry, &error))?;
        let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
        let is_json = || content_type.ends_with("json") && !is_json_lines(&content_type, text);
        let payload = match reader.read(text) {
            _ if bytes.is_empty() => Payload::Json(Value::Null),
            Ok(json) => Payload::Json(redaction.json(json)),
            Err(JsonError::TooManyValues(most)) if is_json() => {
                return Err(AgentFailure::of(&self.entry, &CallError::TooManyValues(most)));
            }
            Err(error) if is_json() => {
                let what = format!("sent {content_type} that is none: {error}");
                return Err(AgentFailure::new(&self.entry, 400, &what));
            }
            Err(_) => match String::from_utf8(bytes.to_vec()) {
                Ok(text) => Payload::Text(redaction.text(&text)),
                Err(_) if redaction.occurs_in(&bytes) => {
                    return Err(AgentFailure::new(&self.entry, 400, "sent bytes that hold its own credential"));
                }
                Err(_) => Payload::Binary(bytes),
            },
        };
        Ok(AgentAnswer { status, content_type, payload })
    }

    /// The events of the answer as they come, each whole. `silence` bounds the wait for each line.
    pub(super) fn stream(
        self,
        silence: Duration,
        deadline: Deadline,
    ) -> BoxStream<'static, Result<String, AgentFailure>> {
        let Self { entry, reply } = self;
        let mut redactor = EventRedactor::new(entry.redaction().clone());
        let mut lines = Box::pin(read_lines(reply.stream()));
        Box::pin(try_stream! {
            let (mut sent, mut event) = (0, String::new());
            loop {
                let limit = silence.min(deadline.remaining());
                let line = match timeout(limit, lines.next()).await.unwrap_or(Some(Err(CallError::Timeout))) {
                    Some(Ok(line)) => line,
                    Some(Err(error)) => {
                        yield redactor.finish();
                        Err(AgentFailure::of(&entry, &error))?;
                        break;
                    }
                    None => break,
                };
                sent += line.len() + 1;
                if sent > MAX_STREAM_BYTES || event.len() > MAX_EVENT_BYTES {
                    yield redactor.finish();
                    Err(AgentFailure::of(&entry, &CallError::TooLarge(MAX_STREAM_BYTES)))?;
                }
                event.push_str(&line);
                event.push('\n');
                // Comments keep a connection alive, so they don't wait for the end of an event.
                if line.is_empty() || event.starts_with(':') {
                    yield redactor.push(&std::mem::take(&mut event));
                }
            }
            yield redactor.push(&event) + &redactor.finish();
        })
    }
}

fn content_type(reply: &Reply) -> String {
    let header = reply.header("content-type").unwrap_or_default();
    header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

impl AgentFailure {
    pub(super) fn new(entry: &AgentEntry, status: u16, what: &str) -> Self {
        let shown = display_url(entry.effective.url.expose());
        Self { status, error: format!("Agent '{}' ({shown}) {what}", entry.name), timed_out: false }
    }

    fn of(entry: &AgentEntry, error: &CallError) -> Self {
        let status = match error {
            CallError::Timeout => 408,
            CallError::TooLarge(_) | CallError::TooManyValues(_) | CallError::Invalid(_) | CallError::Denied(_) => 400,
            _ => 500,
        };
        let timed_out = *error == CallError::Timeout;
        let hint = if timed_out { "Request timeout: " } else { "" };
        let Self { error, .. } = Self::new(entry, status, &error.to_string());
        Self { status, error: format!("{hint}{error}"), timed_out }
    }
}

use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use super::api_dialect::ApiDialect;
use super::endpoint::{Endpoint, MAX_ANSWER_BYTES, content_type};
use super::reading::{AnswerText, Expected, error_event};
use super::types::StreamReader;
use super::{Chunk, LlmError};
use crate::kernel::Deadline;
use crate::outbound::{CallError, Reply, SseEvent, SseLimits, read_lines, sse_events};

/// How long the end of a connection is waited for once the answer is complete.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(20);

/// A streamed reply whose head has arrived.
pub(super) struct ResponseStream {
    pub(super) endpoint: Endpoint,
    pub(super) expected: Expected,
    /// Longest pause, in which not a byte comes.
    pub(super) silence: Duration,
    pub(super) deadline: Deadline,
}

/// What comes of a reply, one event or line after the other.
type Events = BoxStream<'static, Result<StreamEvent, CallError>>;

/// An event of a stream, or a line.
enum StreamEvent {
    Data(String),
    /// One that is called an error, whatever it holds.
    Error(String),
}

/// When the last byte came: comments keep a connection alive, though they are no events.
type LastByte = Arc<Mutex<Instant>>;

impl ResponseStream {
    pub(super) fn chunks(self, reply: Reply) -> impl Stream<Item = Result<Chunk, LlmError>> + Send {
        let dialect = self.endpoint.dialect;
        let is_whole = dialect == ApiDialect::OpenAi && content_type(&reply).starts_with("application/json");
        try_stream! {
            if is_whole {
                // The server ignored `stream` and answered in one piece.
                let raw = self.endpoint.read_json(reply, self.deadline.at_most(self.silence)).await?;
                let answer = dialect.completion(&raw, self.expected.clone());
                let answer = answer.map_err(|what| self.endpoint.bad_reply(&what))?;
                yield Chunk::Text(answer.content.clone());
                yield Chunk::End(Box::new(self.endpoint.masked(answer)));
                return;
            }
            let last_byte = Arc::new(Mutex::new(Instant::now()));
            let mut events = self.events(reply, &last_byte);
            let mut reader = dialect.reader(self.expected.clone());
            let mut received = 0;
            while let Some(event) = self.next(&mut events, &last_byte, &*reader).await? {
                let more = match event {
                    StreamEvent::Data(data) => {
                        received += data.len();
                        reader.feed(&data)
                    }
                    StreamEvent::Error(data) => Err(format!("broke off with an error: {}", error_event(&data))),
                };
                if received > MAX_ANSWER_BYTES {
                    Err(self.endpoint.failed(CallError::TooLarge(MAX_ANSWER_BYTES)))?;
                }
                for chunk in chunks_of(more.map_err(|what: String| self.endpoint.bad_reply(&what))?) {
                    yield chunk;
                }
            }
            if received == 0 {
                Err(self.endpoint.incomplete("answered with an empty stream"))?;
            } else if !reader.is_complete_at_end() {
                Err(self.endpoint.incomplete("broke off in the middle of its answer"))?;
            }
            let has_ended = reader.has_ended();
            for chunk in chunks_of(reader.end()) {
                yield chunk;
            }
            yield Chunk::End(Box::new(self.endpoint.masked(reader.finish())));
            if has_ended {
                // A connection that is read to its end can be used again.
                drop(timeout(DRAIN_TIMEOUT, events.next()).await);
            }
        }
    }

    fn events(&self, reply: Reply, last_byte: &LastByte) -> Events {
        let last_byte = last_byte.clone();
        let bytes = reply.stream().inspect_ok(move |_| *last_byte.lock() = Instant::now());
        match self.endpoint.dialect {
            ApiDialect::OpenAi => {
                let events = sse_events(bytes, SseLimits::default());
                events.try_filter_map(async |event| Ok(of_event(event))).boxed()
            }
            ApiDialect::Ollama => read_lines(bytes).map_ok(StreamEvent::Data).boxed(),
        }
    }

    /// The next event, until the server has said that there will be no more. Silence and a broken connection are forgiven
    /// once the answer is complete.
    async fn next(
        &self,
        events: &mut Events,
        last_byte: &LastByte,
        reader: &dyn StreamReader,
    ) -> Result<Option<StreamEvent>, LlmError> {
        if reader.has_ended() {
            return Ok(None);
        }
        let began = Instant::now();
        loop {
            let quiet_since = began.max(*last_byte.lock());
            let limit = (quiet_since + self.silence).min(self.deadline.instant());
            let is_alive = || *last_byte.lock() > quiet_since && !self.deadline.remaining().is_zero();
            match timeout_at(limit, events.next()).await {
                Err(_) if is_alive() && !reader.is_complete() => {}
                Err(_) if !reader.is_complete() => return Err(self.endpoint.failed(CallError::Timeout)),
                Ok(Some(Err(cause))) if !reader.is_complete() => return Err(self.endpoint.failed(cause)),
                event => return Ok(event.ok().flatten().and_then(Result::ok)),
            }
        }
    }
}

fn of_event(event: SseEvent) -> Option<StreamEvent> {
    match event.event.as_deref() {
        Some("error") => Some(StreamEvent::Error(event.data.unwrap_or_default())),
        _ => event.data.map(StreamEvent::Data),
    }
}

/// What a piece of an answer is to whoever waits for it.
fn chunks_of(more: AnswerText) -> impl Iterator<Item = Chunk> {
    let restart = more.restarts.then_some(Chunk::Restart);
    restart.into_iter().chain(Some(more.text).filter(|text| !text.is_empty()).map(Chunk::Text))
}

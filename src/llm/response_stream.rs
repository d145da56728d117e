use std::time::Duration;

use async_stream::try_stream;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::time::timeout;

use super::api_dialect::{ApiDialect, StreamReader};
use super::endpoint::{Endpoint, MAX_ANSWER_BYTES, content_type};
use super::{Chunk, LlmError};
use crate::kernel::Deadline;
use crate::outbound::{CallError, Reply, SseLimits, read_lines, sse_events};

/// How long the end of a connection is waited for once the answer is complete.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(20);

/// A streamed reply whose head has arrived.
pub(super) struct ResponseStream {
    pub(super) endpoint: Endpoint,
    /// Longest pause.
    pub(super) silence: Duration,
    pub(super) deadline: Deadline,
}

impl ResponseStream {
    pub(super) fn chunks(self, reply: Reply) -> impl Stream<Item = Result<Chunk, LlmError>> + Send {
        let dialect = self.endpoint.dialect;
        let is_whole = dialect == ApiDialect::OpenAi && content_type(&reply).starts_with("application/json");
        try_stream! {
            if is_whole {
                // The server ignored `stream` and answered in one piece.
                let raw = self.endpoint.read_json(reply, self.deadline.at_most(self.silence)).await?;
                let answer = dialect.completion(&raw).map_err(|what| self.endpoint.bad_reply(&what))?;
                yield Chunk::Text(answer.content.clone());
                yield Chunk::End(self.endpoint.masked(answer));
                return;
            }
            let mut events = self.events(reply);
            let mut reader = dialect.reader();
            let mut received = 0;
            while let Some(data) = self.next(&mut events, &reader).await? {
                received += data.len();
                if received > MAX_ANSWER_BYTES {
                    Err(self.endpoint.failed(CallError::TooLarge(MAX_ANSWER_BYTES)))?;
                }
                if let Some(text) = reader.feed(&data).map_err(|what| self.endpoint.bad_reply(&what))? {
                    yield Chunk::Text(text);
                }
            }
            let has_ended = reader.has_ended();
            let answer = if received == 0 { Err("answered with an empty stream".to_owned()) } else { reader.finish() };
            let answer = answer.map_err(|what| self.endpoint.bad_reply(&what))?;
            yield Chunk::End(self.endpoint.masked(answer));
            if has_ended {
                // A connection that is read to its end can be used again.
                drop(timeout(DRAIN_TIMEOUT, events.next()).await);
            }
        }
    }

    fn events(&self, reply: Reply) -> BoxStream<'static, Result<String, CallError>> {
        match self.endpoint.dialect {
            ApiDialect::OpenAi => {
                let events = sse_events(reply.stream(), SseLimits::default());
                events.try_filter_map(async |event| Ok(event.data)).boxed()
            }
            ApiDialect::Ollama => read_lines(reply.stream()).boxed(),
        }
    }

    /// The next event, until the server has said that there will be no more. Silence and a broken connection are forgiven
    /// once the answer is complete.
    async fn next(
        &self,
        events: &mut BoxStream<'static, Result<String, CallError>>,
        reader: &StreamReader,
    ) -> Result<Option<String>, LlmError> {
        if reader.has_ended() {
            return Ok(None);
        }
        let limit = self.silence.min(self.deadline.remaining());
        match timeout(limit, events.next()).await.unwrap_or(Some(Err(CallError::Timeout))) {
            Some(Err(_)) if reader.is_complete() => Ok(None),
            Some(Err(cause)) => Err(self.endpoint.failed(cause)),
            Some(Ok(data)) => Ok(Some(data)),
            None => Ok(None),
        }
    }
}

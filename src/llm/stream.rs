use std::time::Duration;

use async_stream::try_stream;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;

use super::server::{ANSWER_CAP, content_type, parse, redact};
use super::wire::{StreamReader, Wire};
use super::{Chunk, LlmError};
use crate::kernel::{Deadline, Secret};
use crate::outbound::{CallError, Reply, lines, sse_events};

/// A stream whose head has arrived.
pub(super) struct Opened {
    pub(super) wire: Wire,
    pub(super) server: String,
    pub(super) key: Option<Secret>,
    pub(super) silence: Duration,
    pub(super) deadline: Deadline,
}

impl Opened {
    pub(super) fn chunks(self, reply: Reply) -> impl Stream<Item = Result<Chunk, LlmError>> + Send {
        let is_whole = self.wire == Wire::OpenAi && content_type(&reply).starts_with("application/json");
        try_stream! {
            if is_whole {
                // The server ignored `stream` and answered in one piece.
                let deadline = self.deadline.at_most(self.silence);
                let bytes = reply.bytes(ANSWER_CAP, deadline).await.map_err(|cause| self.failed(cause))?;
                let raw = parse(&bytes, self.key.as_ref()).map_err(|what| self.bad_reply(what))?;
                let answer = self.wire.completion(&raw).map_err(|what| self.bad_reply(what))?;
                yield Chunk::Text(answer.content.clone());
                yield Chunk::End(answer);
                return;
            }
            let mut events = self.events(reply);
            let mut reader = self.wire.reader();
            let mut received = false;
            while let Some(data) = self.next(&mut events, &reader).await? {
                received = true;
                for chunk in reader.feed(&redact(self.key.as_ref(), &data)).map_err(|what| self.bad_reply(what))? {
                    yield chunk;
                }
                if reader.has_ended() {
                    break;
                }
            }
            let end = if received { reader.finish() } else { Err("answered with an empty body".to_owned()) };
            yield end.map_err(|what| self.bad_reply(what))?;
        }
    }

    fn events(&self, reply: Reply) -> BoxStream<'static, Result<String, CallError>> {
        match self.wire {
            Wire::OpenAi => sse_events(reply.stream()).map(|event| event.map(|event| event.data)).boxed(),
            Wire::Ollama => lines(reply.stream()).boxed(),
        }
    }

    /// The next event; silence and a broken connection are forgiven once the answer is complete.
    async fn next(
        &self,
        events: &mut BoxStream<'static, Result<String, CallError>>,
        reader: &StreamReader,
    ) -> Result<Option<String>, LlmError> {
        let patience = self.silence.min(self.deadline.remaining());
        match timeout(patience, events.next()).await.unwrap_or(Some(Err(CallError::Timeout))) {
            Some(Err(_)) if reader.is_complete() => Ok(None),
            Some(Err(cause)) => Err(self.failed(cause)),
            Some(Ok(data)) => Ok(Some(data)),
            None => Ok(None),
        }
    }

    fn failed(&self, cause: CallError) -> LlmError {
        LlmError::Call { server: self.server.clone(), cause }
    }

    fn bad_reply(&self, what: String) -> LlmError {
        LlmError::BadReply { server: self.server.clone(), what }
    }
}

use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use serde_json::Value;

use super::api_dialect::ApiDialect;
use super::error::{excerpt, message_in};
use super::response_stream::ResponseStream;
use super::{Chunk, Completion, LlmError};
use crate::kernel::{Deadline, JsonError, JsonReader, Redaction, Secret};
use crate::outbound::{CallError, Reply, display_url};

/// Largest answer accepted, in bytes.
pub(super) const MAX_ANSWER_BYTES: usize = 20_000_000;

/// One server, ready to be called: its format, its address, its key. Reads replies with the key masked.
pub(super) struct Endpoint<'a> {
    pub(super) dialect: ApiDialect,
    pub(super) base: &'a str,
    /// The name in messages.
    pub(super) shown: String,
    pub(super) key: Option<&'a Secret>,
    /// Masks the key.
    redaction: Redaction,
}

impl<'a> Endpoint<'a> {
    pub(super) fn new(dialect: ApiDialect, base: &'a str, key: Option<&'a Secret>) -> Self {
        Self {
            dialect,
            base,
            shown: display_url(base),
            key,
            redaction: key.map(Secret::redaction).cloned().unwrap_or_default(),
        }
    }

    pub(super) fn failed(&self, cause: CallError) -> LlmError {
        LlmError::Call { server: self.shown.clone(), cause }
    }

    pub(super) fn bad_reply(&self, what: &str) -> LlmError {
        LlmError::BadReply { server: self.shown.clone(), what: self.redaction.text(what) }
    }

    /// The answer without the key. Parts of it were put together since they were masked.
    pub(super) fn masked(&self, answer: Completion) -> Completion {
        answer.masked(&self.redaction)
    }

    pub(super) async fn read_json(&self, reply: Reply, deadline: Deadline) -> Result<Value, LlmError> {
        let reader = reply.reader();
        let bytes: Bytes = reply.bytes(MAX_ANSWER_BYTES, deadline).await.map_err(|cause| self.failed(cause))?;
        parse(&bytes, reader, &self.redaction).map_err(|what| self.bad_reply(&what))
    }

    /// What the server says in the body of an error, with a colon before it.
    pub(super) async fn quote(&self, reply: Reply, deadline: Deadline) -> String {
        let text = reply.error_text(&self.redaction, deadline).await;
        let json = JsonReader::embedded().read::<Value>(text.as_bytes()).ok();
        let said = self.redaction.text(json.as_ref().and_then(message_in).unwrap_or(&text));
        let said = excerpt(&said, 300);
        if said.is_empty() { said } else { format!(": {said}") }
    }

    /// The chunks of a streamed reply; `silence` bounds each pause.
    pub(super) fn stream(
        &self,
        reply: Reply,
        silence: Duration,
        deadline: Deadline,
    ) -> impl Stream<Item = Result<Chunk, LlmError>> + Send + use<> {
        let (dialect, server, redaction) = (self.dialect, self.shown.clone(), self.redaction.clone());
        ResponseStream { dialect, server, redaction, silence, deadline }.chunks(reply)
    }
}

pub(super) fn content_type(reply: &Reply) -> String {
    reply.header("content-type").unwrap_or_default().to_ascii_lowercase()
}

/// Reads a reply as JSON, the key masked; the error says what came instead.
pub(super) fn parse(bytes: &[u8], reader: JsonReader, redaction: &Redaction) -> Result<Value, String> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("answered with an empty body".to_owned());
    }
    let raw: Value = reader.read(bytes).map_err(|error| match error {
        JsonError::TooManyValues(most) => CallError::TooManyValues(most).to_string(),
        JsonError::Invalid(_) => {
            let text = redaction.text(&String::from_utf8_lossy(bytes));
            format!("answered with something that is not JSON: {}", excerpt(&text, 80))
        }
    })?;
    Ok(redaction.json(raw))
}

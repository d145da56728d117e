use bytes::Bytes;
use serde_json::Value;

use super::api_dialect::ApiDialect;
use super::error::{excerpt, message_in};
use super::{Completion, LlmError};
use crate::kernel::{Deadline, JsonError, JsonReader, Redaction, Secret};
use crate::outbound::{CallError, Reply, display_url};

/// Largest answer accepted, in bytes.
pub(super) const MAX_ANSWER_BYTES: usize = 20_000_000;

/// One server, ready to be called: its dialect, address and key. Reads replies with the key masked.
pub(super) struct Endpoint {
    pub(super) dialect: ApiDialect,
    pub(super) base: String,
    /// The name in messages.
    pub(super) shown: String,
    pub(super) key: Option<Secret>,
    /// Masks the key.
    redaction: Redaction,
}

impl Endpoint {
    pub(super) fn new(dialect: ApiDialect, base: &str, key: Option<&Secret>) -> Self {
        Self {
            dialect,
            base: base.to_owned(),
            shown: display_url(base),
            key: key.cloned(),
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
}

pub(super) fn content_type(reply: &Reply) -> String {
    reply.header("content-type").unwrap_or_default().to_ascii_lowercase()
}

/// Reads a reply as JSON, the key masked; the error says what came instead.
fn parse(bytes: &[u8], reader: JsonReader, redaction: &Redaction) -> Result<Value, String> {
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

use serde_json::Value;

use super::api_dialect::ApiDialect;
use super::error_report::{ErrorReport, excerpt};
use super::{Completion, LlmError, ToolCall};
use crate::kernel::{Deadline, JsonError, Redaction, Secret};
use crate::outbound::{CallError, Reply, display_url};

/// Largest answer accepted, in bytes.
pub(super) const MAX_ANSWER_BYTES: usize = 20_000_000;

/// One server, ready to be called: its dialect, address and key. Reads replies with the key masked. Cheap to clone.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) dialect: ApiDialect,
    pub(super) base: String,
    pub(super) key: Option<Secret>,
    /// Masks the key.
    redaction: Redaction,
}

impl Endpoint {
    pub(super) fn new(dialect: ApiDialect, base: &str, key: Option<&Secret>) -> Self {
        Self {
            dialect,
            base: base.to_owned(),
            key: key.cloned(),
            redaction: key.map(Secret::redaction).cloned().unwrap_or_default(),
        }
    }

    /// The name in messages.
    pub(super) fn shown(&self) -> String {
        display_url(&self.base)
    }

    pub(super) fn failed(&self, cause: CallError) -> LlmError {
        LlmError::Call { server: self.shown(), cause }
    }

    pub(super) fn incomplete(&self, what: &'static str) -> LlmError {
        LlmError::Incomplete { server: self.shown(), what }
    }

    pub(super) fn bad_reply(&self, what: &str) -> LlmError {
        LlmError::BadReply { server: self.shown(), what: self.redaction.text(what) }
    }

    /// The answer without the key. Parts of it were put together since they were masked.
    pub(super) fn masked(&self, answer: Completion) -> Completion {
        let text = |text: String| self.redaction.text(&text);
        let call = |ToolCall { id, name, arguments }: ToolCall| ToolCall {
            id: text(id),
            name: text(name),
            arguments: self.redaction.json(arguments),
        };
        Completion {
            content: text(answer.content),
            tool_calls: answer.tool_calls.into_iter().map(call).collect(),
            reasoning: answer.reasoning.map(text),
            model: text(answer.model),
            ..answer
        }
    }

    /// A reply as JSON, the key masked.
    pub(super) async fn read_json(&self, reply: Reply, deadline: Deadline) -> Result<Value, LlmError> {
        let reader = reply.reader();
        let bytes = reply.bytes(MAX_ANSWER_BYTES, deadline).await.map_err(|cause| self.failed(cause))?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(self.bad_reply("answered with an empty body"));
        }
        let raw = reader.read_tolerantly(&bytes).map_err(|error| match error {
            JsonError::TooManyValues(most) => self.bad_reply(&CallError::TooManyValues(most).to_string()),
            JsonError::Invalid(_) => {
                let text = self.redaction.text(&String::from_utf8_lossy(&bytes));
                self.bad_reply(&format!("answered with something that is not JSON: {}", excerpt(&text, 80)))
            }
        })?;
        Ok(self.redaction.json(raw))
    }

    /// What the server says in the body of an error.
    pub(super) async fn error_report(&self, reply: Reply, deadline: Deadline) -> ErrorReport {
        let text = reply.error_text(&self.redaction, deadline).await;
        ErrorReport::read(&text, &self.redaction)
    }
}

pub(super) fn content_type(reply: &Reply) -> String {
    reply.header("content-type").unwrap_or_default().to_ascii_lowercase()
}

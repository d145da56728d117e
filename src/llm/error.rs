use std::time::Duration;

use serde_json::Value;

use crate::kernel::{Error, ErrorKind};
use crate::outbound::{CallError, Verdict};

/// Why there is no answer. Its text names the server and the cause, and never holds the key.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LlmError {
    /// No base URL.
    #[error("LLM base URL not configured")]
    NoBaseUrl,
    /// Neither the request nor the configuration names a model.
    #[error("No LLM model specified and no default configured")]
    NoModel,
    /// The call failed below HTTP.
    #[error("LLM at {server} {cause}")]
    Call {
        /// Where.
        server: String,
        /// Why.
        cause: CallError,
    },
    /// The server answered with an error status.
    #[error("LLM at {server} answered {status}{text}")]
    Status {
        /// Where.
        server: String,
        /// The status code.
        code: u16,
        /// The status with its name.
        status: String,
        /// What the server said, with a colon before it; may be empty.
        text: String,
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The reply can't be used; holds what it was.
    #[error("LLM at {server} {what}")]
    BadReply {
        /// Where.
        server: String,
        /// What was wrong.
        what: String,
    },
}

impl LlmError {
    /// Whether another attempt may help.
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Call {
                cause: CallError::Refused | CallError::Unreachable(_) | CallError::Interrupted(_), ..
            } => Verdict::Again(None),
            Self::Status { code: 429 | 500 | 502 | 503 | 504, retry_after, .. } => Verdict::Again(*retry_after),
            _ => Verdict::Final,
        }
    }

    /// Whether another model on the same server may do better.
    pub(super) fn another_model_may_help(&self) -> bool {
        match self {
            Self::Status { code, .. } => !matches!(code, 401 | 403),
            Self::BadReply { .. } | Self::Call { cause: CallError::Interrupted(_), .. } => true,
            _ => false,
        }
    }
}

impl From<LlmError> for Error {
    fn from(error: LlmError) -> Self {
        let kind = match &error {
            LlmError::NoBaseUrl | LlmError::NoModel => ErrorKind::NotConfigured,
            LlmError::Call { cause: CallError::Timeout, .. } => ErrorKind::Timeout,
            _ => ErrorKind::Upstream,
        };
        Self::new(kind, error.to_string())
    }
}

/// The message in an error body of any of the known forms: `{"error": {"message"}}` (OpenAI), `{"error": "..."}`
/// (Ollama), `{"object": "error", "message"}` (vLLM), `{"detail"}` (FastAPI).
pub(super) fn message_in(body: &Value) -> Option<&str> {
    let error = body.get("error");
    let places = [error.and_then(|error| error.get("message")), error, body.get("message"), body.get("detail")];
    places.into_iter().flatten().find_map(Value::as_str)
}

/// The first `chars` characters of what a server said, on one line. To be redacted before: half a key is one too.
pub(super) fn excerpt(body: &str, chars: usize) -> String {
    let text = body.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.starts_with('<') {
        return "(an HTML page)".to_owned();
    }
    text.chars().take(chars).collect()
}

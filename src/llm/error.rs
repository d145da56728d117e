use std::time::Duration;

use serde_json::Value;

use crate::kernel::{Error, ErrorKind, one_line};
use crate::outbound::{CallError, RetryDecision};

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
    /// Its text without what the server said, which may hold prompts and answers.
    pub fn log_safe(&self) -> String {
        match self {
            Self::Status { server, status, .. } => format!("LLM at {server} answered {status}"),
            Self::BadReply { server, .. } => format!("LLM at {server} sent a reply that can't be used"),
            other => other.to_string(),
        }
    }

    /// Whether the server does not take the key.
    pub(super) fn is_refused_key(&self) -> bool {
        matches!(self, Self::Status { code: 401 | 403, .. })
    }

    /// What kind of failure it is, in one word, for figures.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::NoBaseUrl | Self::NoModel => "not_configured",
            Self::Call { cause: CallError::Timeout, .. } => "timeout",
            Self::Call { cause: CallError::Refused | CallError::Unreachable(_), .. } => "unreachable",
            Self::Call { cause: CallError::Interrupted(_), .. } => "interrupted",
            Self::Call { cause: CallError::Denied(_) | CallError::Invalid(_), .. } => "not_allowed",
            Self::Call { cause: CallError::TooLarge(_) | CallError::TooManyValues(_), .. } | Self::BadReply { .. } => {
                "bad_reply"
            }
            Self::Status { .. } if self.is_refused_key() => "unauthorized",
            Self::Status { code: 429, .. } => "rate_limited",
            Self::Status { code: 500.., .. } => "server_error",
            Self::Status { .. } => "refused",
        }
    }

    /// Whether another attempt may help.
    pub(super) fn retry_decision(&self) -> RetryDecision {
        match self {
            Self::Call {
                cause: CallError::Refused | CallError::Unreachable(_) | CallError::Interrupted(_), ..
            } => RetryDecision::Retry(None),
            Self::Status { code: 500, .. } if self.refuses_tools() => RetryDecision::Stop,
            Self::Status { code: 429 | 500 | 502 | 503 | 504, retry_after, .. } => RetryDecision::Retry(*retry_after),
            _ => RetryDecision::Stop,
        }
    }

    /// Whether another model on the same server may do better.
    pub(super) fn another_model_may_help(&self) -> bool {
        match self {
            Self::Status { .. } => !self.is_refused_key(),
            Self::BadReply { .. } | Self::Call { cause: CallError::Interrupted(_), .. } => true,
            _ => false,
        }
    }

    /// Whether the model or its server can't deal with a request that offers tools. Seen in the wild: 400 with "does not
    /// support tools" (Ollama), 400 or 404 about tools or functions (OpenAI-compatible servers and routers), 422 for an
    /// unknown field, 500 "tools param requires --jinja flag" (llama.cpp), 501.
    pub fn refuses_tools(&self) -> bool {
        let (text, words) = match self {
            Self::Status { code: 400 | 404 | 422 | 501, text, .. } => (text.to_lowercase(), REFUSALS),
            // What went wrong on the way may be anything: only plain words count.
            Self::Status { code: 500, text, .. } | Self::BadReply { what: text, .. } => {
                (text.to_lowercase(), PLAIN_REFUSALS)
            }
            _ => return false,
        };
        has(&text, TOOLS) && has(&text, words) && !has(&text, ABOUT_ONE)
    }

    /// Whether the server refuses a request because of the tools that it offers, though it may take others: one has a schema
    /// that it does not understand, or there are too many.
    pub fn rejects_these_tools(&self) -> bool {
        let is_about_tools = match self {
            Self::Status { code: 400 | 404 | 422, text, .. } => has(&text.to_lowercase(), TOOLS),
            _ => false,
        };
        is_about_tools && !self.refuses_tools()
    }
}

/// What tools are called.
const TOOLS: &[&str] = &["tool", "function"];
/// Words of a server that takes no tools.
const REFUSALS: &[&str] = &[
    "support",
    "requires",
    "enable",
    "not implemented",
    "not permitted",
    "not allowed",
    "unknown",
    "unrecognized",
    "unexpected",
    "extra ",
];
/// Those of them that mean nothing else.
const PLAIN_REFUSALS: &[&str] = &["support", "requires", "enable"];
/// Words about a single function: its schema, or its place in the list (`tools[0].function.name`).
const ABOUT_ONE: &[&str] = &["schema", "invalid function", "invalid tool", ".function"];

fn has(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
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

/// The beginning of what a server said, on one line. To be redacted before: half a key is one too.
pub(super) fn excerpt(body: &str, chars: usize) -> String {
    let text = one_line(body);
    if text.starts_with('<') { "(an HTML page)".to_owned() } else { text.chars().take(chars).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, text: &str) -> LlmError {
        LlmError::Status {
            server: "s".to_owned(),
            code,
            status: String::new(),
            text: text.to_owned(),
            retry_after: None,
        }
    }

    #[test]
    fn servers_refuse_tools_in_many_words() {
        for (code, text) in [
            (400, ": registry.ollama.ai/library/gemma:2b does not support tools"),
            (400, ": \"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set"),
            (400, ": Unrecognized request argument supplied: functions"),
            (404, ": No endpoints found that support tool use"),
            (422, ": Extra inputs are not permitted: tools"),
            (500, ": tools param requires --jinja flag"),
            (501, ": function calling is not implemented"),
        ] {
            assert!(status(code, text).refuses_tools(), "{code} {text}");
            assert!(!status(code, text).rejects_these_tools(), "{code} {text}");
        }
        for (code, text) in
            [(400, ": context too long"), (401, ": no key for tools"), (500, ": tool crashed"), (404, "")]
        {
            assert!(!status(code, text).refuses_tools(), "{code} {text}");
            assert!(!status(code, text).rejects_these_tools(), "{code} {text}");
        }
        let broke_off = "broke off with an error: this model does not support tools";
        assert!(LlmError::BadReply { server: "s".to_owned(), what: broke_off.to_owned() }.refuses_tools());
    }

    #[test]
    fn a_function_that_a_server_does_not_like_is_no_refusal_of_all() {
        for text in [
            ": Invalid schema for function 'bad': schema must have type 'object', unknown keyword",
            ": Invalid 'tools[0].function.name': unexpected characters",
            ": Unknown name \"title\" at 'tools[0].function_declarations[0].parameters'",
            ": Invalid 'tools': array too long. Expected an array with maximum length 32",
        ] {
            assert!(!status(400, text).refuses_tools(), "{text}");
            assert!(status(400, text).rejects_these_tools(), "{text}");
        }
    }
}

use std::time::Duration;

use super::error_report::ErrorReport;
use crate::kernel::{Error, ErrorKind, LimitReached, UpstreamCause};
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
    /// Whoever the call is for has used up what it may use.
    #[error(transparent)]
    LimitReached(#[from] LimitReached),
    /// The call failed below HTTP.
    #[error("LLM at {server} {cause}")]
    Call {
        /// Where.
        server: String,
        /// Why.
        cause: CallError,
    },
    /// The server answered with an error status.
    #[error("LLM at {server} answered {status}{said}{}", wait_text(*.retry_after))]
    Status {
        /// Where.
        server: String,
        /// The status code.
        code: u16,
        /// The status with its name.
        status: String,
        /// What the server said.
        said: Box<ErrorReport>,
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// A stream that ended before its answer did; holds what it did.
    #[error("LLM at {server} {what}")]
    Incomplete {
        /// Where.
        server: String,
        /// What it did.
        what: &'static str,
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
    pub fn is_refused_key(&self) -> bool {
        matches!(self, Self::Status { code: 401 | 403, .. })
    }

    /// What kind of failure it is, in one word, for figures.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::NoBaseUrl | Self::NoModel => "not_configured",
            Self::LimitReached(_) => "limit_reached",
            Self::Call { cause: CallError::Timeout, .. } => "timeout",
            Self::Call { cause: CallError::Refused | CallError::Unreachable(_), .. } => "unreachable",
            Self::Call { cause: CallError::Interrupted(_), .. } | Self::Incomplete { .. } => "interrupted",
            Self::Call { cause: CallError::Denied(_) | CallError::Invalid(_), .. } => "not_allowed",
            Self::Call { cause: CallError::TooLarge(_) | CallError::TooManyValues(_), .. } | Self::BadReply { .. } => {
                "bad_reply"
            }
            Self::Status { code, .. } => match self.cause() {
                Some(UpstreamCause::Unauthorized) => "unauthorized",
                Some(UpstreamCause::RateLimited(_)) => "rate_limited",
                Some(UpstreamCause::ContextLength) => "context_length",
                Some(UpstreamCause::ModelNotFound) => "model_not_found",
                None if *code >= 500 => "server_error",
                None => "refused",
            },
        }
    }

    /// Whether another attempt may help.
    pub(super) fn retry_decision(&self) -> RetryDecision {
        match self {
            Self::Call {
                cause: CallError::Refused | CallError::Unreachable(_) | CallError::Interrupted(_), ..
            }
            | Self::Incomplete { .. } => RetryDecision::Retry(None),
            // What the model wrote for a call was none; the next time it may be.
            Self::Status { .. } if self.is_failed_call() => RetryDecision::Retry(None),
            Self::Status { .. } if self.cause() == Some(UpstreamCause::ContextLength) => RetryDecision::Stop,
            Self::Status { code: 500, .. } if self.refuses_tools() => RetryDecision::Stop,
            Self::Status { code: 429 | 500 | 502 | 503 | 504, retry_after, .. } => RetryDecision::Retry(*retry_after),
            _ => RetryDecision::Stop,
        }
    }

    /// Whether another model on the same server may do better.
    pub(super) fn another_model_may_help(&self) -> bool {
        match self {
            Self::Status { .. } => !self.is_refused_key(),
            Self::BadReply { .. } | Self::Incomplete { .. } | Self::Call { cause: CallError::Interrupted(_), .. } => {
                true
            }
            _ => false,
        }
    }

    /// Whether what the model wrote for a call is refused by its own server (Groq), which says nothing of the request.
    pub(super) fn is_failed_call(&self) -> bool {
        let is_it = |said: &ErrorReport| said.has_code(&["tool_use_failed"]) || has(&said.lowercase(), FAILED_CALL);
        matches!(self, Self::Status { code: 400, said, .. } if is_it(said))
    }

    /// Whether the model or its server can't deal with a request that offers tools. Seen in the wild: 400 with "does not
    /// support tools" (Ollama), 400 or 404 about tools or functions (OpenAI-compatible servers and routers), 422 for an
    /// unknown field, 500 "tools param requires --jinja flag" (llama.cpp), 501.
    pub fn refuses_tools(&self) -> bool {
        if self.is_failed_call() {
            return false;
        }
        let (text, words) = match self {
            Self::Status { code: 400 | 404 | 422 | 501, said, .. } if is_about_tools(said) => {
                (said.lowercase(), REFUSALS)
            }
            // What went wrong on the way may be anything: only plain words count.
            Self::Status { code: 500, said, .. } => (said.lowercase(), PLAIN_REFUSALS),
            Self::BadReply { what, .. } => (what.to_lowercase(), PLAIN_REFUSALS),
            _ => return false,
        };
        has(&text, TOOLS) && has(&text, words) && !has(&text, ABOUT_ONE)
    }

    /// Whether the server refuses a request because of the tools that it offers, though it may take others: one has a schema
    /// that it does not understand, or there are too many.
    pub fn rejects_these_tools(&self) -> bool {
        let is_about = |said: &ErrorReport| is_about_tools(said) && has(&said.lowercase(), TOOLS);
        matches!(self, Self::Status { code: 400 | 404 | 422, said, .. } if is_about(said))
            && self.cause().is_none()
            && !self.is_failed_call()
            && !self.refuses_tools()
    }

    /// Why it failed, where whoever called can do something about it.
    pub fn cause(&self) -> Option<UpstreamCause> {
        let (code, said, retry_after) = match self {
            Self::Status { code, said, retry_after, .. } => (*code, said, *retry_after),
            Self::BadReply { what, .. } if has(&what.to_lowercase(), TOO_LONG) => {
                return Some(UpstreamCause::ContextLength);
            }
            _ => return None,
        };
        let text = said.lowercase();
        let may_be_about_request = matches!(code, 400 | 413 | 422 | 500);
        if code == 429 || said.has_code(RATE_LIMIT_CODES) {
            return Some(UpstreamCause::RateLimited(retry_after));
        }
        if matches!(code, 401 | 403) {
            return Some(UpstreamCause::Unauthorized);
        }
        let is_too_long = said.has_code(TOO_LONG_CODES) || said.has_code(&[TEXT_TOO_LONG]) && is_about_content(said);
        if is_too_long || may_be_about_request && has(&text, TOO_LONG) {
            return Some(UpstreamCause::ContextLength);
        }
        let is_missing = match code {
            404 => {
                has(&text, &["model", "deployment"]) && has(&text, MISSING) || text.contains("no endpoints found for")
            }
            400 | 422 => has(&text, NO_MODEL),
            _ => false,
        };
        (is_missing || said.has_code(NO_MODEL_CODES)).then_some(UpstreamCause::ModelNotFound)
    }
}

/// Words about a call that the model wrote.
const FAILED_CALL: &[&str] = &["tool call validation failed", "failed to call a function", "failed_generation"];
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

/// Codes of those who are asked too much.
const RATE_LIMIT_CODES: &[&str] =
    &["rate_limit_exceeded", "rate_limit_error", "resource_exhausted", "insufficient_quota"];
/// Codes of those whose model can't take as much.
const TOO_LONG_CODES: &[&str] =
    &["context_length_exceeded", "exceed_context_size_error", "model_max_prompt_tokens_exceeded"];
/// The code for a text that is too long, which may also be a name, a description or an id.
const TEXT_TOO_LONG: &str = "string_above_max_length";
/// Words of those whose model can't take as much.
const TOO_LONG: &[&str] = &[
    "context length",
    "context window",
    "context size",
    "context limit",
    "maximum context",
    "too many tokens",
    "too long for the model",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input token count",
    "maximum number of tokens allowed",
    "maximum prompt length",
    "reduce the length of",
    "model token limit",
    "longer than the maximum model length",
    "tokens + `max_new_tokens` must be",
    "`inputs` must have less than",
    "range of input length should be",
    "prompt exceeds max length",
    "is too long and exceeds limit",
    "maximum input length",
];
/// Codes of those who have no such model.
const NO_MODEL_CODES: &[&str] =
    &["model_not_found", "model_not_exist", "invalid_model", "deploymentnotfound", "modelnotfound"];
/// What is not there.
const MISSING: &[&str] = &["not found", "not exist", "no such", "unknown", "not available"];
/// Words of those who have no such model, with a status that may mean anything.
const NO_MODEL: &[&str] =
    &["model not exist", "model not found", "no such model", "unknown model", "invalid model", "not a valid model"];

/// Whether what a server objects to may be functions: it does not name another field.
fn is_about_tools(said: &ErrorReport) -> bool {
    said.fields().is_empty() || said.fields().iter().any(|field| has(field, TOOLS))
}

/// Whether what a server objects to is the text of a message.
fn is_about_content(said: &ErrorReport) -> bool {
    let is_content = |field: &String| field.starts_with("messages.") && field.split('.').any(|part| part == "content");
    said.fields().iter().any(is_content)
}

/// How long to wait, for people.
fn wait_text(wait: Option<Duration>) -> String {
    wait.map(|wait| format!(" (try again after {} s)", wait.as_secs())).unwrap_or_default()
}

fn has(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

impl From<LlmError> for Error {
    fn from(error: LlmError) -> Self {
        let kind = match &error {
            LlmError::LimitReached(reached) => return reached.clone().into(),
            LlmError::NoBaseUrl | LlmError::NoModel => ErrorKind::NotConfigured,
            LlmError::Call { cause: CallError::Timeout, .. } => ErrorKind::Timeout,
            _ => ErrorKind::Upstream,
        };
        Self::new(kind, error.to_string()).caused_by(error.cause())
    }
}

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::kernel::Redaction;
use crate::outbound::CallError;

/// Longest test of what is called over HTTP. The original's.
pub(super) const HTTP_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Result of asking what is behind a tool; the words are the original's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ToolCheckStatus {
    /// It answered.
    Reachable,
    /// Nobody listens there, or what answers is of no use.
    Unreachable,
    /// It did not answer in time.
    Timeout,
    /// The call failed.
    Error,
    /// The tool can't work.
    Failed,
    /// Nobody was asked, as the caller or the configuration wants it.
    Skipped,
    /// There is nobody to be asked.
    NotApplicable,
}

/// Result of a test of a tool, in the original's terms.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ToolCheck {
    /// Whether the tool may be relied on, as far as it was looked at.
    pub(super) success: bool,
    /// Whether anything outside was asked.
    pub(super) tested: bool,
    /// What asking came to.
    pub(super) status: ToolCheckStatus,
    /// What was found, in a full sentence.
    pub(super) message: String,
    /// What went wrong, in a few words.
    pub(super) error: Option<String>,
    /// The cause, as the system or the other side tells it.
    pub(super) error_detail: Option<String>,
    /// What to do about it.
    pub(super) suggestion: Option<&'static str>,
    /// What else is worth telling, by name: `status_code`, `endpoint_url`, `tools`, ...
    pub(super) details: Map<String, Value>,
}

impl ToolCheck {
    /// Nothing outside was asked.
    pub(super) fn untested(success: bool, status: ToolCheckStatus, message: impl Into<String>) -> Self {
        let (message, details) = (message.into(), Map::new());
        Self { success, tested: false, status, message, error: None, error_detail: None, suggestion: None, details }
    }

    /// The tool works.
    pub(super) fn passed(message: impl Into<String>) -> Self {
        Self { tested: true, ..Self::untested(true, ToolCheckStatus::Reachable, message) }
    }

    /// The tool does not work.
    pub(super) fn failed(status: ToolCheckStatus, error: impl Into<String>, message: impl Into<String>) -> Self {
        Self { tested: true, error: Some(error.into()), ..Self::untested(false, status, message) }
    }

    /// The tool lacks something that only its owner can give: nothing was asked outside.
    pub(super) fn incomplete(what: impl Into<String>) -> Self {
        Self { tested: false, ..Self::failed(ToolCheckStatus::Failed, "Incomplete tool configuration", what) }
    }

    /// The tool lacks nothing, and there is nothing to ask.
    pub(super) fn not_applicable(kind: &str) -> Self {
        let message = format!("Tool configuration is valid. Connectivity testing not available for '{kind}' tools.");
        Self::untested(true, ToolCheckStatus::NotApplicable, message)
    }

    /// The server behind the tool could not be asked.
    pub(super) fn unreachable(error: &CallError, seconds: u64) -> Self {
        let (status, what, message, suggestion) = match error {
            CallError::Refused | CallError::Unreachable(_) => (
                ToolCheckStatus::Unreachable,
                "Connection refused",
                "Cannot connect to tool endpoint. The target service may not be running.".to_owned(),
                "Ensure the tool's target service is running and accessible, or use 'skip_connectivity=true' to save without \
                 testing.",
            ),
            CallError::Timeout => (
                ToolCheckStatus::Timeout,
                "Connection timeout",
                format!("Tool endpoint connection timed out after {seconds} seconds."),
                "Check if the service is running or increase timeout in tool configuration.",
            ),
            _ => (
                ToolCheckStatus::Error,
                "Request failed",
                format!("Failed to connect to tool endpoint: it {error}"),
                "Verify the endpoint URL and network connectivity.",
            ),
        };
        let detail = if *error == CallError::Timeout { String::new() } else { format!("The endpoint {error}") };
        Self { error_detail: Some(detail), suggestion: Some(suggestion), ..Self::failed(status, what, message) }
    }

    /// With one more detail.
    pub(super) fn with(mut self, key: &str, value: impl Serialize) -> Self {
        self.details.insert(key.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    /// The check with these credentials masked.
    pub(super) fn redacted(self, redaction: &Redaction) -> Self {
        let mask = |text: String| redaction.text(&text);
        Self {
            message: mask(self.message),
            error: self.error.map(mask),
            error_detail: self.error_detail.map(mask),
            details: redact_members(redaction, self.details),
            ..self
        }
    }
}

/// The members of a JSON object with these credentials masked.
pub(super) fn redact_members(redaction: &Redaction, members: Map<String, Value>) -> Map<String, Value> {
    match redaction.json(Value::Object(members)) {
        Value::Object(masked) => masked,
        _ => Map::new(),
    }
}

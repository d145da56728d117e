use serde_json::{Map, Value};

use crate::outbound::CallError;

/// What a test of a tool found, in the original's terms.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ToolCheck {
    /// Whether the tool may be relied on, as far as it was looked at.
    pub(super) success: bool,
    /// Whether anything outside was asked.
    pub(super) tested: bool,
    /// `reachable`, `unreachable`, `timeout`, `error`, `failed`, `skipped` or `not_applicable`.
    pub(super) status: &'static str,
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
    /// The tool works.
    pub(super) fn passed(status: &'static str, message: impl Into<String>) -> Self {
        Self { success: true, tested: true, status, message: message.into(), ..Self::default() }
    }

    /// The tool does not work.
    pub(super) fn failed(status: &'static str, error: impl Into<String>, message: impl Into<String>) -> Self {
        Self { tested: true, status, message: message.into(), error: Some(error.into()), ..Self::default() }
    }

    /// The tool lacks something that only its owner can give: nothing was asked outside.
    pub(super) fn incomplete(what: impl Into<String>) -> Self {
        let error = Some("Incomplete tool configuration".to_owned());
        Self { status: "failed", message: what.into(), error, ..Self::default() }
    }

    /// The tool lacks nothing, and there is nothing to ask; the words are the original's.
    pub(super) fn untested(kind: &str) -> Self {
        let message = format!("Tool configuration is valid. Connectivity testing not available for '{kind}' tools.");
        Self { success: true, status: "not_applicable", message, ..Self::default() }
    }

    /// The server behind the tool could not be asked; the words are the original's.
    pub(super) fn unreachable(error: &CallError, seconds: u64) -> Self {
        let (status, what, message, suggestion) = match error {
            CallError::Refused | CallError::Unreachable(_) => (
                "unreachable",
                "Connection refused",
                "Cannot connect to tool endpoint. The target service may not be running.".to_owned(),
                "Ensure the tool's target service is running and accessible, or use 'skip_connectivity=true' to save without \
                 testing.",
            ),
            CallError::Timeout => (
                "timeout",
                "Connection timeout",
                format!("Tool endpoint connection timed out after {seconds} seconds."),
                "Check if the service is running or increase timeout in tool configuration.",
            ),
            _ => (
                "error",
                "Request failed",
                format!("Failed to connect to tool endpoint: it {error}"),
                "Verify the endpoint URL and network connectivity.",
            ),
        };
        let detail = if *error == CallError::Timeout { String::new() } else { format!("The endpoint {error}") };
        Self { error_detail: Some(detail), suggestion: Some(suggestion), ..Self::failed(status, what, message) }
    }

    /// With one more detail.
    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }
}

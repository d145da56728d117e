use serde::Serialize;
use serde_json::{Map, Value};

use super::output::ToolOutput;
use crate::outbound::CallError;

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolStatus {
    /// The tool did what it was asked to.
    Success,
    /// The tool ran, and its task failed: an HTTP status of 400 or more, a program that ended with an error.
    Failure,
    /// It took too long.
    Timeout,
    /// It could not be run.
    Error,
}

impl ToolStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Success, Self::Failure, Self::Timeout, Self::Error];

    /// Its name in replies and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Timeout => "timeout",
            Self::Error => "error",
        }
    }
}

/// What came of an execution.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult {
    /// How it ended.
    pub status: ToolStatus,
    /// What it gave.
    pub output: ToolOutput,
    /// What went wrong, in a full sentence that a person or a model can act on.
    pub error: Option<String>,
    /// What else callers of the API are told, by name: `status_code`, `duration_ms`, ...
    pub metadata: Map<String, Value>,
}

impl ToolResult {
    /// The tool did its work.
    pub fn success(output: ToolOutput) -> Self {
        Self { status: ToolStatus::Success, output, error: None, metadata: Map::new() }
    }

    /// The tool ran, and what it did failed.
    pub fn failure(error: impl Into<String>) -> Self {
        Self::without_output(ToolStatus::Failure, error)
    }

    /// Time ran out.
    pub fn timeout(error: impl Into<String>) -> Self {
        Self::without_output(ToolStatus::Timeout, error)
    }

    /// The tool could not be run.
    pub fn error(error: impl Into<String>) -> Self {
        Self::without_output(ToolStatus::Error, error)
    }

    /// A call over HTTP failed; `who` names what was called.
    pub(super) fn call(who: &str, error: &CallError) -> Self {
        let status = if *error == CallError::Timeout { ToolStatus::Timeout } else { ToolStatus::Error };
        Self::without_output(status, format!("{who} {error}"))
    }

    /// With this output, which a failure may have too.
    pub fn with_output(self, output: ToolOutput) -> Self {
        Self { output, ..self }
    }

    /// With one more detail.
    pub fn with(mut self, key: &str, value: impl Serialize) -> Self {
        self.metadata.insert(key.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    /// With one more detail, if there is one.
    pub fn with_some(self, key: &str, value: Option<impl Serialize>) -> Self {
        if let Some(value) = value { self.with(key, value) } else { self }
    }

    fn without_output(status: ToolStatus, error: impl Into<String>) -> Self {
        Self { status, output: ToolOutput::Json(Value::Null), error: Some(error.into()), metadata: Map::new() }
    }

    /// With no more than about `most` bytes of output; one that is cut is marked and given as text.
    pub(super) fn truncate_output(self, most: usize) -> Self {
        let text = self.output.text().unwrap_or_default();
        if text.len() <= most {
            return self;
        }
        let kept = text.get(..text.floor_char_boundary(most)).unwrap_or_default();
        self.with_output(ToolOutput::Json(kept.into())).with("truncated", true).with("output_bytes", text.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_output_is_cut_on_a_character_and_says_so() {
        let short = ToolResult::success(ToolOutput::Json(json!({"a": "b"})));
        assert_eq!(short.clone().truncate_output(9), short);
        let cut = ToolResult::success(ToolOutput::Json(json!("aéb"))).truncate_output(2);
        assert_eq!((cut.output.text().as_deref(), cut.metadata.get("truncated")), (Some("a"), Some(&json!(true))));
        let cut = short.truncate_output(8);
        assert_eq!(
            (cut.output.text().as_deref(), cut.metadata.get("output_bytes")),
            (Some("{\"a\":\"b\""), Some(&json!(9)))
        );
    }
}

use serde::Serialize;
use serde_json::{Map, Value, json};

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
    /// What they are called in replies.
    pub const NAMES: [&str; 4] = ["success", "failure", "timeout", "error"];

    /// What it is called in replies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            other => other.as_str(),
        }
    }

    /// Its name, for figures. A success is `ok`, as of all that is called.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "ok",
            Self::Failure => "failure",
            Self::Timeout => "timeout",
            Self::Error => "error",
        }
    }
}

/// What came of an execution.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToolResult {
    /// How it ended.
    pub status: ToolStatus,
    /// What it gave; null if nothing.
    pub output: Value,
    /// What went wrong, in a full sentence that a person or a model can act on.
    pub error: Option<String>,
    /// What is worth knowing besides.
    pub metadata: Map<String, Value>,
}

impl ToolResult {
    /// The tool did its work.
    pub fn success(output: Value) -> Self {
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
        let text = format!("{who} {error}");
        if *error == CallError::Timeout { Self::timeout(text) } else { Self::error(text) }
    }

    /// With this output, which a failure may have too.
    pub fn with_output(self, output: Value) -> Self {
        Self { output, ..self }
    }

    /// With one more detail.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    fn without_output(status: ToolStatus, error: impl Into<String>) -> Self {
        Self { status, output: Value::Null, error: Some(error.into()), metadata: Map::new() }
    }

    /// With no more than about `most` bytes of output; one that is cut is marked and given as text.
    pub(super) fn truncate_output(self, most: usize) -> Self {
        let text = match &self.output {
            Value::String(text) if text.len() <= most => return self,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if text.len() <= most {
            return self;
        }
        let end = text.floor_char_boundary(most);
        let kept = text.get(..end).unwrap_or_default();
        self.with_output(json!(kept)).with("truncated", true).with("output_bytes", text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_output_is_cut_on_a_character_and_says_so() {
        let short = ToolResult::success(json!({"a": "b"}));
        assert_eq!(short.clone().truncate_output(9), short);
        let cut = ToolResult::success(json!("aéb")).truncate_output(2);
        assert_eq!((cut.output, cut.metadata.get("truncated")), (json!("a"), Some(&json!(true))));
        let cut = short.truncate_output(8);
        assert_eq!((cut.output, cut.metadata.get("output_bytes")), (json!("{\"a\":\"b\""), Some(&json!(9))));
    }
}

use std::time::Duration;

use serde_json::{Map, Value};

use super::{CodeOptions, HttpOptions, McpOptions, SearchOptions};
use crate::kernel::{FieldIssue, Fields};

/// What a tool is configured to do.
#[derive(Clone, Debug)]
pub enum ToolOptions {
    /// `http_request`, `http`
    Http(HttpOptions),
    /// `web_search`
    Search(SearchOptions),
    /// `code_executor`
    Code(CodeOptions),
    /// `mcp`
    Mcp(McpOptions),
    /// Any other type: kept, but of no use.
    Unsupported,
}

impl ToolOptions {
    /// The options in the `config` of a tool of this type; the error names the keys that can't work. Clients send `""` for what
    /// they leave empty, so that and null count as not set.
    pub(super) fn read(kind: &str, config: &Map<String, Value>) -> Result<Self, Vec<FieldIssue>> {
        let set = config.iter().filter(|(_, value)| is_set(value));
        let set: Map<_, _> = set.map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut fields = Fields::new(&set, vec!["config".into()]);
        // To the original, a `config` is any object.
        let options = fields.beyond_original(|fields| match kind {
            "http_request" | "http" => Self::Http(HttpOptions::read(fields)),
            "web_search" => Self::Search(SearchOptions::read(fields)),
            "code_executor" => Self::Code(CodeOptions::read(fields)),
            "mcp" => Self::Mcp(McpOptions::read(fields)),
            _ => Self::Unsupported,
        });
        let issues = fields.into_issues();
        if issues.is_empty() { Ok(options) } else { Err(issues) }
    }

    /// The limit for one execution, if the tool has one of its own.
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Http(options) => options.timeout,
            Self::Search(options) => options.timeout,
            Self::Code(options) => options.timeout,
            Self::Mcp(options) => options.timeout,
            Self::Unsupported => None,
        }
    }
}

/// Whether a key of `config` has this value, or none.
pub(super) fn is_set(value: &Value) -> bool {
    !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty())
}

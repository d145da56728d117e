//! stub

use serde_json::{Map, Value, json};

use super::Tool;
use super::check::Check;
use super::function::Described;
use super::result::ToolResult;
use crate::kernel::Deadline;
use crate::outbound::HttpClient;
use crate::settings::SearchOptions;

/// What the tool is offered as.
pub(super) fn describe(_options: &SearchOptions) -> Described {
    Described { description: String::new(), parameters: json!({"type": "object"}) }
}

/// Does what the arguments, which fit the schema, ask for.
pub(super) async fn execute(
    _http: &HttpClient,
    _tool: &Tool,
    _options: &SearchOptions,
    _arguments: &Map<String, Value>,
    _deadline: Deadline,
) -> ToolResult {
    ToolResult::error("not built yet")
}

/// Looks whether the tool can do its work.
pub(super) async fn check(_http: &HttpClient, _tool: &Tool, _options: &SearchOptions, _deadline: Deadline) -> Check {
    Check::incomplete("not built yet")
}

//! stub

use serde_json::{Map, Value};

use super::Tool;
use super::check::Check;
use super::function::Function;
use super::result::ToolResult;
use crate::kernel::Deadline;
use crate::outbound::HttpClient;
use crate::settings::{McpOptions, ToolRules};

/// Speaks to MCP servers and keeps the connections to them. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct McpClient;

impl McpClient {
    /// A client that reaches servers over HTTP through `http`.
    pub(super) fn new(_http: HttpClient) -> Self {
        Self
    }

    /// The functions of a server, those that are excluded left out; the error is a full sentence.
    pub(super) async fn functions(
        &self,
        _tool: &Tool,
        _options: &McpOptions,
        _rules: &ToolRules,
        _deadline: Deadline,
    ) -> Result<Vec<Function>, String> {
        Err("not built yet".to_owned())
    }

    /// Calls a function with arguments that fit its schema.
    pub(super) async fn execute(
        &self,
        _tool: &Tool,
        _options: &McpOptions,
        _rules: &ToolRules,
        _function: &str,
        _arguments: &Map<String, Value>,
        _deadline: Deadline,
    ) -> ToolResult {
        ToolResult::error("not built yet")
    }

    /// Connects anew and lists the server's tools.
    pub(super) async fn check(
        &self,
        _tool: &Tool,
        _options: &McpOptions,
        _rules: &ToolRules,
        _deadline: Deadline,
    ) -> Check {
        Check::incomplete("not built yet")
    }

    /// Lets go of what is kept for a tool of this name, which is no more.
    pub(super) fn forget(&self, _name: &str) {}

    /// Ends all connections and the processes behind them.
    pub(super) async fn close(&self) {}
}

use futures_util::future::{BoxFuture, FutureExt};
use serde_json::{Map, Value};

use super::check::ToolCheck;
use super::code_executor::{self, CodeExecutor};
use super::mcp::McpClient;
use super::result::ToolResult;
use super::{Tool, ToolFunction, http_request, naming, web_search};
use crate::kernel::Deadline;
use crate::outbound::HttpClient;
use crate::settings::{Environment, ToolOptions, ToolPolicy};

/// The four kinds of tools: what each offers, does and needs. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ToolRuntime {
    http: HttpClient,
    code: CodeExecutor,
    pub(super) mcp: McpClient,
}

impl ToolRuntime {
    pub(super) fn new(http: HttpClient, environment: &Environment) -> Self {
        let (code, mcp) = (CodeExecutor::new(environment), McpClient::new(http.clone(), environment));
        Self { http, code, mcp }
    }

    /// The functions of a tool. An MCP server is asked, unless its answer is known; the error is a full sentence.
    pub(super) async fn functions(
        &self,
        tool: &Tool,
        policy: &ToolPolicy,
        deadline: Deadline,
    ) -> Result<Vec<ToolFunction>, String> {
        match options(tool)? {
            ToolOptions::Mcp(options) => self.mcp.functions(tool, &options, policy, deadline).await,
            options => describe(tool, &options).map(|function| vec![function]).ok_or_else(|| unsupported(tool)),
        }
    }

    /// Runs a function with arguments that fit its schema.
    pub(super) async fn execute(
        &self,
        function: &ToolFunction,
        options: &ToolOptions,
        policy: &ToolPolicy,
        arguments: &Map<String, Value>,
        deadline: Deadline,
    ) -> ToolResult {
        let (http, tool) = (&self.http, &function.tool);
        let work: BoxFuture<'_, ToolResult> = match options {
            ToolOptions::Http(options) => http_request::execute(http, tool, options, arguments, deadline).boxed(),
            ToolOptions::Search(options) => web_search::execute(http, tool, options, arguments, deadline).boxed(),
            ToolOptions::Code(options) => self.code.execute(options, policy, arguments, deadline).boxed(),
            ToolOptions::Mcp(options) => {
                let remote = function.remote.as_deref().unwrap_or_default();
                self.mcp.execute(tool, options, policy, remote, arguments, deadline).boxed()
            }
            ToolOptions::Unsupported => return ToolResult::error(unsupported(tool)),
        };
        work.await
    }

    /// Looks whether a tool can do its work.
    pub(super) async fn check(&self, tool: &Tool, policy: &ToolPolicy, deadline: Deadline) -> ToolCheck {
        match options(tool) {
            Ok(ToolOptions::Http(options)) => http_request::check(&self.http, tool, &options, deadline).await,
            Ok(ToolOptions::Search(options)) => web_search::check(&self.http, tool, &options, deadline).await,
            Ok(ToolOptions::Code(options)) => self.code.check(&options, policy, deadline).await,
            Ok(ToolOptions::Mcp(options)) => self.mcp.check(tool, &options, policy, deadline).await,
            Ok(ToolOptions::Unsupported) => ToolCheck::incomplete(unsupported(tool)),
            Err(problem) => ToolCheck::incomplete(problem),
        }
    }
}

/// The options of a tool; the error is a full sentence.
pub(super) fn options(tool: &Tool) -> Result<ToolOptions, String> {
    tool.effective.options().map_err(|issues| {
        let issues: Vec<_> = issues.iter().map(ToString::to_string).collect();
        format!("Tool '{}' is not configured right: {}", tool.name, issues.join("; "))
    })
}

/// The function of a tool that has only one.
pub(super) fn describe(tool: &Tool, options: &ToolOptions) -> Option<ToolFunction> {
    let spec = match options {
        ToolOptions::Http(options) => http_request::describe(options),
        ToolOptions::Search(options) => web_search::describe(options),
        ToolOptions::Code(options) => code_executor::describe(options),
        ToolOptions::Mcp(_) | ToolOptions::Unsupported => return None,
    };
    Some(naming::single(tool, spec))
}

fn unsupported(tool: &Tool) -> String {
    format!("Tool '{}': unsupported type '{}'", tool.name, tool.effective.kind)
}

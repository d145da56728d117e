use futures_util::FutureExt;
use serde_json::{Map, Value};

use super::check::ToolCheck;
use super::code_executor::{self, CodeExecutor};
use super::context::ToolContext;
use super::mcp::McpClient;
use super::result::ToolResult;
use super::{Tool, ToolFunction, http_request, naming, web_search};
use crate::settings::{Environment, Resource, ToolOptions};

/// The four kinds of tools: what each offers, does and needs. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ToolRuntime {
    code: CodeExecutor,
    pub(super) mcp: McpClient,
}

impl ToolRuntime {
    pub(super) fn new(environment: &Environment) -> Self {
        Self { code: CodeExecutor::new(environment), mcp: McpClient::new(environment) }
    }

    /// The functions of a tool. An MCP server is asked, unless its answer is known; the error is a full sentence.
    pub(super) async fn functions(&self, context: ToolContext<'_>) -> Result<Vec<ToolFunction>, String> {
        match options(context.tool)? {
            ToolOptions::Mcp(options) => self.mcp.functions(context, &options).await,
            options => match describe(context.tool, &options) {
                Some(function) => Ok(vec![function]),
                None => Err(unsupported(context.tool)),
            },
        }
    }

    /// Runs a function with arguments that fit its schema.
    pub(super) async fn execute(
        &self,
        context: ToolContext<'_>,
        options: &ToolOptions,
        function: &ToolFunction,
        arguments: &Map<String, Value>,
    ) -> ToolResult {
        // Boxed, since the futures of the kinds differ much in size.
        match options {
            ToolOptions::Http(options) => http_request::execute(context, options, arguments).boxed().await,
            ToolOptions::Search(options) => web_search::execute(context, options, arguments).boxed().await,
            ToolOptions::Code(options) => self.code.execute(context, options, arguments).boxed().await,
            ToolOptions::Mcp(options) => {
                let remote = function.remote.as_deref().unwrap_or_default();
                self.mcp.execute(context, options, remote, arguments).boxed().await
            }
            ToolOptions::Unsupported => ToolResult::error(unsupported(context.tool)),
        }
    }

    /// Looks whether a tool can do its work.
    pub(super) async fn check(&self, context: ToolContext<'_>) -> ToolCheck {
        match options(context.tool) {
            Ok(ToolOptions::Http(options)) => http_request::check(context, &options).await,
            Ok(ToolOptions::Search(options)) => web_search::check(context, &options).await,
            Ok(ToolOptions::Code(options)) => self.code.check(context, &options).await,
            Ok(ToolOptions::Mcp(options)) => self.mcp.check(context, &options).await,
            Ok(ToolOptions::Unsupported) => ToolCheck::incomplete(unsupported(context.tool)),
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
    let mut spec = match options {
        ToolOptions::Http(options) => http_request::describe(options),
        ToolOptions::Search(options) => web_search::describe(options),
        ToolOptions::Code(options) => code_executor::describe(options),
        ToolOptions::Mcp(_) | ToolOptions::Unsupported => return None,
    };
    let own = tool.effective.description().filter(|text| !text.trim().is_empty());
    spec.description = own.map_or(spec.description, str::to_owned);
    Some(naming::function(tool, None, spec))
}

fn unsupported(tool: &Tool) -> String {
    format!("Tool '{}': unsupported type '{}'", tool.name, tool.effective.kind)
}

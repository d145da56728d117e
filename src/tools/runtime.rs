use futures_util::FutureExt;
use serde_json::{Map, Value};

use super::check::ToolCheck;
use super::code_executor::{self, CodeExecutor};
use super::context::ToolContext;
use super::function::FunctionList;
use super::mcp::McpClient;
use super::result::ToolResult;
use super::{Tool, ToolFunction, http_request, naming, web_search};
use crate::kernel::truncate_chars;
use crate::settings::bounds::MAX_DESCRIPTION_CHARS;
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
    pub(super) async fn functions(&self, context: ToolContext<'_>) -> Result<FunctionList, String> {
        match options(context.tool)? {
            ToolOptions::Mcp(options) => self.mcp.functions(context, &options).await,
            options => {
                let function = describe(context.tool, &options);
                let functions = vec![function.ok_or_else(|| unsupported(context.tool))?];
                Ok(FunctionList { functions, left_out: None })
            }
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

/// The function of a tool that has only one, if its configuration can be used.
pub fn single_function(tool: &Tool) -> Option<ToolFunction> {
    describe(tool, &options(tool).ok()?)
}

/// The function of a tool that has only one.
pub(super) fn describe(tool: &Tool, options: &ToolOptions) -> Option<ToolFunction> {
    let mut spec = match options {
        ToolOptions::Http(options) => http_request::describe(options),
        ToolOptions::Search(options) => web_search::describe(options),
        ToolOptions::Code(options) => code_executor::describe(options),
        ToolOptions::Mcp(_) | ToolOptions::Unsupported => return None,
    };
    if let Some(own) = tool.effective.description() {
        spec.description = truncate_chars(own, MAX_DESCRIPTION_CHARS);
    }
    Some(naming::function(tool, None, spec))
}

fn unsupported(tool: &Tool) -> String {
    format!("Tool '{}': unsupported type '{}'", tool.name, tool.effective.kind)
}

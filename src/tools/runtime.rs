use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::check::ToolCheck;
use super::code_executor::CodeExecutor;
use super::mcp::McpClient;
use super::result::ToolResult;
use super::{Tool, ToolFunction, arguments, http_request, naming, web_search};
use crate::kernel::{Deadline, Stopwatch};
use crate::outbound::HttpClient;
use crate::settings::{Environment, Settings, ToolOptions, ToolPolicy};
use crate::telemetry::metrics::{self, Callee};

/// Bytes of output that a result holds.
const MAX_OUTPUT_BYTES: usize = 200_000;
/// Longest wait for the list of an MCP server's tools when functions are gathered.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);
const NO_SLOT: &str = "No place was free in time: too many tools are running (TOOLS_MAX_CONCURRENT)";
/// How many tools are asked for their functions at once.
const MAX_CONCURRENT_LISTS: usize = 16;

/// Knows what tools offer, and runs them under limits. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ToolRuntime {
    http: HttpClient,
    code: CodeExecutor,
    mcp: McpClient,
    running: Arc<Semaphore>,
}

/// The functions of a set of tools.
#[derive(Debug, Default)]
pub struct ToolFunctions {
    /// Each of them.
    pub all: Vec<ToolFunction>,
    /// Why some tools offer none, in full sentences.
    pub problems: Vec<String>,
}

impl ToolRuntime {
    pub(super) fn new(http: HttpClient, environment: &Environment, rules: &ToolPolicy) -> Self {
        Self {
            code: CodeExecutor::new(environment),
            mcp: McpClient::new(http.clone(), environment),
            running: Arc::new(Semaphore::new(rules.max_concurrent)),
            http,
        }
    }

    /// The functions of these tools, in their order. MCP servers are asked, unless their answer is known.
    pub(super) async fn functions(&self, tools: Vec<Tool>, rules: &ToolPolicy, deadline: Deadline) -> ToolFunctions {
        let deadline = deadline.at_most(LIST_TIMEOUT);
        let ask = |tool: Tool| async move {
            let functions = self.functions_of(&tool, rules, deadline).await;
            functions.inspect_err(|words| tracing::warn!(tool = %tool.name, untrusted = words, "a tool is not offered"))
        };
        let asked: Vec<_> = futures_util::stream::iter(tools).map(ask).buffered(MAX_CONCURRENT_LISTS).collect().await;
        let mut found = ToolFunctions::default();
        for functions in asked {
            match functions {
                Ok(functions) => found.all.extend(functions),
                Err(problem) => found.problems.push(problem),
            }
        }
        found.all = naming::with_call_names(found.all);
        found
    }

    async fn functions_of(
        &self,
        tool: &Tool,
        rules: &ToolPolicy,
        deadline: Deadline,
    ) -> Result<Vec<ToolFunction>, String> {
        match options(tool)? {
            ToolOptions::Mcp(options) => self.mcp.functions(tool, &options, rules, deadline).await,
            options => describe(tool, &options).map(|function| vec![function]).ok_or_else(|| unsupported(tool)),
        }
    }

    /// The function of a tool that has only one.
    pub(super) fn single_function(&self, tool: &Tool) -> Option<ToolFunction> {
        describe(tool, &options(tool).ok()?)
    }

    /// The arguments as they are to be used, if they fit a function, and if not, why.
    pub(super) fn check_arguments(
        &self,
        function: &ToolFunction,
        arguments: &Value,
    ) -> Result<Map<String, Value>, String> {
        arguments::check(arguments, &function.parameters)
    }

    /// Runs a function whose arguments may be anything. `deadline` is the caller's; the tool's own limit counts too. What it says
    /// is free of credentials.
    pub(super) async fn execute(
        &self,
        function: &ToolFunction,
        arguments: &Value,
        settings: &Settings,
        deadline: Deadline,
    ) -> ToolResult {
        let started = Instant::now();
        match self.check_arguments(function, arguments) {
            Ok(arguments) => self.execute_checked(function, &arguments, settings, deadline).await,
            Err(wrong) => {
                finish(function, ToolResult::error(format!("Tool '{}' was not run: {wrong}", function.name)), started)
            }
        }
    }

    /// The same with arguments that fit.
    pub(super) async fn execute_checked(
        &self,
        function: &ToolFunction,
        arguments: &Map<String, Value>,
        settings: &Settings,
        deadline: Deadline,
    ) -> ToolResult {
        let (started, wait) = (Instant::now(), Stopwatch::wait());
        let result = self.run(function, arguments, settings, deadline).await;
        drop(wait);
        finish(function, result, started)
    }

    async fn run(
        &self,
        function: &ToolFunction,
        arguments: &Map<String, Value>,
        settings: &Settings,
        deadline: Deadline,
    ) -> ToolResult {
        let (tool, rules) = (&function.tool, &settings.tool_policy);
        let options = match options(tool) {
            Ok(options) => options,
            Err(problem) => return ToolResult::error(problem),
        };
        let permit = match timeout_at(deadline.instant(), self.running.acquire()).await {
            Ok(Ok(permit)) => permit,
            _ => return ToolResult::timeout(format!("Tool '{}': {NO_SLOT}", function.name)),
        };
        let deadline = deadline.at_most(options.timeout().unwrap_or(rules.timeout));
        let work: BoxFuture<'_, ToolResult> = match &options {
            ToolOptions::Http(options) => http_request::execute(&self.http, tool, options, arguments, deadline).boxed(),
            ToolOptions::Search(options) => web_search::execute(&self.http, tool, options, arguments, deadline).boxed(),
            ToolOptions::Code(options) => self.code.execute(options, rules, arguments, deadline).boxed(),
            ToolOptions::Mcp(options) => {
                let remote = function.remote.as_deref().unwrap_or_default();
                self.mcp.execute(tool, options, rules, remote, arguments, deadline).boxed()
            }
            ToolOptions::Unsupported => return ToolResult::error(unsupported(tool)),
        };
        // Kinds keep to the deadline themselves, since they can say more; this is for what they overlook.
        let result = timeout_at(deadline.instant() + Duration::from_secs(2), work).await;
        drop(permit);
        result.unwrap_or_else(|_| ToolResult::timeout(format!("Tool '{}' did not finish in time", function.name)))
    }

    /// Looks whether a tool can do its work.
    pub(super) async fn check(&self, tool: &Tool, rules: &ToolPolicy, deadline: Deadline) -> ToolCheck {
        let place = timeout_at(deadline.instant(), self.running.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return ToolCheck::failed("timeout", "Too many tools are running", NO_SLOT);
        };
        let check = match options(tool) {
            Ok(ToolOptions::Http(options)) => http_request::check(&self.http, tool, &options, deadline).await,
            Ok(ToolOptions::Search(options)) => web_search::check(&self.http, tool, &options, deadline).await,
            Ok(ToolOptions::Code(options)) => self.code.check(&options, rules, deadline).await,
            Ok(ToolOptions::Mcp(options)) => self.mcp.check(tool, &options, rules, deadline).await,
            Ok(ToolOptions::Unsupported) => ToolCheck::incomplete(unsupported(tool)),
            Err(problem) => ToolCheck::incomplete(problem),
        };
        let redaction = tool.redaction();
        let clean = |text: Option<String>| text.map(|text| redaction.text(&text));
        ToolCheck {
            message: redaction.text(&check.message),
            error: clean(check.error),
            error_detail: clean(check.error_detail),
            details: object(redaction.json(Value::Object(check.details))),
            ..check
        }
    }

    /// Lets go of what is kept for a tool of this name, which is no more.
    pub(super) fn forget(&self, name: &str) {
        self.mcp.forget(name);
    }

    /// Ends what outlives requests.
    pub(super) async fn close(&self) {
        self.mcp.close().await;
    }
}

fn options(tool: &Tool) -> Result<ToolOptions, String> {
    let wrong = |issues: Vec<crate::kernel::FieldIssue>| {
        let issues: Vec<_> = issues.iter().map(ToString::to_string).collect();
        format!("Tool '{}' is not configured right: {}", tool.name, issues.join("; "))
    };
    tool.effective.options().map_err(wrong)
}

/// The function of a tool that has only one.
fn describe(tool: &Tool, options: &ToolOptions) -> Option<ToolFunction> {
    let single_function = match options {
        ToolOptions::Http(options) => http_request::describe(options),
        ToolOptions::Search(options) => web_search::describe(options),
        ToolOptions::Code(options) => CodeExecutor::describe(options),
        ToolOptions::Mcp(_) | ToolOptions::Unsupported => return None,
    };
    Some(naming::single(tool, single_function))
}

/// What came of a function, as its caller may see it.
fn finish(function: &ToolFunction, result: ToolResult, started: Instant) -> ToolResult {
    let redaction = function.tool.redaction();
    let result = ToolResult {
        output: redaction.json(result.output),
        error: result.error.map(|error| redaction.text(&error)),
        metadata: object(redaction.json(Value::Object(result.metadata))),
        ..result
    };
    metrics::call(Callee::Tool, function.tool.name.as_str(), result.status.as_str(), started.elapsed());
    let elapsed = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(tool = %function.name, status = ?result.status, duration_ms = elapsed, "a tool was run");
    result.truncate_output(MAX_OUTPUT_BYTES).with("duration_ms", elapsed)
}

fn unsupported(tool: &Tool) -> String {
    format!("Tool '{}': unsupported type '{}'", tool.name, tool.effective.kind)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::check::{ToolCheck, ToolCheckStatus, redact_members};
use super::context::ToolContext;
use super::function::FunctionList;
use super::result::{ToolResult, ToolStatus};
use super::runtime::{self, ToolRuntime};
use super::{Tool, ToolFunction, arguments, naming};
use crate::kernel::{Deadline, Error, FieldIssue, Stopwatch};
use crate::outbound::HttpClient;
use crate::settings::Settings;
use crate::storage::{ConfigRepository, ConfigService};
use crate::telemetry::metrics::{self, Callee};

/// Bytes of output that a result holds.
const MAX_OUTPUT_BYTES: usize = 200_000;
/// Longest test of a tool that is there at once. The original gave five seconds; an interpreter may need more to start.
const CHECK_TIMEOUT: Duration = Duration::from_secs(15);
/// How many tools are asked for their functions at once.
const MAX_CONCURRENT_LISTS: usize = 16;
const NO_SLOT: &str = "No place was free in time: too many tools are running (TOOLS_MAX_CONCURRENT)";

/// Keeps, tests and runs tools, under limits. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ToolService {
    config: ConfigRepository,
    http: HttpClient,
    runtime: ToolRuntime,
    running: Arc<Semaphore>,
}

/// The functions of a set of tools.
#[derive(Debug)]
pub struct ToolFunctions {
    /// Each of them.
    pub all: Vec<ToolFunction>,
    /// Why some tools offer none, in full sentences.
    pub problems: Vec<String>,
    /// Which functions of the others can't be offered, and why, a tool each.
    pub warnings: Vec<String>,
}

/// Result of testing a tool.
pub(super) struct ToolTest {
    pub(super) check: ToolCheck,
    /// Whether the configuration is one that can be used.
    pub(super) config_valid: bool,
    /// Milliseconds that the other side took, if one was asked.
    pub(super) latency: Option<f64>,
    /// What models are told, if the tool has only one function.
    pub(super) function: Option<ToolFunction>,
}

impl ConfigService for ToolService {
    fn config(&self) -> &ConfigRepository {
        &self.config
    }

    fn close_stale(&self, settings: &Settings) {
        let is_current =
            |name: &str, version: &str| settings.tools.get(name).is_some_and(|tool| tool.version == version);
        self.runtime.mcp.retain(is_current);
    }
}

impl ToolService {
    /// A service that is configured in `config`.
    pub fn new(config: ConfigRepository, http: HttpClient) -> Self {
        let runtime = ToolRuntime::new(config.environment());
        let running = Arc::new(Semaphore::new(config.snapshot().tool_policy.max_concurrent));
        Self { config, http, runtime, running }
    }

    /// The functions of these tools, in their order, under names that models may use. MCP servers are asked if need be.
    pub async fn functions(&self, tools: Vec<Tool>, settings: &Settings, deadline: Deadline) -> ToolFunctions {
        let ask = |tool: Tool| async move {
            let functions = self.list(&tool, settings, deadline).await;
            functions.inspect_err(|words| tracing::warn!(tool = %tool.name, untrusted = words, "a tool is not offered"))
        };
        let asked: Vec<_> = futures_util::stream::iter(tools).map(ask).buffered(MAX_CONCURRENT_LISTS).collect().await;
        let (mut all, mut problems, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        for asked in asked {
            match asked {
                Ok(FunctionList { functions, left_out }) => {
                    all.extend(functions);
                    warnings.extend(left_out);
                }
                Err(problem) => problems.push(problem),
            }
        }
        ToolFunctions { all: naming::with_call_names(all), problems, warnings }
    }

    /// The functions of one tool, of which models have been told nothing yet: without names that they may use. The error is a full
    /// sentence.
    pub async fn functions_of(
        &self,
        tool: &Tool,
        settings: &Settings,
        deadline: Deadline,
    ) -> Result<Vec<ToolFunction>, String> {
        Ok(self.list(tool, settings, deadline).await?.functions)
    }

    /// The functions of one tool, for which an MCP server may have to start: that may take as long as a call of it.
    async fn list(&self, tool: &Tool, settings: &Settings, deadline: Deadline) -> Result<FunctionList, String> {
        let deadline = deadline.at_most(call_timeout(tool, settings));
        self.runtime.functions(self.context(tool, settings, deadline)).await
    }

    /// The functions of all enabled tools. Tools of a type that nobody can run have none, which is no problem here.
    pub(super) async fn all_functions(&self, settings: &Settings) -> ToolFunctions {
        let deadline = Deadline::after(settings.orchestration.timeout);
        let known = |tool: &&Tool| !tool.effective.is_unsupported();
        self.functions(settings.tools.enabled().filter(known).cloned().collect(), settings, deadline).await
    }

    /// Whether arguments fit a function, and if not, why.
    pub fn check_arguments(&self, function: &ToolFunction, arguments: &Value) -> Result<(), String> {
        arguments::check(arguments, function.accepted()).map(drop)
    }

    /// Runs a function whose arguments may be anything, within the tool's own limit too. Credentials are masked in the result.
    pub async fn execute(
        &self,
        function: &ToolFunction,
        arguments: &Value,
        settings: &Settings,
        deadline: Deadline,
    ) -> ToolResult {
        let started = Instant::now();
        match arguments::check(arguments, function.accepted()) {
            Ok(arguments) => self.execute_checked(function, &arguments, settings, deadline).await,
            Err(wrong) => {
                finish(function, ToolResult::error(format!("Tool '{}' was not run: {wrong}", function.name)), started)
            }
        }
    }

    /// The same with arguments that fit.
    async fn execute_checked(
        &self,
        function: &ToolFunction,
        arguments: &Map<String, Value>,
        settings: &Settings,
        deadline: Deadline,
    ) -> ToolResult {
        let (started, wait) = (Instant::now(), Stopwatch::wait());
        let (name, tool) = (&function.name, &function.tool);
        let running = async {
            let options = runtime::options(tool).map_err(ToolResult::error)?;
            let slot = self.slot(deadline).await;
            let _slot = slot.ok_or_else(|| ToolResult::timeout(format!("Tool '{name}': {NO_SLOT}")))?;
            let deadline = deadline.at_most(call_timeout(tool, settings));
            let context = self.context(tool, settings, deadline);
            let work = self.runtime.execute(context, &options, function, arguments);
            // Kinds keep to the deadline themselves, since they can say more; this is for what they overlook.
            let result = timeout_at(deadline.instant() + Duration::from_secs(2), work).await;
            result.map_err(|_| ToolResult::timeout(format!("Tool '{name}' did not finish in time")))
        };
        let result = running.await.unwrap_or_else(|failed| failed);
        drop(wait);
        finish(function, result, started)
    }

    fn context<'a>(&'a self, tool: &'a Tool, settings: &'a Settings, deadline: Deadline) -> ToolContext<'a> {
        ToolContext { tool, policy: &settings.tool_policy, http: &self.http, deadline }
    }

    /// One of the places for running tools.
    async fn slot(&self, deadline: Deadline) -> Option<SemaphorePermit<'_>> {
        timeout_at(deadline.instant(), self.running.acquire()).await.ok()?.ok()
    }

    /// Runs a function by a name that it is published under, or by that of its server and its own as `member`. Arguments that don't
    /// fit its schema are the caller's error.
    pub(super) async fn execute_named(
        &self,
        settings: &Settings,
        name: &str,
        member: Option<&str>,
        arguments: Map<String, Value>,
    ) -> Result<ToolResult, Error> {
        let deadline = Deadline::after(settings.orchestration.timeout);
        let (tool, own_name) = naming::require(&settings.tools, name)?;
        if !tool.effective.enabled {
            return Ok(ToolResult::error(format!("Tool '{}' is disabled", tool.name)));
        }
        let found = self.functions(vec![tool.clone()], settings, deadline).await;
        if let Some(problem) = found.problems.into_iter().next() {
            return Ok(ToolResult::error(problem));
        }
        let function = match own_name {
            Some(_) => naming::find_published(name, found.all)?,
            None => naming::choose_member(member, found.all)?,
        };
        let arguments = arguments::check(&Value::Object(arguments), function.accepted()).map_err(|wrong| {
            let loc = vec!["body".into(), "arguments".into()];
            Error::invalid(vec![FieldIssue::new("value_error", loc, wrong, Value::Null)])
        })?;
        Ok(self.execute_checked(&function, &arguments, settings, deadline).await)
    }

    /// Looks whether a tool can do its work, or at its configuration only.
    pub(super) async fn test(&self, settings: &Settings, tool: &Tool, skip_connectivity: bool) -> ToolTest {
        let untested = |check| ToolTest { check, config_valid: true, latency: None, function: None };
        let skipped = |success, message| ToolCheck::untested(success, ToolCheckStatus::Skipped, message);
        if !tool.effective.enabled {
            return untested(skipped(false, "Tool is disabled. Enable it to test connectivity."));
        }
        if tool.effective.is_unsupported() {
            let message = "Tool could not be instantiated from configuration";
            let check = ToolCheck::failed(ToolCheckStatus::Failed, "Invalid tool configuration", message);
            return ToolTest { config_valid: false, ..untested(ToolCheck { tested: false, ..check }) };
        }
        let function = runtime::options(tool).ok().and_then(|options| runtime::describe(tool, &options));
        if skip_connectivity {
            let check = skipped(true, "Tool configuration is valid. Connectivity test skipped.");
            return ToolTest { function, ..untested(check) };
        }
        let limit = if tool.effective.is_mcp() { call_timeout(tool, settings) } else { CHECK_TIMEOUT };
        let (started, deadline) = (Instant::now(), Deadline::after(limit));
        let check = match self.slot(deadline).await {
            Some(_slot) => self.runtime.check(self.context(tool, settings, deadline)).await.redacted(tool.redaction()),
            None => ToolCheck::failed(ToolCheckStatus::Timeout, "Too many tools are running", NO_SLOT),
        };
        let latency = check.tested.then(|| started.elapsed().as_secs_f64() * 1000.0);
        ToolTest { latency, function, ..untested(check) }
    }

    /// What a test of a tool found, or what is wrong with it, in full sentences.
    pub async fn check(&self, settings: &Settings, tool: &Tool) -> Result<String, String> {
        let ToolCheck { success, message, error_detail, .. } = self.test(settings, tool, false).await.check;
        match error_detail.filter(|detail| !success && !detail.is_empty()) {
            Some(detail) => Err(format!("{message} {detail}")),
            None if success => Ok(message),
            None => Err(message),
        }
    }

    /// Ends what outlives requests: connections, and processes behind them.
    pub async fn close(&self) {
        self.runtime.mcp.close().await;
    }
}

/// The limit for one execution of a tool.
fn call_timeout(tool: &Tool, settings: &Settings) -> Duration {
    let own = tool.effective.options().ok().and_then(|options| options.timeout());
    own.unwrap_or(settings.tool_policy.timeout)
}

/// What came of a function, as its caller may see it.
fn finish(function: &ToolFunction, result: ToolResult, started: Instant) -> ToolResult {
    let redaction = function.tool.redaction();
    let result = ToolResult {
        output: result.output.redacted(redaction),
        error: result.error.map(|error| redaction.text(&error)),
        metadata: redact_members(redaction, result.metadata),
        ..result
    };
    // A success is `ok`, as of all that is called.
    let outcome = if result.status == ToolStatus::Success { "ok" } else { result.status.as_str() };
    metrics::call(Callee::Tool, function.tool.name.as_str(), outcome, started.elapsed());
    let elapsed = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(tool = %function.name, status = ?result.status, duration_ms = elapsed, "a tool was run");
    result.truncate_output(MAX_OUTPUT_BYTES).with("duration_ms", elapsed)
}

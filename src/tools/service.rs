use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::check::ToolCheck;
use super::result::ToolResult;
use super::runtime::{ToolFunctions, ToolRuntime};
use super::{Tool, ToolFunction, resolve_name};
use crate::kernel::{Deadline, Error, FieldIssue, ResourceName};
use crate::outbound::HttpClient;
use crate::settings::{Precondition, Settings, SharedSettings, ToolSettings};
use crate::storage::{ConfigRepository, ConfigStore};

/// Longest test of a tool. The original gave five seconds; a child process may need more to start.
const CHECK_TIMEOUT: Duration = Duration::from_secs(15);

/// Names that an error lists at most.
const MAX_LISTED_NAMES: usize = 100;

/// Keeps, tests and runs tools. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ToolService {
    config: ConfigRepository,
    runtime: ToolRuntime,
}

impl ToolService {
    /// A service on these settings, whose changes go to `store`.
    pub fn new(settings: SharedSettings, store: ConfigStore, http: HttpClient) -> Self {
        let runtime = ToolRuntime::new(http, settings.environment(), &settings.snapshot().tool_policy);
        Self { config: ConfigRepository::new(settings, store), runtime }
    }

    pub(super) fn config(&self) -> &ConfigRepository {
        &self.config
    }

    /// The settings as they are now: a request takes them once.
    pub fn snapshot(&self) -> Settings {
        self.config.snapshot()
    }

    /// Replaces a tool. Whoever still uses it as it was may come to an end, then a connection to that is closed.
    pub(super) async fn update(
        &self,
        name: &ResourceName,
        expected: Precondition,
        body: Map<String, Value>,
    ) -> Result<Tool, Error> {
        let tool = self.config.update(name.to_string(), expected, body).await?;
        self.runtime.forget(name.as_str());
        Ok(tool)
    }

    /// Removes a tool. A connection to it is closed once nobody uses it any longer.
    pub(super) async fn remove(&self, name: &ResourceName, expected: Precondition) -> Result<(), Error> {
        self.config.remove::<ToolSettings>(name.to_string(), expected).await?;
        self.runtime.forget(name.as_str());
        Ok(())
    }

    /// The functions of these tools, in their order, under names that models may use.
    pub async fn functions(&self, tools: Vec<Tool>, settings: &Settings, deadline: Deadline) -> ToolFunctions {
        self.runtime.functions(tools, &settings.tool_policy, deadline).await
    }

    /// The functions of all enabled tools. Tools of a type that nobody can run have none, which is no problem here.
    pub(super) async fn all_functions(&self) -> ToolFunctions {
        let settings = self.snapshot();
        let deadline = Deadline::after(settings.orchestration.timeout);
        let known = |tool: &&Tool| !tool.effective.is_unsupported();
        self.functions(settings.tools.enabled().filter(known).cloned().collect(), &settings, deadline).await
    }

    /// Whether arguments fit a function, and if not, why.
    pub fn check_arguments(&self, function: &ToolFunction, arguments: &Value) -> Result<(), String> {
        self.runtime.check_arguments(function, arguments).map(|_| ())
    }

    /// Runs a function whose arguments may be anything. `deadline` is the caller's; the tool's own limit counts too.
    pub async fn execute(
        &self,
        function: &ToolFunction,
        arguments: &Value,
        settings: &Settings,
        deadline: Deadline,
    ) -> ToolResult {
        self.runtime.execute(function, arguments, settings, deadline).await
    }

    /// Runs a function for a caller of the API, by one of the names that it is published under, or by that of its server and its own
    /// as `member`. Arguments that don't fit its schema are the caller's error.
    pub(super) async fn execute_named(
        &self,
        name: &str,
        member: Option<&str>,
        arguments: Map<String, Value>,
    ) -> Result<ToolResult, Error> {
        let settings = self.snapshot();
        let deadline = Deadline::after(settings.orchestration.timeout);
        let found = resolve_name(settings.tools.iter(), name);
        let (tool, is_function) = found.map(|(tool, its_own)| (tool, its_own.is_some())).ok_or_else(|| {
            let names = settings.tools.iter().map(|tool| tool.name.as_str()).take(MAX_LISTED_NAMES).collect::<Vec<_>>();
            not_found(name, "there are", &names)
        })?;
        if !tool.effective.enabled {
            return Ok(ToolResult::error(format!("Tool '{}' is disabled", tool.name)));
        }
        let found = self.functions(vec![tool.clone()], &settings, deadline).await;
        if let Some(problem) = found.problems.into_iter().next() {
            return Ok(ToolResult::error(problem));
        }
        let function = if is_function { find_published(name, found.all)? } else { choose_member(member, found.all)? };
        let arguments = self.runtime.check_arguments(&function, &Value::Object(arguments)).map_err(|wrong| {
            let loc = vec!["body".into(), "arguments".into()];
            Error::invalid(vec![FieldIssue::new("value_error", loc, wrong, Value::Null)])
        })?;
        Ok(self.runtime.execute_checked(&function, &arguments, &settings, deadline).await)
    }

    /// The tool of this name, or the error that a caller reads.
    pub(super) fn require(&self, name: &str) -> Result<Tool, Error> {
        self.snapshot().tools.require(name).cloned()
    }

    /// Looks whether a tool of a known type can do its work; and how many milliseconds that took.
    pub(super) async fn check(&self, tool: &Tool) -> (ToolCheck, f64) {
        let rules = &self.snapshot().tool_policy;
        let started = Instant::now();
        let check = self.runtime.check(tool, rules, Deadline::after(CHECK_TIMEOUT)).await;
        (check, started.elapsed().as_secs_f64() * 1000.0)
    }

    /// What models are told of a tool with one function.
    pub(super) fn schema(&self, tool: &Tool) -> Option<Value> {
        self.runtime.single_function(tool).map(|function| function.to_schema())
    }

    /// Ends what outlives requests: connections, and processes behind them.
    pub async fn close(&self) {
        self.runtime.close().await;
    }
}

/// The function of this name.
fn find_published(name: &str, mut all: Vec<ToolFunction>) -> Result<ToolFunction, Error> {
    if let Some(at) = all.iter().position(|function| function.has_name(name)) {
        return Ok(all.swap_remove(at));
    }
    let names: Vec<_> = all.iter().map(|function| function.name.as_str()).take(MAX_LISTED_NAMES).collect();
    Err(not_found(name, "its server has", &names))
}

fn not_found(name: &str, what: &str, names: &[&str]) -> Error {
    let names = if names.is_empty() { String::new() } else { format!("; {what}: {}", names.join(", ")) };
    Error::not_found(format!("Tool '{name}' not found{names}"))
}

/// The function that is meant by the body's `tool`.
fn choose_member(member: Option<&str>, all: Vec<ToolFunction>) -> Result<ToolFunction, Error> {
    let names: Vec<_> = all.iter().filter_map(|function| function.remote.clone()).collect();
    let is_meant = |function: &ToolFunction| {
        function.remote.as_deref() == member
            || function.remote.is_some() && member.is_some_and(|name| function.has_name(name))
    };
    let msg = match (member, names.is_empty()) {
        (None, false) => "Input should name one of the MCP server's tools",
        (Some(_), true) => "Input should be absent: the tool has only one function",
        _ => "Input should be one of the MCP server's tools",
    };
    all.into_iter().find(is_meant).ok_or_else(|| {
        let loc = vec!["body".into(), "tool".into()];
        let msg = if names.is_empty() { msg.to_owned() } else { format!("{msg}: {}", names.join(", ")) };
        Error::invalid(vec![FieldIssue::new("value_error", loc, msg, member.into())])
    })
}

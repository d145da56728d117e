use std::time::Duration;

use serde_json::Value;

use super::tools::is_search;
use crate::chat::request::UserRequest;
use crate::chat::task::ToolRun;
use crate::grounding::Candidate;
use crate::kernel::{Deadline, Error, FieldIssue};
use crate::settings::Settings;
use crate::tools::{Tool, ToolFunction, ToolFunctions, ToolService, resolve_name};

/// Longest wait for what MCP servers list; one that is still starting is there for a later request.
const LISTING_TIMEOUT: Duration = Duration::from_secs(3);

/// What tools bring for a request.
#[derive(Debug, Default)]
pub(in crate::chat) struct OfferedFunctions {
    pub(in crate::chat) all: Vec<ToolFunction>,
    /// Tools that have none, and those that the request names in vain.
    pub(in crate::chat) missing: Vec<String>,
    /// Functions of the others that can't be offered.
    pub(in crate::chat) left_out: Vec<String>,
}

/// The functions of tools that a model may be offered, and what is missing among them.
pub(in crate::chat) async fn offered(
    service: &ToolService,
    tools: Vec<Tool>,
    request: &UserRequest,
    settings: &Settings,
    deadline: Deadline,
) -> OfferedFunctions {
    if tools.is_empty() {
        return OfferedFunctions::default();
    }
    let deadline = deadline.at_most(LISTING_TIMEOUT.min(deadline.remaining() / 4));
    let found = Box::pin(service.functions(tools.clone(), settings, deadline)).await;
    let ToolFunctions { mut all, problems: mut missing, warnings: left_out } = found;
    if let Some(only) = &request.options.tools {
        if missing.is_empty() {
            missing.extend(missing_members(only, &tools, &all));
        }
        all.retain(|function| only.iter().any(|name| is_named(function, name)));
    }
    OfferedFunctions { all, missing, left_out }
}

/// How a tool that was chosen is called.
#[derive(Debug)]
pub(in crate::chat) enum ChosenFunction {
    /// It takes no arguments.
    Run(Tool),
    /// A model writes the arguments.
    Call(ToolFunction),
    /// It has several functions of which none stands out: the model chooses.
    Open,
    /// Its server is not to be had.
    Unavailable(String),
}

/// How the tool is called that was found.
pub(in crate::chat) async fn chosen(
    service: &ToolService,
    found: &Candidate,
    tool: Tool,
    settings: &Settings,
    deadline: Deadline,
) -> ChosenFunction {
    let deadline = deadline.at_most(LISTING_TIMEOUT.min(deadline.remaining() / 4));
    let listed = service.functions(vec![tool.clone()], settings, deadline).await;
    if let Some(why) = listed.problems.into_iter().next() {
        return ChosenFunction::Unavailable(why);
    }
    let mut functions = listed.all.into_iter();
    let function = match &found.function {
        Some(name) => functions.find(|function| function.has_name(name)),
        None => functions.next().filter(|_| !tool.effective.is_mcp()),
    };
    match function {
        Some(function) if takes_nothing(&function) && !tool.effective.is_mcp() => ChosenFunction::Run(tool),
        Some(function) => ChosenFunction::Call(function),
        None => ChosenFunction::Open,
    }
}

fn takes_nothing(function: &ToolFunction) -> bool {
    let properties = function.parameters.get("properties").and_then(Value::as_object);
    properties.is_none_or(serde_json::Map::is_empty)
}

/// The tools of MCP servers that the request names and their servers lack.
fn missing_members(only: &[String], tools: &[Tool], all: &[ToolFunction]) -> impl Iterator<Item = String> {
    let is_member = |name: &&String| matches!(resolve_name(tools.iter(), name), Some((_, Some(_))));
    let lacking = only.iter().filter(is_member).filter(|name| !all.iter().any(|function| is_named(function, name)));
    lacking.map(|name| format!("Tool '{name}': its server has no such tool"))
}

fn is_named(function: &ToolFunction, name: &str) -> bool {
    function.has_name(name) || *name == *function.tool.name.as_str()
}

/// Checks the arguments that a request gives for a tool; what doesn't fit is the caller's mistake.
pub(in crate::chat) async fn check_arguments(
    service: &ToolService,
    run: &ToolRun,
    settings: &Settings,
    deadline: Deadline,
) -> Result<(), Error> {
    let found = service.functions(vec![run.tool.clone()], settings, deadline).await;
    let Some(function) = found.all.iter().find(|function| function.has_name(&run.name)) else { return Ok(()) };
    let mut arguments = run.arguments.clone();
    if is_search(&run.tool) {
        // What to search for may still have to be worked out of the prompt.
        arguments.entry("query").or_insert_with(|| "anything".into());
    }
    service.check_arguments(function, &Value::Object(arguments)).map_err(|wrong| {
        let loc = vec!["body".into(), "metadata".into(), "tool_params".into()];
        let given = Value::Object(run.arguments.clone());
        Error::invalid(vec![FieldIssue::new("value_error", loc, wrong, given)])
    })
}

use std::cmp::Reverse;
use std::time::Duration;

use serde_json::Value;

use super::tools::is_search;
use crate::chat::relevance::Keywords;
use crate::chat::request::UserRequest;
use crate::chat::task::ToolRun;
use crate::kernel::{Deadline, Error, FieldIssue};
use crate::settings::Settings;
use crate::tools::{Tool, ToolFunction, ToolFunctions, ToolService, resolve_name};

/// Functions that a model is offered at once: more would fill its context.
const MAX_OFFERED: usize = 64;
/// Longest wait for what MCP servers list; one that is still starting is there for a later request.
const LISTING_TIMEOUT: Duration = Duration::from_secs(3);

/// The functions that a model is offered, chosen by the prompt if there are too many; and what the request names in vain.
pub(in crate::chat) async fn offered(
    service: &ToolService,
    tools: Vec<Tool>,
    request: &UserRequest,
    settings: &Settings,
    deadline: Deadline,
) -> (Vec<ToolFunction>, Vec<String>) {
    if tools.is_empty() {
        return Default::default();
    }
    let deadline = deadline.at_most(LISTING_TIMEOUT.min(deadline.remaining() / 4));
    let ToolFunctions { mut all, problems: mut missing } = service.functions(tools.clone(), settings, deadline).await;
    if let Some(only) = &request.options.tools {
        if missing.is_empty() {
            missing.extend(missing_members(only, &tools, &all));
        }
        all.retain(|function| only.iter().any(|name| is_named(function, name)));
    }
    if all.len() > MAX_OFFERED {
        let keywords = Keywords::of(&request.prompt);
        let about = |function: &ToolFunction| format!("{} {}", function.name.replace('_', " "), function.description);
        all.sort_by_cached_key(|function| Reverse(keywords.score(&about(function))));
        all.truncate(MAX_OFFERED);
    }
    (all, missing)
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

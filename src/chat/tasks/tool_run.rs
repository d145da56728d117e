use serde_json::Value;

use super::tool_result::{shown, text_of};
use crate::chat::context::TaskContext;
use crate::chat::search_query::search_query;
use crate::chat::selection::tools::is_search;
use crate::chat::task::{Action, TaskFailure, TaskOutput, ToolRun};
use crate::chat::text::short_line;
use crate::kernel::{Error, ErrorKind, Role, truncate_chars};
use crate::tools::{Tool, ToolFunction, ToolOutput, ToolStatus};

/// Longest text taken from a tool, in characters: an answer is to be read.
const MAX_TEXT_CHARS: usize = 100_000;

/// Runs a tool that the plan names.
pub(super) async fn run(context: &TaskContext<'_>, run: &ToolRun) -> Result<TaskOutput, TaskFailure> {
    let function = function_of(context, &run.tool, &run.name).await?;
    let mut arguments = run.arguments.clone();
    if is_search(&run.tool) {
        arguments.entry("query").or_insert_with(|| Value::String(query(context)));
    }
    let arguments = Value::Object(arguments);
    context.begins(context.task, Action::ToolExecution, &function.name, Some(shown(&arguments))).await;
    execute(context, &function, &arguments).await
}

/// Runs a function with these arguments for a plan, where it is recorded that this is about to begin.
pub(super) async fn execute(
    context: &TaskContext<'_>,
    function: &ToolFunction,
    arguments: &Value,
) -> Result<TaskOutput, TaskFailure> {
    let chat = context.chat;
    let result = chat.services.tools.execute(function, arguments, &chat.settings, context.deadline).await;
    let query = Some(shown(arguments));
    let text = match (result.status, &result.output) {
        (ToolStatus::Success, ToolOutput::Search(found)) => chat.sources.add(&found.results),
        (ToolStatus::Success, _) => {
            format!("Result of tool '{}':\n{}", function.name, truncate_chars(&text_of(&result), MAX_TEXT_CHARS))
        }
        (status, _) => {
            let kind = if status == ToolStatus::Timeout { ErrorKind::Timeout } else { ErrorKind::Upstream };
            let error = Error::new(kind, result.error.unwrap_or_else(|| "The tool failed".to_owned()));
            return Err(TaskFailure { query, ..error.into() });
        }
    };
    Ok(TaskOutput { target: Some(function.name.clone()), text, query, ..TaskOutput::default() })
}

/// The function of this name: the tool's own, or one of an MCP server.
pub(super) async fn function_of(context: &TaskContext<'_>, tool: &Tool, name: &str) -> Result<ToolFunction, Error> {
    let chat = context.chat;
    let found = chat.services.tools.functions(vec![tool.clone()], &chat.settings, context.deadline).await;
    let names: Vec<_> = found.all.iter().map(|function| short_line(&function.name)).collect();
    let problem = found.problems.into_iter().next().unwrap_or_else(|| {
        format!("Tool '{name}' is not one that can be run; metadata.tool may be one of: {}", names.join(", "))
    });
    let function = found.all.into_iter().find(|function| function.has_name(name));
    function.ok_or_else(|| Error::new(ErrorKind::Upstream, problem))
}

/// What to search for: what the prompt wants to be searched for, or what was said before if that is nothing.
fn query(context: &TaskContext<'_>) -> String {
    let prompt = context.prompt.prompt;
    let before = || context.prompt.conversation.iter().rev().find(|turn| turn.role == Role::User);
    let query = match search_query(prompt) {
        query if query.is_empty() => before().map(|turn| search_query(&turn.content)).unwrap_or_default(),
        query => query,
    };
    if query.is_empty() { short_line(prompt) } else { query }
}

use serde_json::{Value, json};

use super::tool_result::{WebSource, listed, shown, text_of};
use super::{TaskContext, TaskFailure, TaskOutput};
use crate::chat::search_query;
use crate::chat::text::{excerpt, one_line};
use crate::chat::tool_selection::{ToolRun, is_search};
use crate::kernel::{Deadline, Error, ErrorKind, FieldIssue, Role};
use crate::settings::Settings;
use crate::tools::{ToolFunction, ToolResult, ToolService, ToolStatus};

/// Longest text taken from a tool, in characters: an answer is to be read.
const MAX_TEXT: usize = 100_000;

/// Runs a tool that the plan names.
pub(super) async fn run(context: &TaskContext<'_>, run: &ToolRun) -> Result<TaskOutput, TaskFailure> {
    let function = function(context, run).await?;
    let mut arguments = run.arguments.clone();
    if is_search(&run.tool) && !arguments.contains_key("query") {
        arguments.insert("query".to_owned(), json!(query(context)));
    }
    let arguments = Value::Object(arguments);
    let result = context.tools.execute(&function, &arguments, context.settings, context.deadline).await;
    let asked = Some(shown(&arguments));
    match result.status {
        ToolStatus::Success => Ok(TaskOutput { query: asked, ..output(&function, &result) }),
        status => {
            let kind = if status == ToolStatus::Timeout { ErrorKind::Timeout } else { ErrorKind::Upstream };
            let error = Error::new(kind, result.error.unwrap_or_else(|| "The tool failed".to_owned()));
            Err(TaskFailure { query: asked, ..error.into() })
        }
    }
}

/// Looks whether the arguments that a request gives fit the tool, as far as that can be known now. What doesn't fit is the
/// caller's mistake.
pub(in crate::chat) async fn check(
    tools: &ToolService,
    run: &ToolRun,
    settings: &Settings,
    deadline: Deadline,
) -> Result<(), Error> {
    let found = tools.functions(vec![run.tool.clone()], settings, deadline).await;
    let Some(function) = found.all.iter().find(|function| function.has_name(&run.name)) else { return Ok(()) };
    let mut arguments = run.arguments.clone();
    if is_search(&run.tool) {
        // What to search for may still have to be worked out of the prompt.
        arguments.entry("query").or_insert_with(|| json!("anything"));
    }
    tools.check_arguments(function, &Value::Object(arguments)).map_err(|wrong| {
        let loc = vec!["body".into(), "metadata".into(), "tool_params".into()];
        let given = Value::Object(run.arguments.clone());
        Error::invalid(vec![FieldIssue::new("value_error", loc, wrong, given)])
    })
}

/// The function that is meant: the tool's own, or that of an MCP server which the request names.
async fn function(context: &TaskContext<'_>, run: &ToolRun) -> Result<ToolFunction, Error> {
    let mut found = context.tools.functions(vec![run.tool.clone()], context.settings, context.deadline).await;
    if let Some(at) = found.all.iter().position(|function| function.has_name(&run.name)) {
        return Ok(found.all.swap_remove(at));
    }
    let names: Vec<_> = found.all.iter().map(|function| one_line(&function.name)).collect();
    let problem = found.problems.into_iter().next().unwrap_or_else(|| {
        format!("Tool '{}' is not one that can be run; metadata.tool may be one of: {}", run.name, names.join(", "))
    });
    Err(Error::new(ErrorKind::Upstream, problem))
}

/// What to search for: what the prompt wants to be searched for, or what was said before if that is nothing.
fn query(context: &TaskContext<'_>) -> String {
    let prompt = &context.user_request.prompt;
    let before = || context.conversation.iter().rev().find(|turn| turn.role == Role::User);
    let query = match search_query::search_query(prompt) {
        query if query.is_empty() => before().map(|turn| search_query::search_query(&turn.content)),
        query => Some(query),
    };
    query.filter(|query| !query.is_empty()).unwrap_or_else(|| one_line(prompt))
}

fn output(function: &ToolFunction, result: &ToolResult) -> TaskOutput {
    let target = Some(function.name.clone());
    if is_search(&function.tool) {
        let sources = WebSource::all_in(&result.output);
        let text = listed(&result.output, &sources, &sources);
        return TaskOutput { target, text, sources: Some(sources), ..TaskOutput::default() };
    }
    let text = excerpt(&text_of(result), MAX_TEXT);
    TaskOutput { target, text: format!("Result of tool '{}':\n{text}", function.name), ..TaskOutput::default() }
}

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use super::tool_result::shown;
use super::{tool_choice, tool_run};
use crate::chat::callable::Callable;
use crate::chat::context::TaskContext;
use crate::chat::task::{Action, Inputs, TaskFailure, TaskOutput};
use crate::kernel::{Error, ErrorKind};
use crate::llm::Usage;
use crate::tools::ToolFunction;

/// Longest wait for the arguments.
const ARGUMENTS_TIMEOUT: Duration = Duration::from_secs(30);
/// Calls of the function at most: a request may ask it for several things.
const MAX_CALLS: usize = 4;

/// What the model is told.
const INSTRUCTION: &str = "Call the function for the part of the last request that it can do, with arguments taken from the \
     request; once for each thing that is asked of it. Something else does the rest of the request. Answer with calls only.";

/// Runs a function of a tool with arguments that a model writes.
pub(super) async fn run(
    context: &TaskContext<'_>,
    function: &ToolFunction,
    inputs: &Inputs,
) -> Result<TaskOutput, TaskFailure> {
    let offered = [Callable::Tool(function.clone())];
    let (mut written, usage) = write(context, &offered, inputs).await?;
    written.truncate(MAX_CALLS);
    if written.is_empty() {
        let text = format!("Tool '{}' was not run: the model wrote no arguments for it", function.name);
        return Err(TaskFailure { usage, ..Error::new(ErrorKind::Upstream, text).into() });
    }
    let query: Vec<_> = written.iter().map(shown).collect();
    context.begins(context.task, Action::ToolExecution, &function.name, Some(query.join("\n"))).await;
    let runs = written.iter().map(|arguments| tool_run::execute(context, function, arguments));
    let (mut outputs, mut failures) = (Vec::new(), Vec::new());
    for result in join_all(runs).await {
        match result {
            Ok(output) => outputs.push(output),
            Err(failure) => failures.push(failure),
        }
    }
    match failures.pop() {
        Some(failure) if outputs.is_empty() => Err(TaskFailure { usage, ..failure }),
        last => {
            failures.extend(last);
            Ok(TaskOutput { usage, ..gather(function, &outputs, &failures) })
        }
    }
}

/// The results of all calls as one, and what some of them lack.
fn gather(function: &ToolFunction, outputs: &[TaskOutput], failures: &[TaskFailure]) -> TaskOutput {
    let queries = outputs.iter().map(|output| &output.query).chain(failures.iter().map(|failure| &failure.query));
    let query: Vec<_> = queries.flatten().map(String::as_str).collect();
    let gaps: Vec<_> = failures.iter().map(|failure| failure.error.public_detail()).collect();
    let text: Vec<_> = outputs.iter().map(|output| output.text.as_str()).collect();
    TaskOutput {
        target: Some(function.name.clone()),
        text: text.join("\n\n"),
        query: Some(query.join("\n")),
        gap: (!gaps.is_empty()).then(|| format!("Tool '{}': {}", function.name, gaps.join("; "))),
        ..TaskOutput::default()
    }
}

/// The arguments of each call that the model wants: as calls, or as JSON if it takes no functions or overlooks this one.
async fn write(
    context: &TaskContext<'_>,
    offered: &[Callable],
    inputs: &Inputs,
) -> Result<(Vec<Value>, Option<Usage>), Error> {
    let chat = context.chat;
    let mut used = None;
    if !context.takes_no_tools() {
        let specs = Callable::specs(offered, &chat.services.grounding);
        let request = context.llm_request(context.messages(inputs, Some(INSTRUCTION)), specs);
        match context.complete(&request, context.deadline.at_most(ARGUMENTS_TIMEOUT)).await {
            Ok(reply) => {
                used = reply.usage;
                let calls = reply.tool_calls.into_iter().filter(|call| Callable::find(offered, &call.name).is_some());
                let mut arguments: Vec<_> = calls.map(|call| call.arguments).collect();
                arguments.dedup();
                if !arguments.is_empty() {
                    return Ok((arguments, used));
                }
            }
            Err(error) if error.refuses_tools() => context.note_no_tools(&error),
            Err(error) if error.rejects_these_tools() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let (call, usage) = tool_choice::choose(context, offered).await;
    Ok((call.map(|call| call.arguments).into_iter().collect(), Usage::sum(used, usage)))
}

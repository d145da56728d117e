use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::tool_result::{MAX_STEP_CHARS, shown, step_of, text_of};
use super::{data_query, external_agent};
use crate::agents::AgentEntry;
use crate::chat::callable::Callable;
use crate::chat::context::{TaskContext, millis};
use crate::chat::prompt::PromptBuilder;
use crate::chat::task::{Action, AgentChoice, Inputs, QueryTask, TaskFailure, TaskOutput};
use crate::chat::text::short_line;
use crate::datasources::Source;
use crate::kernel::{Error, ErrorKind, truncate_chars};
use crate::llm::ToolCall;
use crate::storage::{Step, StepStatus};
use crate::tools::{SearchOutput, ToolOutput, ToolResult, ToolStatus};

/// What came of one call of a function that a model asked for.
pub(super) struct FunctionResult {
    pub(super) status: ToolStatus,
    /// In words; empty if `search` says it.
    pub(super) text: String,
    /// The pages that a search found.
    pub(super) search: Option<SearchOutput>,
    /// What a data source or an agent gave.
    pub(super) output: TaskOutput,
    /// The step of an execution; its id is still to be set.
    pub(super) step: Step,
}

/// Runs one call, which is the context's task: a tool as tools are run, a data source and an agent as a plan would use them, with a prompt of the model's own.
pub(super) async fn run(context: &TaskContext<'_>, call: &ToolCall, inputs: &Inputs) -> FunctionResult {
    let started = Instant::now();
    match Callable::find(&context.plan.functions, &call.name) {
        Some(Callable::Tool(function)) => {
            let (tools, settings) = (&context.chat.services.tools, &context.chat.settings);
            let query = Some(shown(&call.arguments));
            context.begins(context.task, Action::ToolExecution, &short_line(&function.name), query).await;
            let result = tools.execute(function, &call.arguments, settings, context.deadline).await;
            of_tool(&function.name, call, result, started.elapsed())
        }
        Some(Callable::Source(source)) => {
            let result = query(context, source, call).await;
            of_task(Action::DataQuery, source.name.as_str(), result, started.elapsed())
        }
        Some(Callable::Agent(agent)) => {
            let result = ask(context, agent, call, inputs).await;
            of_task(Action::ExternalAgent, agent.name.as_str(), result, started.elapsed())
        }
        None => {
            let offered = Callable::named(&context.plan.functions);
            let names: Vec<_> = offered.iter().map(|named| named.call_name.as_str()).collect();
            let text = format!("There is no tool '{}'. There are: {}", short_line(&call.name), names.join(", "));
            of_tool(&call.name, call, ToolResult::error(text), started.elapsed())
        }
    }
}

fn of_tool(name: &str, call: &ToolCall, result: ToolResult, took: Duration) -> FunctionResult {
    let step = step_of(name, &call.arguments, &result, took);
    let text = text_of(&result);
    let (status, search) = match result.output {
        ToolOutput::Search(found) => (result.status, Some(found)),
        _ => (result.status, None),
    };
    FunctionResult { status, text, search, output: TaskOutput::default(), step }
}

/// Asks a data source what the model wants to know; a query of its own is guarded like any, and a verified one serves here too.
async fn query(context: &TaskContext<'_>, source: &Source, call: &ToolCall) -> Result<TaskOutput, TaskFailure> {
    let (question, query) = (argument(call, "question"), argument(call, "query"));
    if question.is_none() && query.is_none() {
        return Err(incomplete("Give a 'question' or a 'query', as text"));
    }
    let chat = context.chat;
    let verified = match (&question, &query) {
        (Some(question), None) => {
            let (settings, caller) = (&chat.settings, &chat.request.caller);
            chat.services.grounding.find(question, settings, caller, context.deadline).await.verified
        }
        _ => Vec::new(),
    };
    let verified = verified.into_iter().find(|found| found.datasource == source.name.as_str());
    let task = QueryTask { source: source.clone(), verified };
    data_query::ask(context, &task, &question.unwrap_or_default(), query.as_deref()).await
}

/// Hands a prompt of the model's own over to an agent, with what was found before.
async fn ask(
    context: &TaskContext<'_>,
    agent: &AgentEntry,
    call: &ToolCall,
    inputs: &Inputs,
) -> Result<TaskOutput, TaskFailure> {
    let wording = argument(call, "prompt").ok_or_else(|| incomplete("Give a 'prompt', as text"))?;
    let prompt = PromptBuilder { system: None, conversation: &[], prompt: &wording };
    let context = TaskContext { prompt, ..*context };
    external_agent::run(&context, &AgentChoice::One(agent.clone()), inputs).await
}

/// A text among the arguments.
fn argument(call: &ToolCall, name: &str) -> Option<String> {
    let text = call.arguments.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    text.map(str::to_owned)
}

/// What to tell the model that left an argument out.
fn incomplete(wanted: &str) -> TaskFailure {
    Error::new(ErrorKind::Upstream, wanted).into()
}

/// What a task gave, as a tool's result.
fn of_task(action: Action, target: &str, result: Result<TaskOutput, TaskFailure>, took: Duration) -> FunctionResult {
    let (status, error, output) = match result {
        Ok(output) => (ToolStatus::Success, output.gap.clone(), output),
        Err(TaskFailure { error, query, usage, .. }) => {
            let is_late = error.kind() == ErrorKind::Timeout;
            let status = if is_late { ToolStatus::Timeout } else { ToolStatus::Error };
            let output = TaskOutput { query, usage, ..TaskOutput::default() };
            (status, Some(error.public_detail().to_owned()), output)
        }
    };
    let text = match (status, &error) {
        (ToolStatus::Success, None) => output.text.clone(),
        (ToolStatus::Success, Some(gap)) => format!("{gap}\n{}", output.text),
        (_, error) => error.clone().unwrap_or_default(),
    };
    let step = Step {
        id: String::new(),
        action: action.as_str().to_owned(),
        target: Some(target.to_owned()),
        status: if status == ToolStatus::Success { StepStatus::Completed } else { StepStatus::Failed },
        error: error.map(|error| truncate_chars(&error, MAX_STEP_CHARS)),
        query: output.query.clone(),
        output: Some(truncate_chars(&text, MAX_STEP_CHARS)),
        duration_ms: millis(took),
    };
    FunctionResult { status, text, search: None, output, step }
}

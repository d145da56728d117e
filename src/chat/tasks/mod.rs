//! What a task can do: one file per kind of work.
//!
//! To add one: a file with a `run`, a variant of `TaskKind`, its arm in [`run`] and in `draft::Draft::kinds`.

mod code_block;
mod data_query;
mod external_agent;
mod function_call;
mod llm_call;
mod parameter_values;
mod program;
mod query_language;
mod schema_text;
mod sql_extent;
mod text_to_query;
mod tool_call;
mod tool_calls;
mod tool_choice;
mod tool_loop;
mod tool_result;
mod tool_run;
mod verified_query;
mod written_query;

use super::context::TaskContext;
use super::task::{Inputs, TaskFailure, TaskKind, TaskOutput};

/// Does a task. Its work is boxed: a chat would else have room for the largest of all, which is copied each time that the chat's
/// future is moved.
pub(super) async fn run(kind: &TaskKind, context: &TaskContext<'_>, inputs: Inputs) -> Result<TaskOutput, TaskFailure> {
    match kind {
        TaskKind::LlmCall if context.plan.functions.is_empty() => Box::pin(llm_call::run(context, &inputs)).await,
        TaskKind::LlmCall => Box::pin(tool_loop::run(context, inputs)).await,
        TaskKind::ExternalAgent(choice) => Box::pin(external_agent::run(context, choice, &inputs)).await,
        TaskKind::DataQuery(query) => Box::pin(data_query::run(context, query)).await,
        TaskKind::ToolRun(run) => Box::pin(tool_run::run(context, run)).await,
        TaskKind::ToolCall(function) => Box::pin(tool_call::run(context, function, &inputs)).await,
        TaskKind::Program(tool) => Box::pin(program::run(context, tool, &inputs)).await,
    }
}

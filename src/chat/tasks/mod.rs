//! What a task can do: one file per kind of work.
//!
//! To add one: a file with a `run`, a variant of [`TaskKind`], its arm in [`run`] and in `planner::kinds`.

mod data_query;
mod external_agent;
mod llm_call;
mod program;
mod text_to_query;
mod tool_calls;
mod tool_choice;
mod tool_loop;
mod tool_result;
mod tool_run;

use serde_json::Value;

use super::events::EventSink;
use super::executor::Inputs;
use super::recorder::StepRecorder;
use super::request::UserRequest;
use super::target_selection::{AgentChoice, DataSourceEntry};
use super::tool_selection::{ToolOffer, ToolRun};
use super::tool_support::ToolSupport;
use crate::agents::AgentService;
use crate::datasources::DataSourceService;
use crate::kernel::{Deadline, Error};
use crate::llm::{LlmClient, Usage};
use crate::memory::ContextMessage;
use crate::settings::Settings;
use crate::storage::Step;
use crate::tools::{Tool, ToolFunction, ToolService};

pub(super) use tool_result::WebSource;
pub(super) use tool_run::check as check_run;

/// Who does a task.
#[derive(Clone, Debug)]
pub(super) enum TaskKind {
    /// A model, given the conversation and what other tasks found.
    LlmCall,
    /// An agent.
    ExternalAgent(AgentChoice),
    /// A data source.
    DataQuery(DataSourceEntry),
    /// A tool that the plan names; models ask for others while they answer.
    ToolRun(ToolRun),
    /// A model that writes a program, and the tool that runs it: the answer.
    Program(Tool),
}

/// What every task of a request may use.
#[derive(Clone, Copy)]
pub(super) struct TaskContext<'a> {
    pub(super) settings: &'a Settings,
    pub(super) llm: &'a LlmClient,
    pub(super) agents: &'a AgentService,
    pub(super) datasources: &'a DataSourceService,
    pub(super) tools: &'a ToolService,
    /// What the model may ask for while it answers.
    pub(super) offered: &'a [ToolFunction],
    /// How far the request wants it to.
    pub(super) offer: &'a ToolOffer,
    pub(super) support: &'a ToolSupport,
    pub(super) user_request: &'a UserRequest,
    pub(super) conversation: &'a [ContextMessage],
    pub(super) missing: &'a [String],
    pub(super) deadline: Deadline,
    pub(super) events: &'a EventSink,
    /// Takes what is done on the way.
    pub(super) log: &'a StepRecorder,
    /// The task's id.
    pub(super) task: &'a str,
}

impl TaskContext<'_> {
    /// Notes something that was done on the way; `number` tells it from others of the same task.
    async fn log(&self, number: usize, step: Step) {
        self.log.add(Step { id: format!("{}.{number}", self.task), ..step }).await;
    }
}

/// What came of a task.
#[derive(Clone, Debug, Default)]
pub(super) struct TaskOutput {
    /// What it was done with: a model, an agent, a data source, a tool.
    pub(super) target: Option<String>,
    /// The model that wrote the text, if one did.
    pub(super) model: Option<String>,
    /// The result in words, for the tasks that build on it.
    pub(super) text: String,
    /// What belongs into the answer whatever a model makes of the result.
    pub(super) for_answer: Option<String>,
    /// The result as data, for the caller.
    pub(super) data: Option<Value>,
    /// Where it was found on the web; none if nothing was searched.
    pub(super) sources: Option<Vec<WebSource>>,
    /// What a data source was asked, or what a tool was run with.
    pub(super) query: Option<String>,
    /// What it failed to do, though it gave something.
    pub(super) lacks: Option<String>,
    /// How often a model was asked beyond the first time.
    pub(super) rounds: usize,
    /// Tokens used.
    pub(super) usage: Option<Usage>,
}

/// Why a task gave nothing.
#[derive(Debug)]
pub(super) struct TaskFailure {
    pub(super) error: Error,
    /// What was found before it failed, in words.
    pub(super) found: Option<String>,
    /// What a data source was asked, or would have been, or what a tool was run with.
    pub(super) query: Option<String>,
    /// Where that was found on the web; none if nothing was searched.
    pub(super) sources: Option<Vec<WebSource>>,
    /// How often a model was asked beyond the first time.
    pub(super) rounds: usize,
    /// Tokens used all the same.
    pub(super) usage: Option<Usage>,
}

impl From<Error> for TaskFailure {
    fn from(error: Error) -> Self {
        Self { error, found: None, query: None, sources: None, rounds: 0, usage: None }
    }
}

/// Does a task. Only the task that gives the answer, `is_last`, tells a streaming client its text as it comes.
pub(super) async fn run(
    kind: TaskKind,
    context: &TaskContext<'_>,
    inputs: Inputs,
    is_last: bool,
) -> Result<TaskOutput, TaskFailure> {
    match kind {
        TaskKind::LlmCall if is_last && !context.offered.is_empty() => tool_loop::run(context, inputs).await,
        TaskKind::LlmCall => llm_call::run(context, &inputs, is_last).await,
        TaskKind::ExternalAgent(choice) => external_agent::run(context, &choice, &inputs).await,
        TaskKind::DataQuery(source) => data_query::run(context, &source).await,
        TaskKind::ToolRun(run) => tool_run::run(context, &run).await,
        TaskKind::Program(tool) => program::run(context, &tool, &inputs).await,
    }
}

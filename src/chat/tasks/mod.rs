//! What a task can do: one file per kind of work.
//!
//! To add one: a file with a `run`, a variant of [`Kind`], its arm in [`run`] and in `planner::kinds`.

mod data_query;
mod external_agent;
mod llm_call;
mod text_to_query;

use serde_json::Value;

use super::command::ChatCommand;
use super::events::EventSink;
use super::executor::Inputs;
use super::targets::{AgentChoice, Source};
use crate::agents::AgentService;
use crate::datasources::DataSourceService;
use crate::kernel::{Deadline, Error};
use crate::llm::{LlmClient, Usage};
use crate::memory::ContextMessage;
use crate::settings::Settings;

/// Who does a task.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A model, given the conversation and what other tasks found.
    LlmCall,
    /// An agent.
    ExternalAgent(AgentChoice),
    /// A data source.
    DataQuery(Source),
}

/// What every task of a request may use.
#[derive(Clone, Copy)]
pub(super) struct TaskContext<'a> {
    pub(super) settings: &'a Settings,
    pub(super) llm: &'a LlmClient,
    pub(super) agents: &'a AgentService,
    pub(super) datasources: &'a DataSourceService,
    pub(super) command: &'a ChatCommand,
    pub(super) conversation: &'a [ContextMessage],
    pub(super) missing: &'a [String],
    pub(super) deadline: Deadline,
    pub(super) events: &'a EventSink,
}

/// What came of a task.
#[derive(Clone, Debug, Default)]
pub(super) struct TaskOutput {
    /// What it was done with: a model, an agent, a data source, a tool.
    pub(super) target: Option<String>,
    /// The result in words, for the tasks that build on it.
    pub(super) text: String,
    /// What belongs into the answer whatever a model makes of the result.
    pub(super) for_answer: Option<String>,
    /// The result as data, for the caller.
    pub(super) data: Option<Value>,
    /// What a data source was asked.
    pub(super) query: Option<String>,
    /// Tokens used.
    pub(super) usage: Option<Usage>,
}

/// Why a task gave nothing.
#[derive(Debug)]
pub(super) struct TaskFailure {
    pub(super) error: Error,
    /// What a data source was asked, or would have been.
    pub(super) query: Option<String>,
    /// Tokens used all the same.
    pub(super) usage: Option<Usage>,
}

impl From<Error> for TaskFailure {
    fn from(error: Error) -> Self {
        Self { error, query: None, usage: None }
    }
}

/// Does a task. Only the task that gives the answer, `is_last`, tells a streaming client its text as it comes.
pub(super) async fn run(
    kind: Kind,
    context: &TaskContext<'_>,
    inputs: Inputs,
    is_last: bool,
) -> Result<TaskOutput, TaskFailure> {
    match kind {
        Kind::LlmCall => Ok(llm_call::run(context, inputs, is_last).await?),
        Kind::ExternalAgent(choice) => external_agent::run(context, &choice, &inputs).await,
        Kind::DataQuery(source) => data_query::run(context, &source).await,
    }
}

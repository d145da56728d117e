//! What a task can do: one file per kind of work.
//!
//! To add one: a file with a `run`, a variant of [`Kind`], its line in [`Kind::for_action`] and in [`run`].

mod llm_call;

use super::command::ChatCommand;
use super::events::EventSink;
use super::executor::Inputs;
use super::planner::Action;
use crate::kernel::{Deadline, Error};
use crate::llm::{Completion, LlmClient};
use crate::memory::ContextMessage;
use crate::settings::Settings;

/// Who does a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A model, given the conversation and what other tasks found.
    LlmCall,
}

impl Kind {
    /// Who can do `action` with these settings; the error says, in words for the answer, what is missing.
    pub(super) fn for_action(action: Action, _settings: &Settings) -> Result<Self, &'static str> {
        match action {
            Action::LlmCall => Ok(Self::LlmCall),
            Action::ToolExecution => Err("no tool is available to this server"),
            Action::ExternalAgent => Err("no external agent is available to this server"),
            Action::DataQuery => Err("no data source is available to this server"),
        }
    }
}

/// What every task of a request may use.
pub(super) struct TaskContext<'a> {
    pub(super) settings: &'a Settings,
    pub(super) llm: &'a LlmClient,
    pub(super) command: &'a ChatCommand,
    pub(super) conversation: &'a [ContextMessage],
    pub(super) missing: &'a [&'static str],
    pub(super) deadline: Deadline,
    pub(super) events: &'a EventSink,
}

/// What came of a task.
#[derive(Clone, Debug, Default)]
pub(super) struct TaskOutput {
    /// What it was done with: a model, an agent, a data source, a tool.
    pub(super) target: Option<String>,
    /// The result in words.
    pub(super) text: String,
    /// For a model's answer: all of it.
    pub(super) completion: Option<Completion>,
}

/// Does a task. Only the task that gives the answer, `is_last`, tells a streaming client its text as it comes.
pub(super) async fn run(
    kind: Kind,
    context: &TaskContext<'_>,
    inputs: Inputs,
    is_last: bool,
) -> Result<TaskOutput, Error> {
    match kind {
        Kind::LlmCall => llm_call::run(context, inputs, is_last).await,
    }
}

use serde_json::{Map, Value};

use super::routing::RoutedTarget;
use crate::agents::AgentEntry;
use crate::datasources::Source;
use crate::grounding::VerifiedMatch;
use crate::kernel::Error;
use crate::llm::{FinishReason, Usage};
use crate::tools::{Tool, ToolFunction};

/// A kind of work, by the original's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    LlmCall,
    ToolExecution,
    ExternalAgent,
    DataQuery,
}

impl Action {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::LlmCall => "llm_call",
            Self::ToolExecution => "tool_execution",
            Self::ExternalAgent => "external_agent",
            Self::DataQuery => "data_query",
        }
    }
}

/// The agent that serves: known, or to be chosen from a few by a model.
#[derive(Clone, Debug)]
pub(super) enum AgentChoice {
    One(AgentEntry),
    Among(Vec<AgentEntry>),
}

/// A tool that the request names, and what to run it with.
#[derive(Clone, Debug)]
pub(super) struct ToolRun {
    pub(super) tool: Tool,
    /// As the request names it; `server__tool` for a tool of an MCP server.
    pub(super) name: String,
    /// A search that is given no query takes it from the prompt.
    pub(super) arguments: Map<String, Value>,
}

/// A question to a data source.
#[derive(Clone, Debug)]
pub(super) struct QueryTask {
    pub(super) source: Source,
    /// The verified question that the prompt asks in other words: its query is used.
    pub(super) verified: Option<VerifiedMatch>,
}

/// What a task does, and with what.
#[derive(Clone, Debug)]
pub(super) enum TaskKind {
    /// A model answers, given the conversation and what other tasks found.
    LlmCall,
    /// An agent is asked.
    ExternalAgent(AgentChoice),
    /// A data source is queried.
    DataQuery(QueryTask),
    /// A tool runs that the plan names; models ask for others while they answer.
    ToolRun(ToolRun),
    /// A tool runs that the plan names, with arguments that a model writes.
    ToolCall(ToolFunction),
    /// A model answers with a program, and the tool runs it.
    Program(Tool),
}

impl TaskKind {
    /// The label of such work.
    pub(super) fn action(&self) -> Action {
        match self {
            Self::LlmCall => Action::LlmCall,
            Self::ExternalAgent(_) => Action::ExternalAgent,
            Self::DataQuery(_) => Action::DataQuery,
            Self::ToolRun(_) | Self::ToolCall(_) | Self::Program(_) => Action::ToolExecution,
        }
    }

    /// What the task is done with, as far as it is known beforehand.
    pub(super) fn target(&self) -> Option<&str> {
        match self {
            Self::DataQuery(query) => Some(query.source.name.as_str()),
            Self::ToolCall(function) => Some(&function.name),
            Self::ExternalAgent(AgentChoice::One(agent)) => Some(agent.name.as_str()),
            Self::ToolRun(run) => Some(&run.name),
            Self::Program(tool) => Some(tool.name.as_str()),
            Self::ExternalAgent(AgentChoice::Among(_)) | Self::LlmCall => None,
        }
    }
}

/// One node of the plan's DAG.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) kind: TaskKind,
    /// Ids of the tasks whose results it builds on; they stand before it in the plan.
    pub(super) depends_on: Vec<String>,
}

/// What a task builds on, in the order of its dependencies.
#[derive(Clone, Debug, Default)]
pub(super) struct Inputs {
    /// What those that completed found.
    pub(super) results: Vec<String>,
    /// Why the others found nothing.
    pub(super) failures: Vec<String>,
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
    /// What a data source was asked, or what a tool was run with.
    pub(super) query: Option<String>,
    /// What it failed to do, though it gave something.
    pub(super) gap: Option<String>,
    /// How often a model was asked beyond the first time.
    pub(super) rounds: usize,
    /// Tokens used.
    pub(super) usage: Option<Usage>,
    /// What the model thought before it wrote the text; no part of it.
    pub(super) reasoning: Option<String>,
    /// Why the model stopped, if one wrote the text.
    pub(super) finish_reason: Option<FinishReason>,
    /// Functions that the model could not be offered.
    pub(super) left_out: Vec<String>,
    /// What functions gave that a model called on the way.
    pub(super) parts: Vec<TaskOutput>,
    /// What these functions were of.
    pub(super) called: Vec<RoutedTarget>,
}

/// Why a task gave nothing.
#[derive(Debug)]
pub(super) struct TaskFailure {
    pub(super) error: Error,
    /// What was found before it failed.
    pub(super) found: Vec<TaskOutput>,
    /// What a data source was asked, or would have been, or what a tool was run with.
    pub(super) query: Option<String>,
    pub(super) rounds: usize,
    /// Tokens used all the same.
    pub(super) usage: Option<Usage>,
}

impl From<Error> for TaskFailure {
    fn from(error: Error) -> Self {
        Self { error, found: Vec::new(), query: None, rounds: 0, usage: None }
    }
}

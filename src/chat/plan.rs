use serde::Serialize;

use super::callable::Callable;
use super::gap::Gap;
use super::routing::Routing;
use super::task::{Task, TaskKind};

/// What is going to be done: made once, before anything is done, and not changed.
#[derive(Debug)]
pub(super) struct Plan {
    /// What is done first.
    pub(super) steps: Vec<Task>,
    /// The task that answers. It builds on all steps, and is done even if they fail.
    pub(super) answer: Task,
    /// What the intent or the request asks for and cannot be had.
    pub(super) gaps: Vec<Gap>,
    /// What the model may call while it answers.
    pub(super) functions: Vec<Callable>,
    /// Whether the user wants one of them to be called.
    pub(super) wants_tool: bool,
    /// Whether the request names what is offered.
    pub(super) names_tools: bool,
    /// What was chosen, by whom, and why.
    pub(super) routing: Routing,
}

/// A task as replies and records show it.
#[derive(Debug, Serialize)]
pub(super) struct PlannedTask<'a> {
    id: &'a str,
    action: &'static str,
    depends_on: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
}

impl Plan {
    /// All tasks, the answer last.
    pub(super) fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.steps.iter().chain([&self.answer])
    }

    /// The tasks as they are shown.
    pub(super) fn shown(&self) -> Vec<PlannedTask<'_>> {
        self.tasks().map(PlannedTask::from).collect()
    }

    /// The longest chain of tasks that build on this one.
    pub(super) fn stages_after(&self, id: &str) -> u32 {
        let builds_on = |task: &&Task| task.depends_on.iter().any(|before| before == id);
        self.tasks().filter(builds_on).map(|task| 1 + self.stages_after(&task.id)).max().unwrap_or(0)
    }

    /// Whether the answer depends on nothing but the model and what it is told, so that it may be kept.
    pub(super) fn is_repeatable(&self) -> bool {
        !self.wants_tool && self.steps.is_empty() && matches!(self.answer.kind, TaskKind::LlmCall)
    }
}

impl<'a> From<&'a Task> for PlannedTask<'a> {
    fn from(task: &'a Task) -> Self {
        let Task { id, kind, depends_on } = task;
        Self { id, action: kind.action().as_str(), depends_on, target: kind.target() }
    }
}

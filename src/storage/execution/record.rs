use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cursor::ExecutionCursor;
use crate::kernel::{Caller, Permission, Redaction};

/// How far an execution has come, or how it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionStatus {
    /// Under way.
    #[default]
    Running,
    /// Answered.
    Completed,
    /// Ended without an answer.
    Failed,
    /// The client left.
    Cancelled,
    /// The server stopped while it ran.
    Interrupted,
}

impl ExecutionStatus {
    /// Every status, with its name.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Running, "running"),
        (Self::Completed, "completed"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
        (Self::Interrupted, "interrupted"),
    ];

    /// The name in the store and on the wire.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }

    /// The status of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(value, _)| *value)
    }
}

/// The record of one chat request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    pub id: String,
    /// Who asked.
    pub user_id: String,
    pub status: ExecutionStatus,
    /// What was asked.
    pub prompt: String,
    /// What the prompt was taken to ask for, and how surely.
    pub intent: Option<(String, f64)>,
    /// The tasks, as JSON.
    pub plan: Option<Value>,
    /// Milliseconds since 1970; `None` also in records of versions that did not note it.
    pub planned_ms: Option<i64>,
    pub answer: Option<String>,
    pub error: Option<String>,
    /// The metadata of the reply.
    pub metadata: Option<Value>,
    /// Milliseconds since 1970.
    pub started_ms: i64,
    /// Milliseconds since 1970.
    pub finished_ms: Option<i64>,
}

impl Execution {
    /// Whether it is there for `caller`.
    pub fn is_for(&self, caller: &Caller) -> bool {
        caller.reaches(&self.user_id, Permission::ExecutionsAll, || format!("executions/{}", self.id))
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        self.status == ExecutionStatus::Running
    }
}

/// What is known about an execution when it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub status: ExecutionStatus,
    pub answer: Option<String>,
    pub error: Option<String>,
    /// The metadata of the reply, as JSON.
    pub metadata: String,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    Completed,
    Failed,
    /// It was not begun: it builds on one that failed.
    Skipped,
    /// It had begun when its execution was cut off. It is never stored so: no end of it is.
    Interrupted,
}

impl StepStatus {
    /// The name in the store and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Interrupted => "interrupted",
        }
    }
}

/// One finished task of an execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub id: String,
    /// What kind of task it is.
    pub action: String,
    /// What it was done with: a model, an agent, a data source, a tool.
    pub target: Option<String>,
    /// How it ended.
    pub status: StepStatus,
    pub error: Option<String>,
    /// What a data source was asked.
    pub query: Option<String>,
    /// What came of it.
    pub output: Option<String>,
    /// How long it took.
    pub duration_ms: i64,
}

impl Step {
    /// The step without secrets, in whatever others had a say.
    pub fn masked(self, redaction: &Redaction) -> Self {
        let masked = |text: Option<String>| text.map(|text| redaction.text(&text));
        let (target, error) = (masked(self.target), masked(self.error));
        Self { target, error, query: masked(self.query), output: masked(self.output), ..self }
    }
}

/// Which executions to list.
#[derive(Clone, Debug, Default)]
pub struct ExecutionFilter {
    /// Of this user only.
    pub user_id: Option<String>,
    /// With this status only.
    pub status: Option<ExecutionStatus>,
    /// Older than the one with this cursor.
    pub before: Option<ExecutionCursor>,
}

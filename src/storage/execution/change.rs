use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::{PlanRecord, TaskEvent, TaskFact};
use super::record::{Execution, Outcome, Step};

/// Why an execution that was cut off has no answer.
pub(in crate::storage) const INTERRUPTED: &str = "The server stopped while this ran";
/// Old executions that are deleted in one go: in the time that takes, nobody else can write.
pub(super) const DELETE_BATCH: i64 = 20;
/// Pause after that, for those who wait.
pub(super) const DELETE_PAUSE: Duration = Duration::from_millis(10);

/// A change of a record. Each can be made again without harm, and has no more effect then. JSON is text: as part of a change
/// it could be too deep to be read again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::storage) enum ExecutionChange {
    /// It has begun.
    Begin(Execution),
    /// What was decided to be done.
    Plan {
        id: String,
        intent: String,
        confidence: f64,
        plan: String,
        /// Absent in what earlier versions have left in an outbox.
        planned_ms: Option<i64>,
    },
    /// Something happened to a task.
    Task {
        id: String,
        #[serde(flatten)]
        event: TaskEvent,
    },
    /// A task has ended, as earlier versions have left it in an outbox: they counted steps, from 0 on.
    Step { id: String, ordinal: i64, step: Step },
    /// It has ended. One that has ended already stays as it is.
    Finish {
        id: String,
        #[serde(rename = "end")]
        outcome: Outcome,
        finished_ms: i64,
    },
    /// What was told of its end is corrected.
    Amend { id: String, error: Option<String>, metadata: String },
    /// Whatever this server was at before `before_ms` was cut off.
    Interrupt { before_ms: i64 },
}

impl ExecutionChange {
    /// A plan was made.
    pub(super) fn plan(id: &str, plan: PlanRecord) -> Self {
        let PlanRecord { intent, confidence, plan, planned_ms } = plan;
        Self::Plan { id: id.to_owned(), intent, confidence, plan, planned_ms: Some(planned_ms) }
    }

    /// The execution that it is about.
    pub(in crate::storage) fn id(&self) -> &str {
        match self {
            Self::Begin(execution) => &execution.id,
            Self::Plan { id, .. }
            | Self::Task { id, .. }
            | Self::Step { id, .. }
            | Self::Finish { id, .. }
            | Self::Amend { id, .. } => id,
            Self::Interrupt { .. } => "",
        }
    }

    /// About how much it is to send.
    pub(in crate::storage) fn bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        match self {
            Self::Begin(execution) => execution.prompt.len(),
            Self::Plan { plan, .. } => plan.len(),
            Self::Task { event: TaskEvent { fact: TaskFact::Started(start), .. }, .. } => length(&start.query),
            Self::Task { event: TaskEvent { fact: TaskFact::Finished(step), .. }, .. } | Self::Step { step, .. } => {
                length(&step.output) + length(&step.query)
            }
            Self::Finish { outcome, .. } => outcome.metadata.len() + length(&outcome.answer),
            Self::Amend { metadata, .. } => metadata.len(),
            Self::Interrupt { .. } => 0,
        }
    }

    /// Whether it must not be made together with others.
    pub(in crate::storage) fn is_alone(&self) -> bool {
        matches!(self, Self::Interrupt { .. })
    }

    /// What was being done, for an error.
    pub(in crate::storage) fn what(&self) -> &'static str {
        match self {
            Self::Begin(_) => "could not record an execution",
            Self::Plan { .. } => "could not record a plan",
            Self::Task { .. } | Self::Step { .. } => "could not record a step",
            Self::Finish { .. } | Self::Amend { .. } => "could not record the end of an execution",
            Self::Interrupt { .. } => "could not mark interrupted executions",
        }
    }
}

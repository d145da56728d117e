use indexmap::IndexMap;

use super::change::ExecutionChange;
use super::event::{FIRST_TASK_EVENT, TaskFact};
use super::record::{Execution, ExecutionStatus, Outcome, Step};

/// What the store calls the kinds of events.
pub(super) const TASK_STARTED: &str = "task_started";
pub(super) const TASK_FINISHED: &str = "task_finished";

/// What changes say, by execution. Of one execution the kinds of changes follow each other, so nothing is lost of their order.
#[derive(Debug, Default)]
pub(in crate::storage) struct FoldedChanges<'a> {
    pub(in crate::storage) executions: IndexMap<&'a str, FoldedExecution<'a>>,
    pub(in crate::storage) tasks: Vec<FoldedTask<'a>>,
    /// Before when what runs was cut off.
    pub(in crate::storage) interrupted_ms: Option<i64>,
}

/// What changes say of one execution: one row, however many changes there are.
#[derive(Debug, Default)]
pub(in crate::storage) struct FoldedExecution<'a> {
    pub(in crate::storage) begun: Option<&'a Execution>,
    planned: Option<FoldedPlan<'a>>,
    ended: Option<(&'a Outcome, i64)>,
    amended: Option<(Option<&'a str>, &'a str)>,
}

#[derive(Debug)]
struct FoldedPlan<'a> {
    intent: &'a str,
    confidence: f64,
    plan: &'a str,
    planned_ms: Option<i64>,
}

/// The row of an event of a task.
#[derive(Debug, Default)]
pub(in crate::storage) struct FoldedTask<'a> {
    pub(in crate::storage) execution: &'a str,
    pub(in crate::storage) number: i64,
    /// `task_started` or `task_finished`.
    pub(in crate::storage) kind: &'static str,
    /// Unknown of what an earlier version has recorded.
    pub(in crate::storage) at_ms: Option<i64>,
    pub(in crate::storage) id: &'a str,
    pub(in crate::storage) action: &'a str,
    pub(in crate::storage) target: Option<&'a str>,
    pub(in crate::storage) status: Option<&'static str>,
    pub(in crate::storage) error: Option<&'a str>,
    pub(in crate::storage) query: Option<&'a str>,
    pub(in crate::storage) output: Option<&'a str>,
    pub(in crate::storage) duration_ms: Option<i64>,
}

impl<'a> FoldedTask<'a> {
    fn of(execution: &'a str, number: i64, at_ms: Option<i64>, fact: &'a TaskFact) -> Self {
        match fact {
            TaskFact::Started(start) => Self {
                execution,
                number,
                kind: TASK_STARTED,
                at_ms,
                id: &start.id,
                action: &start.action,
                target: start.target.as_deref(),
                query: start.query.as_deref(),
                ..Self::default()
            },
            TaskFact::Finished(step) => Self::of_step(execution, number, at_ms, step),
        }
    }

    fn of_step(execution: &'a str, number: i64, at_ms: Option<i64>, step: &'a Step) -> Self {
        Self {
            execution,
            number,
            kind: TASK_FINISHED,
            at_ms,
            id: &step.id,
            action: &step.action,
            target: step.target.as_deref(),
            status: Some(step.status.as_str()),
            error: step.error.as_deref(),
            query: step.query.as_deref(),
            output: step.output.as_deref(),
            duration_ms: Some(step.duration_ms),
        }
    }
}

impl<'a> FoldedChanges<'a> {
    pub(in crate::storage) fn of(changes: impl IntoIterator<Item = &'a ExecutionChange>) -> Self {
        let mut folded = Self::default();
        changes.into_iter().for_each(|change| folded.add(change));
        folded
    }

    fn add(&mut self, change: &'a ExecutionChange) {
        match change {
            ExecutionChange::Task { id, event } => {
                return self.tasks.push(FoldedTask::of(id, event.number, Some(event.at_ms), &event.fact));
            }
            ExecutionChange::Step { id, ordinal, step } => {
                return self.tasks.push(FoldedTask::of_step(id, ordinal + FIRST_TASK_EVENT, None, step));
            }
            ExecutionChange::Interrupt { before_ms } => return self.interrupted_ms = Some(*before_ms),
            _ => {}
        }
        let execution = self.executions.entry(change.id()).or_default();
        match change {
            ExecutionChange::Begin(begun) => execution.begun = Some(begun),
            ExecutionChange::Plan { intent, confidence, plan, planned_ms, .. } => {
                let (confidence, planned_ms) = (*confidence, *planned_ms);
                execution.planned = Some(FoldedPlan { intent, confidence, plan, planned_ms });
            }
            // The first end counts.
            ExecutionChange::Finish { outcome, finished_ms, .. } => {
                execution.ended.get_or_insert((outcome, *finished_ms));
            }
            ExecutionChange::Amend { error, metadata, .. } => execution.amended = Some((error.as_deref(), metadata)),
            ExecutionChange::Task { .. } | ExecutionChange::Step { .. } | ExecutionChange::Interrupt { .. } => {}
        }
    }
}

impl<'a> FoldedExecution<'a> {
    /// Where it stands: that it runs, if that is all that is known.
    pub(in crate::storage) fn status(&self) -> ExecutionStatus {
        let begun = self.begun.map_or(ExecutionStatus::Running, |begun| begun.status);
        self.ended.map_or(begun, |(outcome, _)| outcome.status)
    }

    pub(in crate::storage) fn intent(&self) -> Option<&'a str> {
        self.planned.as_ref().map(|planned| planned.intent)
    }

    pub(in crate::storage) fn confidence(&self) -> Option<f64> {
        self.planned.as_ref().map(|planned| planned.confidence)
    }

    pub(in crate::storage) fn plan(&self) -> Option<&'a str> {
        self.planned.as_ref().map(|planned| planned.plan)
    }

    pub(in crate::storage) fn planned_ms(&self) -> Option<i64> {
        self.planned.as_ref().and_then(|planned| planned.planned_ms)
    }

    pub(in crate::storage) fn answer(&self) -> Option<&'a str> {
        self.ended.and_then(|(outcome, _)| outcome.answer.as_deref())
    }

    pub(in crate::storage) fn error(&self) -> Option<&'a str> {
        self.ended.and_then(|(outcome, _)| outcome.error.as_deref())
    }

    pub(in crate::storage) fn metadata(&self) -> Option<&'a str> {
        self.ended.map(|(outcome, _)| outcome.metadata.as_str())
    }

    pub(in crate::storage) fn finished_ms(&self) -> Option<i64> {
        self.ended.map(|(_, finished_ms)| finished_ms)
    }

    /// Whether its record is corrected and nothing else.
    pub(super) fn is_amended_only(&self) -> bool {
        self.begun.is_none() && self.planned.is_none() && self.ended.is_none()
    }

    /// The error and the metadata that stand in the place of those that were told at the end.
    pub(in crate::storage) fn amended(&self) -> Option<(Option<&'a str>, &'a str)> {
        self.amended
    }
}

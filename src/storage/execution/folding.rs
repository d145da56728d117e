use indexmap::IndexMap;

use super::change::ExecutionChange;
use super::record::{Execution, ExecutionStatus, Outcome, Step};

/// What changes say, by execution. Of one execution the kinds of changes follow each other, so nothing is lost of their order.
#[derive(Debug, Default)]
pub(in crate::storage) struct FoldedChanges<'a> {
    pub(in crate::storage) executions: IndexMap<&'a str, FoldedExecution<'a>>,
    /// Execution, ordinal, step.
    pub(in crate::storage) steps: Vec<(&'a str, i64, &'a Step)>,
    /// Before when what runs was cut off.
    pub(in crate::storage) interrupted_ms: Option<i64>,
}

/// What changes say of one execution: one row, however many changes there are.
#[derive(Debug, Default)]
pub(in crate::storage) struct FoldedExecution<'a> {
    pub(in crate::storage) begun: Option<&'a Execution>,
    planned: Option<(&'a str, f64, &'a str)>,
    ended: Option<(&'a Outcome, i64)>,
    amended: Option<(Option<&'a str>, &'a str)>,
}

impl<'a> FoldedChanges<'a> {
    pub(in crate::storage) fn of(changes: impl IntoIterator<Item = &'a ExecutionChange>) -> Self {
        let mut folded = Self::default();
        changes.into_iter().for_each(|change| folded.add(change));
        folded
    }

    fn add(&mut self, change: &'a ExecutionChange) {
        match change {
            ExecutionChange::Step { id, ordinal, step } => return self.steps.push((id, *ordinal, step)),
            ExecutionChange::Interrupt { before_ms } => return self.interrupted_ms = Some(*before_ms),
            _ => {}
        }
        let execution = self.executions.entry(change.id()).or_default();
        match change {
            ExecutionChange::Begin(begun) => execution.begun = Some(begun),
            ExecutionChange::Plan { intent, confidence, plan, .. } => {
                execution.planned = Some((intent, *confidence, plan));
            }
            // The first end counts.
            ExecutionChange::Finish { outcome, finished_ms, .. } => {
                execution.ended.get_or_insert((outcome, *finished_ms));
            }
            ExecutionChange::Amend { error, metadata, .. } => execution.amended = Some((error.as_deref(), metadata)),
            ExecutionChange::Step { .. } | ExecutionChange::Interrupt { .. } => {}
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
        self.planned.map(|(intent, _, _)| intent)
    }

    pub(in crate::storage) fn confidence(&self) -> Option<f64> {
        self.planned.map(|(_, confidence, _)| confidence)
    }

    pub(in crate::storage) fn plan(&self) -> Option<&'a str> {
        self.planned.map(|(_, _, plan)| plan)
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

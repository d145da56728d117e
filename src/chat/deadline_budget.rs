use std::time::Duration;

use super::plan::Plan;
use crate::kernel::Deadline;

/// Time kept for each stage to come, if there is enough of it.
const STAGE_RESERVE: Duration = Duration::from_secs(30);
/// Time kept for saving an answer.
const SAVING_RESERVE: Duration = Duration::from_millis(500);

/// The time that tasks leave for those that build on them and for saving, so that what was found is told if one hangs.
pub(super) struct DeadlineBudget {
    deadline: Deadline,
    for_stage: Duration,
    for_saving: Duration,
}

impl DeadlineBudget {
    /// The budget of a plan's tasks in what is left until `deadline`.
    pub(super) fn of(plan: &Plan, deadline: Deadline) -> Self {
        let left = deadline.remaining();
        let has_results = !plan.is_repeatable() || !plan.functions.is_empty();
        let for_saving = if has_results { (left / 20).min(SAVING_RESERVE) } else { Duration::ZERO };
        Self { deadline, for_stage: (left / 4).min(STAGE_RESERVE), for_saving }
    }

    /// The deadline of a task with this many stages after it.
    pub(super) fn deadline(&self, stages_after: u32) -> Deadline {
        let kept = if stages_after == 0 { self.for_saving } else { self.for_stage * stages_after };
        self.deadline.at_most(self.deadline.remaining().saturating_sub(kept))
    }
}

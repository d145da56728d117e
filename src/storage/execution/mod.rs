//! Executions and their logs: in Postgres if there is one, else in the embedded database.
//!
//! Each change of a record can be made again without harm: what was taken while Postgres was away is done again there.

mod change;
mod cursor;
mod embedded;
mod event;
mod folding;
mod orphans;
mod postgres;
mod postgres_batch;
mod record;
mod rows;
mod store;
mod writer;

pub(super) use change::{ExecutionChange, INTERRUPTED};
pub use cursor::ExecutionCursor;
pub(super) use embedded::EmbeddedExecutions;
pub use event::{
    ExecutionLog, FIRST_TASK_EVENT, LogFact, NumberedEvent, PLANNED_EVENT, PlanRecord, TaskEvent, TaskFact, TaskStart,
};
pub(super) use folding::{FoldedChanges, FoldedExecution, FoldedTask};
pub(super) use orphans::keep_lease;
#[cfg(test)]
pub(super) use orphans::renew_and_bury;
pub(super) use postgres::write_back;
pub use record::{Execution, ExecutionFilter, ExecutionStatus, Outcome, Step, StepStatus};
pub use store::ExecutionStore;
pub(super) use writer::ExecutionWriter;

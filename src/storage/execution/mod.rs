//! Executions and their steps: in Postgres if there is one, else in the embedded database.
//!
//! Each change of a record can be made again without harm, so what the embedded database took while Postgres was away is
//! simply done again there. Services call [`ExecutionStore`] and need not know which store answers.

mod change;
mod cursor;
mod embedded;
mod postgres;
mod postgres_batch;
mod record;
mod rows;
mod store;

pub use cursor::ExecutionCursor;
pub(super) use embedded::EmbeddedExecutions;
pub(super) use postgres::write_back;
pub use record::{Execution, ExecutionFilter, ExecutionStatus, Outcome, Step, StepStatus};
pub use store::ExecutionStore;

//! Evaluation of routing: prompts, each with the resources that it should reach, are planned but not carried out, and compared with
//! the last time. `case` has what is given, `run` plans and asks the model what it would call, `report` compares and counts.

mod case;
mod report;
mod run;

pub(super) use case::{EvaluationCase, Target};
pub(super) use report::{CaseResult, Difference, Evaluation, names};
pub(super) use run::evaluate;

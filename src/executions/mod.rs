//! Executions: the record of each chat request, under `/v1/executions`.
//!
//! `routes` shows them. Chat writes them through [`ExecutionRecorder`].

mod event_log;
mod recorder;
pub mod routes;

pub use recorder::ExecutionRecorder;

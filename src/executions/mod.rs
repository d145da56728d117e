//! Executions: the record of each chat request, under `/v1/executions`.
//!
//! `service` pages and finds records, `routes` shows them. Chat writes them through [`ExecutionRecorder`].

mod recorder;
pub mod routes;
mod service;

pub use recorder::{ExecutionEnd, ExecutionRecorder};
pub use service::ExecutionService;

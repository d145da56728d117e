//! Executions: the record of each chat request, under `/v1/executions`.
//!
//! `service` pages and finds records, `routes` shows them. The record is written by whoever carries the request out.

pub mod routes;
mod service;

pub use service::ExecutionService;

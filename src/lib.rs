//! Orchestrator Studio: a self-hosted AI orchestration server, configured at run time through its REST API.
//!
//! ARCHITECTURE.md has the map of the rooms below and walks through a chat request and a change of configuration.

mod agents;
pub mod app;
mod chat;
mod configuration;
mod datasources;
mod executions;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod grounding;
mod gui;
pub mod identity;
pub mod kernel;
mod limits;
mod llm;
mod memory;
mod monitoring;
mod outbound;
pub mod settings;
mod storage;
pub mod telemetry;
pub mod tools;
mod web;

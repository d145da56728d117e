//! Orchestrator Studio: a self-hosted AI orchestration server, configured at run time through its REST API.
//!
//! ARCHITECTURE.md has the map of the rooms below and walks through a chat request and a change of configuration.

pub mod app;
mod chat;
pub mod kernel;
mod llm;
mod memory;
mod outbound;
pub mod settings;
mod storage;
pub mod telemetry;
mod web;

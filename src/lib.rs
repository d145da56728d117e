//! Orchestrator Studio: a self-hosted AI orchestration server, configured at run time through its REST API.
//!
//! ARCHITECTURE.md has the map of the rooms below and walks through a chat request and a change of configuration.

pub mod app;
pub mod chat;
pub mod kernel;
pub mod llm;
pub mod memory;
pub mod outbound;
pub mod settings;
pub mod storage;
pub mod telemetry;
pub mod web;

//! Orchestrator Studio.

pub mod kernel;
pub mod outbound;
pub mod settings;
pub mod storage;
pub mod telemetry;

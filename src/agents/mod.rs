//! External agents: HTTP services that do a piece of work for a prompt. Their endpoints are under `/api/agents`; chat hands
//! over to them through [`AgentService`].
//!
//! `service` keeps the catalog, tests and calls; `client` knows HTTP, one breaker per agent; `events` masks credentials in streams.

mod client;
mod event_redactor;
pub mod routes;
mod service;

pub use client::{AgentAnswer, AgentFailure, Payload};
pub use service::{AgentCall, AgentError, AgentService, PingReport};

//! External agents: HTTP services that do a piece of work for a prompt. Their endpoints are under `/api/agents`; chat hands
//! over to them through [`AgentService`].
//!
//! `service` keeps the catalog, tests and calls; `client` knows HTTP, one breaker per agent; `event_redactor` masks credentials in streams.
//! `answer` is what came back: `answer_text` finds text and error in the JSON of the frameworks that agents are made with,
//! `answer_stream` in their events and lines. To add a form: a row in the table of their tests, then what makes it pass.

mod answer;
mod answer_stream;
mod answer_text;
mod client;
mod event_redactor;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod routes;
mod service;

pub use answer::{AgentAnswer, Payload};
pub use client::{AgentEntry, AgentFailure};
pub use service::{AgentCall, AgentError, AgentService, PingReport};

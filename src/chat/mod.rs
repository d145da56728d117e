//! Chat: a prompt becomes an intent, a plan, tasks that run, an answer, and a memory of both turns.
//!
//! `service` is the flow and reads from top to bottom: `intent` classifies the request, `planner` makes the [`plan::Plan`] out
//! of what `selection` chooses, `executor` runs its `tasks`, `response` puts the answer and its metadata together. Files import
//! only what is below them: task, plan, selection, planner and context, tasks, response, executor, service, routes. To add a
//! kind of task: a variant of `task::TaskKind`, a file in `tasks/`, the arm in `planner` that says who does it.

mod answer;
mod api;
mod callable;
mod chart;
mod context;
mod deadline_budget;
mod draft;
mod evaluation;
mod events;
mod executor;
mod gap;
mod honesty;
mod intent;
mod plan;
mod planner;
mod prompt;
mod relevance;
mod request;
mod response;
mod router;
pub mod routes;
mod routing;
mod search_query;
mod selection;
mod service;
mod stages;
mod task;
mod tasks;
mod text;
mod verification;
mod web_sources;

pub use api::{PlanPreview, StartedChat};
pub use context::ChatServices;
pub use events::{ChatEvent, EventSender, StepSummary};
pub use request::{ChatOptions, ConversationKey, Scope, UserRequest};
pub use response::ChatResponse;
pub use service::ChatService;

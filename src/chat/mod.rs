//! Chat: a prompt becomes an intent, a plan, tasks that run, an answer, and a memory of both turns.
//!
//! `service` is the flow and reads from top to bottom. `classifier` finds the intent (by the rules of `intent`, or a model),
//! `target_selection` chooses agents and data sources, `tool_selection` tools, `planner` makes the DAG, `tool_functions` asks tools for the functions
//! that the model is offered, `executor` runs the plan, `tasks` holds what a task can do (`tasks::tool_loop` is how a model uses
//! tools), `prompt` writes what the model is told, `response` what came of it all. To add a kind of task: a file in `tasks/`, a
//! variant of `tasks::TaskKind`, and the arm in `planner::kinds` that says who does it.

mod cancel_guard;
mod classifier;
mod deadline_budget;
mod events;
mod executor;
mod intent;
mod planner;
mod progress;
mod prompt;
mod recorder;
mod request;
mod response;
pub mod routes;
mod search_query;
mod service;
mod target_selection;
mod tasks;
mod text;
mod tool_functions;
mod tool_selection;
mod tool_support;

pub use service::{ChatService, ChatServices};

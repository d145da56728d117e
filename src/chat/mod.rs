//! Chat: a prompt becomes an intent, a plan, tasks that run, an answer, and a memory of both turns.
//!
//! `service` is the flow and reads from top to bottom. `intent` classifies, `targets` chooses agents and data sources,
//! `planner` makes the DAG, `executor` runs it, `tasks` holds what a task can do, `answer` writes the reply. To add a kind of
//! task: a file in `tasks/`, a variant of `tasks::Kind`, and the arm in `planner::kinds` that says who does it.

mod answer;
mod command;
mod events;
mod executor;
mod intent;
mod planner;
mod reply;
pub mod routes;
mod service;
mod shares;
mod targets;
mod tasks;
mod wording;

pub use service::{ChatService, Parts};

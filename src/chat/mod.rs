//! Chat: a prompt becomes an intent, a plan, tasks that run, an answer, and a memory of both turns.
//!
//! `service` is the flow and reads from top to bottom. `classifier` finds the intent (by the rules of `intent`, or a model),
//! `targets` chooses agents and data sources, `toolbox` tools, `planner` makes the DAG, `offering` asks tools for the functions
//! that the model is offered, `executor` runs the plan, `tasks` holds what a task can do (`tasks::tool_loop` is how a model uses
//! tools), `answer` writes what the model is told, `ending` what came of it all. To add a kind of task: a file in `tasks/`, a
//! variant of `tasks::Kind`, and the arm in `planner::kinds` that says who does it.

mod answer;
mod cancellation;
mod classifier;
mod command;
mod ending;
mod events;
mod executor;
mod intent;
mod offering;
mod planner;
mod reply;
pub mod routes;
mod service;
mod shares;
mod step_log;
mod targets;
mod tasks;
mod tool_support;
mod toolbox;
mod wishes;
mod wording;

pub use service::{ChatService, Parts};

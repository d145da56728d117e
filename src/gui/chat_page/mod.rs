//! The chat page of the existing GUI, under `/api/chat/ui`: conversations that are listed, shown and deleted, and messages that chat
//! answers.
//!
//! `service` keeps conversations and profiles, `turn` is one message and its answer. What people are shown is the transcript, which
//! the stores keep; what a model is shown is the memory, where each conversation has a key of its own. To add a routing profile:
//! `profile`.

mod models;
mod profile;
mod prompt_profile;
pub mod routes;
mod service;
mod title;
mod turn;

pub use service::ChatPageService;

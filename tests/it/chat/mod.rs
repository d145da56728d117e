//! POST /v1/chat: what a prompt leads to, and the answer.

mod anonymous;
pub mod code_generation;
mod compound;
mod conversation;
mod data;
mod events;
mod functions;
mod honesty;
mod resource_selection;
mod streaming;
mod text_to_query;
mod tool_loop;
mod tool_selection;
mod upstream_failures;
mod verified;

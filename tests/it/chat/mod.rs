//! POST /v1/chat: what a prompt leads to, and the answer.

pub mod code_generation;
mod conversation;
mod data;
mod resource_selection;
mod streaming;
mod text_to_query;
mod tool_loop;
mod tool_selection;
mod upstream_failures;

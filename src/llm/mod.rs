//! The LLM connection: its endpoints under `/api/llm`, and [`LlmClient`], through which chat and memory talk to a model.
//!
//! `client` picks the wire format, retries and falls back; `server` and `stream` read replies; `openai` and `ollama`
//! translate to and from the one internal form in `types`. To add a wire format: a file like `ollama.rs` and a variant of `api_dialect::ApiDialect`.

mod api_dialect;
mod client;
mod common_json;
mod endpoint;
mod error;
mod ollama;
mod openai;
mod probe;
mod response_stream;
pub mod routes;
mod service;
mod types;

pub use client::LlmClient;
pub use error::LlmError;
pub use service::{LlmPing, LlmService};
pub use types::{ChatMessage, ChatRequest, Chunk, Completion, ToolCall, ToolSpec, Usage};

//! The LLM connection: its endpoints under `/api/llm`, and [`LlmClient`], through which chat and memory talk to a model.
//!
//! `client` picks the wire format, retries and falls back; `server` and `stream` read replies; `openai` and `ollama`
//! translate to and from the one internal form in `types`. To add a wire format: a file like `ollama.rs` and a variant of `wire::Wire`.

mod client;
mod error;
mod ollama;
mod openai;
mod probe;
pub mod routes;
mod server;
mod service;
mod stream;
mod types;
mod wire;

pub use client::LlmClient;
pub use error::LlmError;
pub use service::LlmService;
pub use types::{ChatMessage, ChatRequest, Chunk, Completion, ToolCall, ToolSpec, Usage};

//! The LLM connection: its endpoints under `/api/llm`, and [`LlmClient`], through which chat and memory talk to a model.
//!
//! `client` picks the wire format, retries and falls back; `sending` puts requests into the form that the strictest server takes,
//! `adaptation` changes them for servers that want another; `endpoint` and `response_stream` receive replies; `openai` and `ollama`
//! write requests from the one internal form in `types`, `reading` reads answers into it. `context_limits` knows how much a model
//! takes. To add a wire format: files like `ollama.rs` and `reading/ollama.rs`, and a variant of `api_dialect::ApiDialect`.

mod adaptation;
mod api_dialect;
mod client;
mod common_json;
mod context_limits;
mod embedding;
mod endpoint;
mod error;
mod error_report;
mod limit_watch;
mod ollama;
mod openai;
mod probe;
mod reading;
mod response_stream;
pub mod routes;
mod sending;
mod service;
mod thinking_habits;
mod token_count;
mod types;

pub use client::LlmClient;
pub use error::LlmError;
pub use error_report::ErrorReport;
#[cfg(any(test, fuzzing))]
pub(crate) use reading::fuzz;
pub use service::{LlmPing, LlmService};
pub use types::{ChatMessage, ChatRequest, Chunk, Completion, FinishReason, TokenDetails, ToolCall, ToolSpec, Usage};

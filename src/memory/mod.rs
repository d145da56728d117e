//! What the server remembers: conversations with their summaries under `/api/memory`, and answers it may give again.
//!
//! `summarizer` sums up what outgrows the limit; `app` runs it and lends it a model, since this room may not know one. To
//! change what fits into a prompt: `context`.

mod cache;
mod context;
mod maintenance;
pub mod routes;
mod service;
mod summarizer;

pub use cache::ResponseCache;
pub use context::ContextMessage;
pub use maintenance::{ClearedMemory, RedisMemory};
pub use service::MemoryService;
pub use summarizer::Summarizer;

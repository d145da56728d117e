//! The LLM connection: configured, spoken to in two dialects, and failing.

mod adaptation;
mod config;
mod context;
mod dialects;
mod endings;
mod failures;
mod reasoning;
mod strict;
mod tool_call_forms;

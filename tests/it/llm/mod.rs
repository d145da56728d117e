//! The LLM connection: configured, spoken to in two dialects, and failing.

mod config;
mod dialects;
mod failures;

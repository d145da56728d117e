//! The LLM connection: its values, the layers they come from, and a change of the one that the API stores.

mod connection;
mod layer;
mod section;

pub use connection::{LlmProvider, LlmSettings};
pub(super) use layer::{LlmLayer, by_variable};
pub use section::LlmSection;

//! Conversations: in Redis if there is one, else in the embedded database.
//!
//! With Redis, the embedded database keeps a copy, which answers while Redis is away. `script` knows the keys and changes them,
//! `redis` reads them; `replay` brings what was queued to Redis, and `restore` the copies that it has lost. `bulk` counts and clears
//! all conversations. `window_cache` has what chats were shown last.

mod bulk;
mod codec;
mod copies;
mod embedded;
mod embedded_append;
mod embedded_window;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod redis;
mod replay;
mod restore;
mod script;
mod store;
mod types;
mod window;
mod window_cache;

pub(super) use embedded::EmbeddedConversations;
pub(super) use replay::replay;
pub(super) use restore::restore;
pub use store::ConversationStore;
pub(super) use types::Tombstone;
pub use types::{Conversation, Excess, Message};
pub(super) use window_cache::{WindowCache, WindowChange};

//! Conversations: in Postgres if there is one, else in Redis, else in the embedded database.
//!
//! With Postgres, Redis holds the end of those in use (`durable`). Without, the embedded database keeps a copy of what Redis has,
//! which answers while Redis is away: `script` knows the keys and changes them, `redis` reads them; `replay` brings what was queued to Redis,
//! and `restore` the copies that it has lost. `bulk` counts and clears all conversations. `window_cache` has what chats were shown last.

mod bulk;
mod codec;
mod copies;
mod durable;
mod embedded;
mod embedded_append;
mod embedded_window;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod outbox_owner;
mod redis;
mod replay;
mod restore;
mod script;
mod store;
mod types;
mod window;
mod window_cache;

pub(super) use durable::{DurableConversations, WindowTrust, keep_windows, write_back};
pub(super) use embedded::EmbeddedConversations;
pub(super) use outbox_owner::is_of_conversation;
pub(super) use replay::replay;
pub(super) use restore::restore;
pub use store::ConversationStore;
pub(super) use types::Tombstone;
pub use types::{Conversation, Excess, HistoryCursor, HistoryPage, Message};
pub(super) use window_cache::{WindowCache, WindowChange};

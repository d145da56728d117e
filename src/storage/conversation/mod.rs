//! Conversations: in Redis if there is one, else in the embedded database.
//!
//! With Redis, the embedded database keeps a copy of what went through this server. It answers while Redis is away, and gives a
//! Redis that comes back empty what it has lost. `script` knows the keys and changes them, `redis` reads them; `replay` brings
//! what was queued to Redis, `restore` the copies. Services call [`ConversationStore`] and need not know which store answers.

mod codec;
mod copies;
mod embedded;
mod redis;
mod replay;
mod restore;
mod script;
mod store;
mod types;

pub(super) use embedded::EmbeddedConversations;
pub(super) use replay::replay;
pub(super) use restore::restore;
pub use store::ConversationStore;
pub use types::{Conversation, Excess, Message};

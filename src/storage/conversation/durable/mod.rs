//! Conversations with Postgres: it has all of each, and Redis the end of those in use, as a window that whichever server fills.
//!
//! A window has the version of the conversation in Postgres, and the run of Redis that it was filled in: after a restart of Redis none
//! counts, whatever Redis still knows. Whoever changes a conversation tells the window the change and both versions; one that does not
//! follow is dropped, and the next read fills it. What Redis could not be told is flagged in Postgres, and `window_keeper` drops those
//! windows before Redis is trusted again. While Postgres is away, turns go to Redis, for the other servers, and into the outbox.

mod adoption;
mod durable_conversations;
mod postgres;
mod postgres_upkeep;
mod redis_window;
mod store;
mod stored_message;
mod window_changes;
mod window_keeper;
mod window_trust;
mod without_postgres;
mod write_back;

pub(in crate::storage) use durable_conversations::DurableConversations;
pub(in crate::storage) use window_keeper::keep_windows;
pub(in crate::storage) use window_trust::WindowTrust;
pub(in crate::storage) use write_back::write_back;

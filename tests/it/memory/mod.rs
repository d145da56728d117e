//! Conversations: their messages and their summaries.

mod messages;
mod summary;

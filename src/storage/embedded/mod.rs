//! The one writer of the embedded database: what chats change goes through a queue and is written in one transaction for all that waits.
//!
//! To add a kind of change: a variant in `change`, its statements in `statements`, its rows in `rows`.

mod batch;
mod change;
mod rows;
mod statements;
mod writer;

pub(super) use change::{ConversationAppend, EmbeddedChange, EmbeddedWrite, OutboxAddition};
#[cfg(test)]
pub(super) use statements::batch_statements;
pub(super) use writer::EmbeddedWriter;

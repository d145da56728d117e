use std::sync::Arc;

use serde::Serialize;

use crate::kernel::{Error, UserId};
use crate::storage::conversation::{Message, Tombstone};
use crate::storage::execution::ExecutionChange;
use crate::storage::failover::OutboxTicket;
use crate::storage::write_queue::QueuedChange;

/// Something that changes in the embedded database.
#[derive(Debug)]
pub(crate) enum EmbeddedChange {
    /// The record of a chat request.
    Execution(Box<ExecutionChange>),
    /// Messages are added to a conversation.
    Append(ConversationAppend),
    /// A conversation is forgotten.
    Clear(UserId, Tombstone),
    /// A value is cached until this time.
    Cache { key: String, value: String, expires_at: i64 },
}

/// Messages that are added to a conversation in one step.
#[derive(Debug)]
pub(crate) struct ConversationAppend {
    pub(crate) user: UserId,
    /// Oldest first.
    pub(crate) messages: Vec<Arc<Message>>,
    /// The messages as rows: JSON arrays with commas between them.
    pub(crate) rows: String,
    /// How long the conversation lives on.
    pub(crate) ttl_ms: i64,
    pub(crate) max_messages: usize,
}

/// An operation that is to be carried out in the service too, once it is back.
#[derive(Debug)]
pub(crate) struct OutboxAddition {
    pub(crate) ticket: OutboxTicket,
    pub(crate) owner: String,
    /// As JSON.
    pub(crate) body: String,
}

impl OutboxAddition {
    /// An operation of this owner.
    pub(crate) fn new(ticket: OutboxTicket, owner: &str, operation: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_string(operation);
        let body = body.map_err(|error| Error::internal("could not put an operation into the outbox", error))?;
        Ok(Self { ticket, owner: owner.to_owned(), body })
    }
}

/// A change with what it puts into the outbox.
#[derive(Debug)]
pub(crate) struct EmbeddedWrite {
    pub(crate) change: EmbeddedChange,
    pub(crate) outbox: Option<OutboxAddition>,
}

impl QueuedChange for EmbeddedWrite {
    fn bytes(&self) -> usize {
        let bytes = match &self.change {
            EmbeddedChange::Execution(change) => change.bytes(),
            EmbeddedChange::Append(append) => append.rows.len(),
            EmbeddedChange::Clear(..) => 0,
            EmbeddedChange::Cache { value, .. } => value.len(),
        };
        bytes + self.outbox.as_ref().map_or(0, |addition| addition.body.len())
    }

    fn is_alone(&self) -> bool {
        // What was said before is cleared, and what is said afterwards stays.
        match &self.change {
            EmbeddedChange::Clear(..) => true,
            EmbeddedChange::Execution(change) => change.is_alone(),
            EmbeddedChange::Append(_) | EmbeddedChange::Cache { .. } => false,
        }
    }

    fn what(&self) -> &'static str {
        match &self.change {
            EmbeddedChange::Execution(change) => change.what(),
            EmbeddedChange::Append(_) => "could not append to a conversation",
            EmbeddedChange::Clear(..) => "could not clear a conversation",
            EmbeddedChange::Cache { .. } => "could not write to the cache",
        }
    }
}

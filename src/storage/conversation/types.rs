use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kernel::Role;

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who spoke.
    pub role: Role,
    /// What was said.
    pub content: String,
    /// Free to the caller.
    pub metadata: Map<String, Value>,
    /// When it was stored, in milliseconds since 1970.
    pub created_ms: i64,
}

/// A conversation as it is at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    pub summary: Option<String>,
    /// The newest messages, newest first.
    pub messages: Vec<Arc<Message>>,
}

/// The oldest messages of a conversation, about to be summarized.
#[derive(Clone, Debug)]
pub struct Excess {
    /// The messages, oldest first.
    pub messages: Vec<Arc<Message>>,
    pub summary: Option<String>,
    pub(super) identity: MessageIdentity,
}

/// What tells these messages from any others.
#[derive(Clone, Debug)]
pub(super) enum MessageIdentity {
    /// Their row ids, which are never used again.
    Embedded(Vec<i64>),
    /// Their exact texts, and the epoch, which changes when the conversation is cleared.
    Redis { epoch: String, texts: Vec<Vec<u8>> },
}

/// Messages that are added in one step.
#[derive(Debug)]
pub(super) struct AppendBatch<'a> {
    /// The id of the step, by which it is known that it was done.
    pub(super) id: String,
    /// Oldest first.
    pub(super) messages: &'a [Arc<Message>],
    /// How long the conversation lives on.
    pub(super) ttl_ms: i64,
    pub(super) max_messages: i64,
}

/// A conversation was cleared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::storage) struct Tombstone {
    pub(in crate::storage) id: String,
    #[serde(rename = "cleared")]
    pub(in crate::storage) at_ms: i64,
}

/// A step as the outbox keeps it; messages are texts as Redis holds them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum QueuedStep {
    Append {
        id: String,
        messages: Vec<String>,
        #[serde(rename = "most")]
        max_messages: i64,
    },
    Clear(Tombstone),
}

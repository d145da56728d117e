use std::fmt;
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

/// How much of a conversation is read, from its newest message on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Extent {
    /// So many messages.
    Messages(usize),
    /// Messages with at most so many characters in all, and every system message. The message that no longer fits is left out, and so is all
    /// that is older.
    Characters(usize),
}

/// Where a message stands in all that was said in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryCursor {
    pub(super) at: i64,
    pub(super) position: i64,
}

/// Some of all that was said in a conversation.
#[derive(Clone, Debug, Default)]
pub struct HistoryPage {
    /// Newest first.
    pub messages: Vec<Arc<Message>>,
    /// What gives the page after this one, if there are older messages.
    pub next: Option<HistoryCursor>,
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
    /// Their row ids in the embedded database, or their positions in Postgres, which are never used again.
    Rows(Vec<i64>),
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
        /// When the conversation ends, in milliseconds since 1970. Absent in what earlier versions have left.
        #[serde(rename = "ends", default, skip_serializing_if = "Option::is_none")]
        ends_ms: Option<i64>,
        /// What stands for older messages, if the conversation has no summary.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        summary: Option<String>,
    },
    Clear(Tombstone),
}

impl HistoryCursor {
    /// What cursors look like, as a regular expression.
    pub const PATTERN: &str = "^-?[0-9]{1,18}_[0-9]{1,18}$";

    /// The cursor that a caller gives back.
    pub fn parse(text: &str) -> Option<Self> {
        let (at, position) = text.split_once('_')?;
        Some(Self { at: at.parse().ok()?, position: position.parse().ok()? })
    }
}

impl fmt::Display for HistoryCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.at, self.position)
    }
}

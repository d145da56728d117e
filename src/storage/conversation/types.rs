use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kernel::Role;
use crate::storage::sqlite::int;

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
    /// What was summarized.
    pub summary: Option<String>,
    /// The newest messages, newest first.
    pub messages: Vec<Message>,
}

/// How much of a conversation survives an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// The newest messages; older ones are dropped.
    Newest(usize),
    /// Twice as many, since older messages wait to be summarized; never less than ten thousand.
    UntilSummarized(usize),
}

impl Retention {
    pub(super) fn max_messages(self) -> i64 {
        match self {
            Self::Newest(max) => int(max),
            Self::UntilSummarized(max) => int(max).saturating_mul(2).max(10_000),
        }
    }
}

/// The oldest messages of a conversation, about to be summarized.
#[derive(Clone, Debug)]
pub struct Excess {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// The summary so far.
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

impl Excess {
    /// Keeps the oldest messages up to `chars` characters in all, but at least one.
    pub fn truncate(&mut self, chars: usize) {
        let mut total = 0;
        let fitting = self.messages.iter().take_while(|message| {
            total += message.content.chars().count();
            total <= chars
        });
        let count = fitting.count().max(1);
        self.messages.truncate(count);
        match &mut self.identity {
            MessageIdentity::Embedded(ids) => ids.truncate(count),
            MessageIdentity::Redis { texts, .. } => texts.truncate(count),
        }
    }
}

/// Messages that are added in one step.
#[derive(Debug)]
pub(super) struct AppendBatch<'a> {
    /// The id of the step, by which it is known that it was done.
    pub(super) operation: String,
    /// Oldest first.
    pub(super) messages: &'a [Message],
    /// How long the conversation lives on.
    pub(super) ttl: Duration,
    pub(super) max_messages: i64,
}

impl AppendBatch<'_> {
    pub(super) fn ttl_ms(&self) -> i64 {
        int(self.ttl.as_millis())
    }
}

/// A conversation was cleared.
#[derive(Clone, Debug)]
pub(super) struct Tombstone {
    /// The id of the step, by which it is known that it was done.
    pub(super) operation: String,
    pub(super) at_ms: i64,
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
    Clear {
        id: String,
        #[serde(rename = "cleared")]
        at_ms: i64,
    },
}

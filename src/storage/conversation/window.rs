use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;

use super::types::{Conversation, Message};
use crate::kernel::Role;

/// What keeping a conversation or a message takes beside its texts, about.
const OVERHEAD_BYTES: usize = 200;

/// The end of one conversation.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub(super) summary: Option<String>,
    /// Oldest first. All system messages are among them, and all messages that are newer than one of the others.
    pub(super) messages: VecDeque<Arc<Message>>,
    /// How many older messages the database has.
    pub(super) missing: usize,
    /// In milliseconds since 1970. A conversation that is not there is one that has expired.
    pub(super) expires_at: i64,
}

impl Window {
    /// The newest messages with at most `chars` characters, newest first, and every system message; `None` if older ones may be among them
    /// that are missing here.
    pub(super) fn newest(&self, chars: usize, now_ms: i64) -> Option<Conversation> {
        if self.expires_at <= now_ms {
            return Some(Conversation::default());
        }
        let (mut total, mut is_full) = (0, false);
        let mut fits = |message: &Arc<Message>| {
            if message.role == Role::System {
                return true;
            }
            total += message.content.chars().count();
            is_full |= total > chars;
            !is_full
        };
        let messages = self.messages.iter().rev().filter(|message| fits(message)).cloned().collect();
        (is_full || self.missing == 0).then(|| Conversation { summary: self.summary.clone(), messages })
    }

    /// Adds messages as the database does; returns whether this is still the end of the conversation.
    pub(super) fn append(
        &mut self,
        messages: &[Arc<Message>],
        now_ms: i64,
        expires_at: i64,
        held: Option<usize>,
    ) -> bool {
        if self.expires_at <= now_ms {
            *self = Self { summary: None, messages: VecDeque::new(), missing: 0, expires_at };
        }
        self.expires_at = expires_at;
        self.messages.extend(messages.iter().cloned());
        let Some(held) = held else { return true };
        while self.missing + self.messages.len() > held {
            self.drop_oldest();
        }
        self.missing + self.messages.len() == held
    }

    /// Forgets the message that the database deletes next.
    fn drop_oldest(&mut self) {
        if self.missing > 0 {
            self.missing -= 1;
        } else {
            let oldest = self.messages.iter().position(|message| message.role != Role::System).unwrap_or(0);
            self.messages.remove(oldest);
        }
    }

    /// Keeps at most so many bytes; returns whether that is possible.
    pub(super) fn shrink(&mut self, max_bytes: usize) -> bool {
        let mut bytes = self.bytes();
        while bytes > max_bytes {
            let oldest = self.messages.iter().position(|message| message.role != Role::System);
            let Some(message) = oldest.and_then(|oldest| self.messages.remove(oldest)) else { return false };
            bytes -= bytes_of(&message);
            self.missing += 1;
        }
        true
    }

    pub(super) fn bytes(&self) -> usize {
        let summary = self.summary.as_ref().map_or(0, String::len);
        OVERHEAD_BYTES + summary + self.messages.iter().map(|message| bytes_of(message)).sum::<usize>()
    }
}

fn bytes_of(message: &Message) -> usize {
    // Metadata takes more than its text; two times is a guess on the safe side.
    OVERHEAD_BYTES
        + message.content.len()
        + message.metadata.iter().map(|(name, value)| name.len() + 2 * size(value)).sum::<usize>()
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 32,
        Value::Array(items) => 32 + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => 64 + members.iter().map(|(name, value)| 64 + name.len() + size(value)).sum::<usize>(),
        _ => 32,
    }
}

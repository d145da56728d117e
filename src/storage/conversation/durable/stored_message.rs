use serde::Serialize;

use crate::kernel::Role;
use crate::storage::conversation::codec;
use crate::storage::conversation::types::Message;

/// A message as Postgres stores it.
#[derive(Debug, Serialize)]
pub(super) struct StoredMessage {
    /// When it was said, in milliseconds since 1970.
    pub(super) at: i64,
    pub(super) is_system: bool,
    /// Code points of its content.
    pub(super) characters: usize,
    /// All of it, as Redis has it.
    pub(super) body: String,
}

impl StoredMessage {
    pub(super) fn new(message: &Message) -> Self {
        Self::with_body(message, codec::to_text(message))
    }

    /// One that is a text already.
    pub(super) fn read(body: String) -> Self {
        let message = codec::from_text(&body);
        // Postgres takes every character but one, which JSON has as an escape.
        let body = if body.contains('\0') { codec::to_text(&message) } else { body };
        Self::with_body(&message, body)
    }

    fn with_body(message: &Message, body: String) -> Self {
        let characters = message.content.chars().count();
        Self { at: message.created_ms, is_system: message.role == Role::System, characters, body }
    }
}

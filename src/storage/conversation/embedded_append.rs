use std::sync::Arc;

use super::codec;
use super::embedded::EmbeddedConversations;
use super::outbox_owner::outbox_owner;
use super::types::{AppendBatch, Message, QueuedStep};
use crate::kernel::{Error, UserId};
use crate::storage::embedded::{ConversationAppend, EmbeddedChange, EmbeddedWrite, OutboxAddition};
use crate::storage::failover::OutboxTicket;
use crate::storage::write_queue::PendingWrite;

impl EmbeddedConversations {
    /// Adds messages as soon as there is room in the queue, and puts them into the outbox if there is one. What comes of it is how many
    /// messages the conversation holds.
    pub(super) async fn append(
        &self,
        user: &UserId,
        batch: &AppendBatch<'_>,
        ticket: Option<OutboxTicket>,
    ) -> Result<PendingWrite, Error> {
        self.writes.push(self.appending(user, batch, ticket)?).await
    }

    /// The same, for a copy that nobody waits for.
    pub(super) async fn append_copy(&self, user: &UserId, batch: &AppendBatch<'_>) -> Result<(), Error> {
        self.writes.push_lingering(self.appending(user, batch, None)?).await.map(drop)
    }

    fn appending(
        &self,
        user: &UserId,
        batch: &AppendBatch<'_>,
        ticket: Option<OutboxTicket>,
    ) -> Result<EmbeddedWrite, Error> {
        let AppendBatch { id, messages, ttl_ms, max_messages } = batch;
        let outbox = ticket.map(|ticket| {
            let messages = messages.iter().map(|message| codec::to_text(message)).collect();
            let ends_ms = Some(self.clock.now_ms().saturating_add(*ttl_ms));
            let step =
                QueuedStep::Append { id: id.clone(), messages, max_messages: *max_messages, ends_ms, summary: None };
            let owner = outbox_owner(ticket.service(), user);
            OutboxAddition::new(ticket, &owner, &step)
        });
        let append = ConversationAppend {
            user: user.clone(),
            messages: messages.to_vec(),
            rows: rows(user, id, messages).map_err(|error| Error::internal("could not store a message", error))?,
            ttl_ms: *ttl_ms,
            max_messages: usize::try_from(*max_messages).unwrap_or(usize::MAX),
        };
        Ok(EmbeddedWrite { change: EmbeddedChange::Append(append), outbox: outbox.transpose()? })
    }
}

/// Messages as rows of the table: JSON arrays with commas between them.
fn rows(user: &UserId, operation: &str, messages: &[Arc<Message>]) -> Result<String, serde_json::Error> {
    let mut rows = Vec::new();
    for message in messages {
        if !rows.is_empty() {
            rows.push(b',');
        }
        let Message { role, content, metadata, created_ms } = &**message;
        let metadata = serde_json::to_string(metadata)?;
        serde_json::to_writer(&mut rows, &(user.as_str(), role.as_str(), content, metadata, created_ms, operation))?;
    }
    Ok(String::from_utf8(rows).unwrap_or_default())
}

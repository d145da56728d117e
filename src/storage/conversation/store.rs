use std::sync::Arc;
use std::time::Duration;

use super::durable::DurableConversations;
use super::embedded::EmbeddedConversations;
use super::redis;
use super::types::{
    AppendBatch, Conversation, Excess, Extent, HistoryCursor, HistoryPage, Message, MessageIdentity, Tombstone,
};
use crate::kernel::{Error, UserId, new_id};
use crate::storage::failover::{Failover, prefer_remote, try_remote, write};
use crate::storage::postgres::{PostgresConnection, WorkClaim};
use crate::storage::redis::Redis;
use crate::storage::sqlite::int;

/// Conversations by user.
#[derive(Clone, Debug)]
pub struct ConversationStore {
    pub(in crate::storage) embedded: EmbeddedConversations,
    pub(in crate::storage) redis: Option<Failover<Redis>>,
    /// With Postgres, what follows is done by it.
    pub(in crate::storage) durable: Option<DurableConversations>,
}

impl ConversationStore {
    /// Adds messages, oldest first, in one step: all or none. The conversation lives on for `ttl` from now; one that has
    /// expired begins anew. Beyond the newest `max_messages`, messages are dropped. Returns how many it holds.
    pub async fn append(
        &self,
        user: &UserId,
        messages: &[Arc<Message>],
        ttl: Duration,
        max_messages: usize,
    ) -> Result<usize, Error> {
        let (ttl_ms, max_messages) = (int(ttl.as_millis()), int(max_messages));
        let batch = &AppendBatch { id: new_id(), messages, ttl_ms, max_messages };
        if let Some(durable) = &self.durable {
            return durable.append(user, batch).await;
        }
        let operation = |connection| async move {
            let held = redis::append(connection, user, batch).await?;
            copied(self.embedded.append_copy(user, batch).await);
            Ok(held)
        };
        let stand_in = |ticket| async move { self.embedded.append(user, batch, ticket).await?.written().await };
        write(self.redis.as_ref(), operation, stand_in).await
    }

    /// Whether other servers may write to the same conversations.
    pub fn is_shared(&self) -> bool {
        self.redis.is_some() || self.durable.is_some()
    }

    /// The newest `limit` messages, newest first, and the summary.
    pub async fn recent(&self, user: &UserId, limit: usize) -> Result<Conversation, Error> {
        if let Some(durable) = &self.durable {
            return durable.read(user, Extent::Messages(limit)).await;
        }
        let reading = |connection| redis::recent(connection, user, limit);
        prefer_remote(self.redis.as_ref(), reading, || async { self.settled().await.recent(user, limit).await }).await
    }

    /// The newest messages with at most `chars` characters in all, newest first, every system message, and the summary. The
    /// message that no longer fits is left out, and so is all that is older.
    pub async fn window(&self, user: &UserId, chars: usize) -> Result<Conversation, Error> {
        if let Some(durable) = &self.durable {
            return durable.read(user, Extent::Characters(chars)).await;
        }
        let reading = |connection| redis::window(connection, user, chars);
        prefer_remote(self.redis.as_ref(), reading, || async { self.settled().await.window(user, chars).await }).await
    }

    /// Some of all that was said, newest first: with Postgres, what is no longer part of the conversation included; else what is, without
    /// a next page.
    pub async fn history(
        &self,
        user: &UserId,
        limit: usize,
        before: Option<HistoryCursor>,
    ) -> Result<HistoryPage, Error> {
        match &self.durable {
            Some(durable) => durable.history(user, limit, before).await,
            None if before.is_some() => Ok(HistoryPage::default()),
            None => Ok(HistoryPage { messages: self.recent(user, limit).await?.messages, next: None }),
        }
    }

    /// Forgets the conversation: messages, archive and summary.
    pub async fn clear(&self, user: &UserId) -> Result<(), Error> {
        let tombstone = &Tombstone { id: new_id(), at_ms: self.embedded.clock.now_ms() };
        if let Some(durable) = &self.durable {
            return durable.clear(std::slice::from_ref(user), tombstone).await;
        }
        let operation = |connection| async move {
            redis::clear(connection, user, tombstone).await?;
            Ok(self.embedded.clear(user, tombstone, None).await?)
        };
        write(self.redis.as_ref(), operation, |ticket| self.embedded.clear(user, tombstone, ticket)).await
    }

    /// The messages beyond the newest `keep`, oldest first, at most `max_messages` of them. System messages are not among them: they
    /// are instructions, which a summary would turn into prose. None while the service that has them is away: summarizing waits for it.
    pub async fn excess(&self, user: &UserId, keep: usize, max_messages: usize) -> Result<Option<Excess>, Error> {
        if let Some(durable) = &self.durable {
            return durable.excess(user, keep, max_messages).await;
        }
        if self.redis.is_none() {
            return self.embedded.excess(user, keep, max_messages).await;
        }
        let reading = try_remote(self.redis.as_ref(), |it| redis::excess(it, user, keep, max_messages));
        Ok(reading.await?.flatten())
    }

    /// The right to summarize a conversation, which one server at a time has; `None` if another has it, or nobody can tell.
    pub async fn summary_turn(&self, user: &UserId) -> Result<Option<SummaryTurn>, Error> {
        match &self.durable {
            Some(durable) => Ok(durable.claim_summary(user).await?.map(|claim| SummaryTurn(Some(claim)))),
            None => Ok(Some(SummaryTurn(None))),
        }
    }

    /// Puts `summary` in the place of the oldest `count` messages of the excess. Does nothing and returns false if the
    /// conversation was cleared, or has begun anew, since the excess was read.
    pub async fn summarize(&self, user: &UserId, excess: &Excess, count: usize, summary: &str) -> Result<bool, Error> {
        if let Some(durable) = &self.durable {
            return durable.summarize(user, excess, count, summary).await;
        }
        let (epoch, texts) = match &excess.identity {
            MessageIdentity::Rows(ids) => {
                let ids: Vec<i64> = ids.iter().take(count).copied().collect();
                return self.embedded.summarize(user, &ids, summary).await;
            }
            MessageIdentity::Redis { epoch, texts } => (epoch, texts),
        };
        let texts: Vec<&[u8]> = texts.iter().take(count).map(Vec::as_slice).collect();
        let summarizing = |connection| redis::summarize(connection, user, epoch, &texts, summary);
        let is_done = try_remote(self.redis.as_ref(), summarizing).await?.unwrap_or(false);
        if is_done {
            let summarized = excess.messages.iter().take(count).map(|message| &**message);
            copied(self.embedded.summarize_copy(user, summarized, summary).await);
        }
        Ok(is_done)
    }

    /// Deletes what has ended: here, and in Postgres if it is this server's turn. To be called now and then.
    pub(in crate::storage) async fn purge(&self, postgres: Option<&PostgresConnection>) -> Result<(), Error> {
        self.embedded.purge().await?;
        if let (Some(durable), Some(connection)) = (&self.durable, postgres) {
            durable.purge(connection).await;
        }
        Ok(())
    }

    /// The embedded conversations, once the copies of what Redis was told are there.
    async fn settled(&self) -> &EmbeddedConversations {
        if self.redis.is_some() {
            self.embedded.writes.settle().await;
        }
        &self.embedded
    }
}

/// The right to summarize a conversation.
#[derive(Debug)]
pub struct SummaryTurn(Option<WorkClaim>);

impl SummaryTurn {
    /// Gives it to others.
    pub async fn end(self) {
        if let Some(claim) = self.0 {
            claim.release().await;
        }
    }
}

/// What Redis holds counts; a copy that could not be made is only missed if Redis is lost.
fn copied<T>(outcome: Result<T, Error>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "a conversation could not be copied to the embedded store");
    }
}

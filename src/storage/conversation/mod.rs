//! Conversations: in Redis if there is one, else in the embedded database.
//!
//! With Redis, the embedded database keeps a copy of what went through this server. It answers while Redis is away, and
//! gives back what a Redis that comes back empty has lost. `redis` knows the layout there, `write_back` brings Redis up to
//! date. Services call [`ConversationStore`] and need not know which store answers.

mod codec;
mod embedded;
mod redis;
mod write_back;

use std::time::Duration;

use serde_json::{Map, Value};

pub(super) use embedded::EmbeddedConversations;
pub(super) use write_back::replay;
pub(super) use write_back::restore;

use self::embedded::{AppendBatch, Tombstone};
use super::failover::{Failover, Handle, Route};
use super::redis::Redis;
use crate::kernel::{Error, Role, UserId, new_id};

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
    fn max_messages(self) -> i64 {
        match self {
            Self::Newest(max_messages) => i64::try_from(max_messages).unwrap_or(i64::MAX),
            Self::UntilSummarized(max_messages) => {
                i64::try_from(max_messages).unwrap_or(i64::MAX).saturating_mul(2).max(10_000)
            }
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
    place: MessageIdentity,
}

/// What tells the messages of an excess from any others.
#[derive(Clone, Debug)]
enum MessageIdentity {
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
        match &mut self.place {
            MessageIdentity::Embedded(ids) => ids.truncate(count),
            MessageIdentity::Redis { texts, .. } => texts.truncate(count),
        }
    }
}

/// Conversations by user.
#[derive(Clone, Debug)]
pub struct ConversationStore {
    embedded: EmbeddedConversations,
    redis: Option<Failover<Redis>>,
}

impl ConversationStore {
    pub(super) fn new(embedded: EmbeddedConversations, redis: Option<Failover<Redis>>) -> Self {
        Self { embedded, redis }
    }

    /// Adds messages, oldest first, in one step: all or none. The conversation lives on for `ttl` from now; one that has
    /// expired begins anew. Returns how many messages it holds.
    pub async fn append(
        &self,
        user: &UserId,
        messages: &[Message],
        ttl: Duration,
        retain: Retention,
    ) -> Result<usize, Error> {
        let batch = AppendBatch { operation: new_id(), messages, ttl, max_messages: retain.max_messages() };
        let Some(failover) = &self.redis else { return self.embedded.append(user, &batch, None).await };
        let queue = match failover.route().await {
            Route::Remote(handle) => match redis::append(&handle.connection, user, &batch).await {
                Ok(held) => {
                    copied(self.embedded.append(user, &batch, None).await);
                    return Ok(held);
                }
                Err(failure) => failover.fail_over(&handle, failure).await?,
            },
            Route::Outbox(queue) => queue,
        };
        let held = self.embedded.append(user, &batch, Some(failover.outbox())).await?;
        failover.enqueued();
        drop(queue);
        Ok(held)
    }

    /// The newest `limit` messages, newest first, and the summary.
    pub async fn recent(&self, user: &UserId, limit: usize) -> Result<Conversation, Error> {
        if let Some((failover, handle)) = self.handle() {
            match redis::recent(&handle.connection, user, limit).await {
                Ok(conversation) => return Ok(conversation),
                Err(failure) => failover.report_failure(&handle, failure)?,
            }
        }
        self.embedded.recent(user, limit).await
    }

    /// The newest messages with at most `chars` characters in all, newest first, every system message, and the summary. The
    /// message that no longer fits is left out, and so is all that is older.
    pub async fn window(&self, user: &UserId, chars: usize) -> Result<Conversation, Error> {
        if let Some((failover, handle)) = self.handle() {
            match redis::window(&handle.connection, user, chars).await {
                Ok(conversation) => return Ok(conversation),
                Err(failure) => failover.report_failure(&handle, failure)?,
            }
        }
        self.embedded.window(user, chars).await
    }

    /// Forgets the conversation: messages and summary.
    pub async fn clear(&self, user: &UserId) -> Result<(), Error> {
        let tombstone = Tombstone { operation: new_id(), at_ms: self.embedded.clock.now_ms() };
        let Some(failover) = &self.redis else { return self.embedded.clear(user, &tombstone, None).await };
        let queue = match failover.route().await {
            Route::Remote(handle) => match redis::clear(&handle.connection, user, &tombstone).await {
                Ok(()) => return self.embedded.clear(user, &tombstone, None).await,
                Err(failure) => failover.fail_over(&handle, failure).await?,
            },
            Route::Outbox(queue) => queue,
        };
        self.embedded.clear(user, &tombstone, Some(failover.outbox())).await?;
        failover.enqueued();
        drop(queue);
        Ok(())
    }

    /// The messages beyond the newest `keep`, oldest first, at most `max_messages` of them. System messages are not among them: they
    /// are instructions, which a summary would turn into prose. None while Redis is away: summarizing waits for it.
    pub async fn excess(&self, user: &UserId, keep: usize, max_messages: usize) -> Result<Option<Excess>, Error> {
        let Some((failover, handle)) = self.handle() else {
            return if self.redis.is_some() { Ok(None) } else { self.embedded.excess(user, keep, max_messages).await };
        };
        match redis::excess(&handle.connection, user, keep, max_messages).await {
            Ok(excess) => Ok(excess),
            Err(failure) => failover.report_failure(&handle, failure).map(|()| None),
        }
    }

    /// Puts `summary` in the place of the excess. Does nothing and returns false if the conversation was cleared, or has
    /// begun anew, since the excess was read.
    pub async fn summarize(&self, user: &UserId, excess: &Excess, summary: &str) -> Result<bool, Error> {
        let (epoch, texts) = match &excess.place {
            MessageIdentity::Embedded(ids) => return self.embedded.summarize(user, ids, summary).await,
            MessageIdentity::Redis { epoch, texts } => (epoch, texts),
        };
        let Some((failover, handle)) = self.handle() else { return Ok(false) };
        let now_ms = self.embedded.clock.now_ms();
        match redis::summarize(&handle.connection, user, (epoch, texts), summary, now_ms).await {
            Ok(true) => {
                copied(self.embedded.summarize_copy(user, &excess.messages, summary).await);
                Ok(true)
            }
            Ok(false) => Ok(false),
            Err(failure) => failover.report_failure(&handle, failure).map(|()| false),
        }
    }

    pub(super) async fn purge(&self) -> Result<(), Error> {
        self.embedded.purge().await
    }

    fn handle(&self) -> Option<(&Failover<Redis>, Handle<super::redis::RedisConnection>)> {
        let failover = self.redis.as_ref()?;
        Some((failover, failover.handle()?))
    }
}

/// What Redis holds counts; a copy that could not be made is only missed if Redis is lost.
fn copied<T>(outcome: Result<T, Error>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "a conversation could not be copied to the embedded store");
    }
}

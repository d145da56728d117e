//! Conversations: in Redis if there is one, else in the embedded database.
//!
//! With Redis, the embedded database keeps a copy of what went through this server. It answers while Redis is away, and
//! gives back what a Redis that comes back empty has lost. `redis` knows the layout there, `write_back` brings Redis up to
//! date. Services call [`ConversationStore`] and need not know which store answers.

mod embedded;
mod layout;
mod redis;
mod write_back;

use std::time::Duration;

use serde_json::{Map, Value};

pub(super) use embedded::EmbeddedConversations;
pub(super) use write_back::bring_up_to_date;
pub(super) use write_back::restore;

use self::embedded::{Clearing, Turns};
use super::outside::{Lease, Link, Route};
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
    /// What was folded away.
    pub summary: Option<String>,
    /// The newest messages, newest first.
    pub messages: Vec<Message>,
}

/// How much of a conversation survives an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retain {
    /// The newest messages; older ones are dropped.
    Newest(usize),
    /// Twice as many, since older messages wait to be folded into the summary; never less than ten thousand.
    UntilFolded(usize),
}

impl Retain {
    fn most(self) -> i64 {
        match self {
            Self::Newest(most) => i64::try_from(most).unwrap_or(i64::MAX),
            Self::UntilFolded(most) => i64::try_from(most).unwrap_or(i64::MAX).saturating_mul(2).max(10_000),
        }
    }
}

/// The oldest messages of a conversation, about to be folded into its summary.
#[derive(Clone, Debug)]
pub struct Overflow {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// The summary so far.
    pub summary: Option<String>,
    place: Place,
}

/// What tells the messages of an overflow from any others.
#[derive(Clone, Debug)]
enum Place {
    /// Their row ids, which are never used again.
    Embedded(Vec<i64>),
    /// Their exact texts, and the epoch, which changes when the conversation is cleared.
    Redis { epoch: String, texts: Vec<Vec<u8>> },
}

impl Overflow {
    /// Keeps the oldest messages up to `chars` characters in all, but at least one.
    pub fn limit(&mut self, chars: usize) {
        let mut total = 0;
        let fitting = self.messages.iter().take_while(|message| {
            total += message.content.chars().count();
            total <= chars
        });
        let count = fitting.count().max(1);
        self.messages.truncate(count);
        match &mut self.place {
            Place::Embedded(ids) => ids.truncate(count),
            Place::Redis { texts, .. } => texts.truncate(count),
        }
    }
}

/// Conversations by user.
#[derive(Clone, Debug)]
pub struct ConversationStore {
    embedded: EmbeddedConversations,
    redis: Option<Link<Redis>>,
}

impl ConversationStore {
    pub(super) fn new(embedded: EmbeddedConversations, redis: Option<Link<Redis>>) -> Self {
        Self { embedded, redis }
    }

    /// Adds messages, oldest first, in one step: all or none. The conversation lives on for `ttl` from now; one that has
    /// expired begins anew. Returns how many messages it holds.
    pub async fn append(
        &self,
        user: &UserId,
        messages: &[Message],
        ttl: Duration,
        retain: Retain,
    ) -> Result<usize, Error> {
        let turns = Turns { operation: new_id(), messages, ttl, most: retain.most() };
        let Some(link) = &self.redis else { return self.embedded.append(user, &turns, None).await };
        let queue = match link.route().await {
            Route::Service(lease) => match redis::append(&lease.connection, user, &turns).await {
                Ok(held) => {
                    copied(self.embedded.append(user, &turns, None).await);
                    return Ok(held);
                }
                Err(failure) => link.set_aside(&lease, failure).await?,
            },
            Route::Journal(queue) => queue,
        };
        let held = self.embedded.append(user, &turns, Some(link.journal())).await?;
        link.queued();
        drop(queue);
        Ok(held)
    }

    /// The newest `limit` messages, newest first, and the summary.
    pub async fn recent(&self, user: &UserId, limit: usize) -> Result<Conversation, Error> {
        if let Some((link, lease)) = self.lease() {
            match redis::recent(&lease.connection, user, limit).await {
                Ok(conversation) => return Ok(conversation),
                Err(failure) => link.note(&lease, failure)?,
            }
        }
        self.embedded.recent(user, limit).await
    }

    /// The newest messages with at most `chars` characters in all, newest first, every system message, and the summary. The
    /// message that no longer fits is left out, and so is all that is older.
    pub async fn window(&self, user: &UserId, chars: usize) -> Result<Conversation, Error> {
        if let Some((link, lease)) = self.lease() {
            match redis::window(&lease.connection, user, chars).await {
                Ok(conversation) => return Ok(conversation),
                Err(failure) => link.note(&lease, failure)?,
            }
        }
        self.embedded.window(user, chars).await
    }

    /// Forgets the conversation: messages and summary.
    pub async fn clear(&self, user: &UserId) -> Result<(), Error> {
        let clearing = Clearing { operation: new_id(), at_ms: self.embedded.clock.now_ms() };
        let Some(link) = &self.redis else { return self.embedded.clear(user, &clearing, None).await };
        let queue = match link.route().await {
            Route::Service(lease) => match redis::clear(&lease.connection, user, &clearing).await {
                Ok(()) => return self.embedded.clear(user, &clearing, None).await,
                Err(failure) => link.set_aside(&lease, failure).await?,
            },
            Route::Journal(queue) => queue,
        };
        self.embedded.clear(user, &clearing, Some(link.journal())).await?;
        link.queued();
        drop(queue);
        Ok(())
    }

    /// The messages beyond the newest `keep`, oldest first, at most `most` of them. System messages are not among them: they
    /// are instructions, which a summary would turn into prose. None while Redis is away: folding waits for it.
    pub async fn overflow(&self, user: &UserId, keep: usize, most: usize) -> Result<Option<Overflow>, Error> {
        let Some((link, lease)) = self.lease() else {
            return if self.redis.is_some() { Ok(None) } else { self.embedded.overflow(user, keep, most).await };
        };
        match redis::overflow(&lease.connection, user, keep, most).await {
            Ok(overflow) => Ok(overflow),
            Err(failure) => link.note(&lease, failure).map(|()| None),
        }
    }

    /// Puts `summary` in the place of the overflow. Does nothing and returns false if the conversation was cleared, or has
    /// begun anew, since the overflow was read.
    pub async fn fold(&self, user: &UserId, overflow: &Overflow, summary: &str) -> Result<bool, Error> {
        let (epoch, texts) = match &overflow.place {
            Place::Embedded(ids) => return self.embedded.fold(user, ids, summary).await,
            Place::Redis { epoch, texts } => (epoch, texts),
        };
        let Some((link, lease)) = self.lease() else { return Ok(false) };
        let now_ms = self.embedded.clock.now_ms();
        match redis::fold(&lease.connection, user, (epoch, texts), summary, now_ms).await {
            Ok(true) => {
                copied(self.embedded.fold_copy(user, &overflow.messages, summary).await);
                Ok(true)
            }
            Ok(false) => Ok(false),
            Err(failure) => link.note(&lease, failure).map(|()| false),
        }
    }

    pub(super) async fn purge(&self) -> Result<(), Error> {
        self.embedded.purge().await
    }

    fn lease(&self) -> Option<(&Link<Redis>, Lease<super::redis::Connection>)> {
        let link = self.redis.as_ref()?;
        Some((link, link.lease()?))
    }
}

/// What Redis holds counts; a copy that could not be made is only missed if Redis is lost.
fn copied<T>(outcome: Result<T, Error>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "a conversation could not be copied to the embedded store");
    }
}

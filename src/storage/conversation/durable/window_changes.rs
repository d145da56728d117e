use std::sync::Arc;

use super::durable_conversations::DurableConversations;
use super::postgres::Appended;
use super::postgres_upkeep::flag_windows;
use super::redis_window::{RedisWindows, not_in_redis};
use super::stored_message::StoredMessage;
use crate::kernel::UserId;
use crate::storage::conversation::types::{Conversation, Extent};
use crate::storage::failover::try_remote;

impl DurableConversations {
    /// What the window has, if there is one.
    pub(super) async fn read_window(&self, user: &UserId, extent: Extent) -> Option<Conversation> {
        let run = self.trusted()?;
        let reading = |connection| RedisWindows { connection, run: &run }.read(user, extent);
        // A key of another kind: Postgres has what is asked for.
        try_remote(self.redis.as_ref(), reading).await.inspect_err(not_in_redis).ok().flatten().flatten()
    }

    /// The run of Redis, if its windows can be read.
    pub(super) fn trusted(&self) -> Option<Arc<str>> {
        self.trust.run().filter(|_| self.is_redis_there())
    }

    /// The run of Redis, if it can be told of changes, which need no trust: they go by versions. What it has from before Postgres was used
    /// would be lost before that is taken over.
    fn told(&self) -> Option<Arc<str>> {
        (self.is_redis_there() && self.trust.has_adopted()).then(|| self.trust.seen().name)
    }

    fn is_redis_there(&self) -> bool {
        self.redis.as_ref().is_some_and(|redis| redis.connection().is_some())
    }

    /// Whether Postgres has all conversations: none are in Redis only, from before it was used.
    pub(super) fn is_complete(&self) -> bool {
        self.redis.is_none() || self.trust.has_adopted()
    }

    /// Whether there is a Redis that can't be told of a change now.
    pub(super) fn is_window_unknown(&self) -> bool {
        self.redis.is_some() && self.told().is_none()
    }

    /// Tells the window what was added.
    pub(super) async fn tell_window(&self, user: &UserId, messages: &[StoredMessage], appended: Appended, ttl_ms: i64) {
        if self.redis.is_none() {
            return;
        }
        let Some(run) = self.told() else { return self.flag(&[user.as_str()]).await };
        let Appended { held, version, has_begun } = appended;
        let telling = |connection| async {
            let windows = RedisWindows { connection, run: &run };
            if has_begun && held == messages.len() {
                let oldest_first = messages.iter().map(|message| message.body.as_str());
                return windows.fill(user, (version, None), oldest_first, ttl_ms).await;
            }
            windows.push(user, messages, (version, held), ttl_ms).await
        };
        let told = try_remote(self.redis.as_ref(), telling).await.inspect_err(not_in_redis);
        if !matches!(told, Ok(Some(()))) {
            self.flag(&[user.as_str()]).await;
        }
    }

    /// Drops windows that are older than these versions.
    pub(super) async fn drop_windows(&self, versions: &[(String, i64)]) {
        if self.redis.is_none() {
            return;
        }
        let run = self.trust.seen().name;
        let dropping = |connection| RedisWindows { connection, run: &run }.drop_older(versions);
        let told = try_remote(self.redis.as_ref(), dropping).await.inspect_err(not_in_redis);
        if !matches!(told, Ok(Some(()))) {
            self.flag(&versions.iter().map(|(user, _)| user.as_str()).collect::<Vec<_>>()).await;
        }
    }

    /// Leaves windows to be dropped as soon as Redis can be told.
    async fn flag(&self, users: &[&str]) {
        if self.redis.is_none() {
            return;
        }
        let flagging = |connection| flag_windows(connection, users);
        match try_remote(Some(&self.postgres), flagging).await {
            Ok(Some(())) => self.trust.wake(),
            // The next change finds that the window has another version.
            outcome => tracing::warn!(?outcome, "windows of conversations in Redis are out of date"),
        }
    }
}

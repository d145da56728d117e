use super::durable_conversations::DurableConversations;
use super::redis_window::{RedisWindows, not_in_redis};
use crate::kernel::{Error, UserId};
use crate::storage::conversation::redis;
use crate::storage::conversation::types::{AppendBatch, Conversation, Extent, Tombstone};
use crate::storage::failover::{OutboxTicket, prefer_remote, try_remote};
use crate::storage::redis::RedisConnection;

impl DurableConversations {
    /// What Redis has, whether or not all of it was seen by Postgres, or what waits here.
    pub(super) async fn read_without_postgres(&self, user: &UserId, extent: Extent) -> Result<Conversation, Error> {
        let reading = |connection| async move {
            match extent {
                Extent::Messages(limit) => redis::recent(connection, user, limit).await,
                Extent::Characters(characters) => redis::window(connection, user, characters).await,
            }
        };
        let stand_in = || async {
            self.embedded.writes.settle().await;
            match extent {
                Extent::Messages(limit) => self.embedded.recent(user, limit).await,
                Extent::Characters(characters) => self.embedded.window(user, characters).await,
            }
        };
        prefer_remote(self.redis.as_ref(), reading, stand_in).await
    }

    /// Puts messages into the outbox, and lets the other servers see them.
    pub(super) async fn append_without_postgres(
        &self,
        user: &UserId,
        batch: &AppendBatch<'_>,
        ticket: Option<OutboxTicket>,
    ) -> Result<usize, Error> {
        let held = self.embedded.append(user, batch, ticket).await?.written().await?;
        let telling = |connection: RedisConnection| async move {
            let held = redis::append(connection.clone(), user, batch).await?;
            RedisWindows { connection, run: &self.trust.seen().name }.mark_dirty(user.as_str()).await?;
            Ok(held)
        };
        let told = try_remote(self.redis.as_ref(), telling).await.inspect_err(not_in_redis).ok().flatten();
        Ok(told.unwrap_or(held))
    }

    /// The same for clearings.
    pub(super) async fn clear_without_postgres(
        &self,
        users: &[UserId],
        tombstone: &Tombstone,
        ticket: Option<OutboxTicket>,
    ) -> Result<(), Error> {
        let page: Vec<_> = users.iter().map(|user| (user.clone(), tombstone.clone())).collect();
        self.embedded.clear_page(&page, ticket).await?;
        for user in users {
            let telling = |connection: RedisConnection| async move {
                redis::clear(connection.clone(), user, tombstone).await?;
                RedisWindows { connection, run: &self.trust.seen().name }.mark_dirty(user.as_str()).await
            };
            try_remote(self.redis.as_ref(), telling).await.inspect_err(not_in_redis).ok();
        }
        Ok(())
    }
}

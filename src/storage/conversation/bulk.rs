use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;

use super::embedded::EmbeddedConversations;
use super::script::{ConversationUpdate, apply_all};
use super::store::ConversationStore;
use super::types::Tombstone;
use crate::kernel::{Error, UserId, new_id};
use crate::storage::StoreCount;
use crate::storage::failover::{Failover, Failure, OutboxTicket, write};
use crate::storage::redis::{RedisConnection, find_keys};
use crate::storage::sqlite::{failed, int};

/// Conversations that are cleared in one step: meanwhile, nobody else can write.
const PAGE: usize = 100;
/// Pause after that, for those who wait.
const PAUSE: Duration = Duration::from_millis(10);
/// Conversations that are cleared in one go.
const MAX_CONVERSATIONS: usize = 100_000;

/// A conversation that is cleared.
type Clearing = (UserId, Tombstone);

impl ConversationStore {
    /// How many conversations there are. While what has them is away, or can't be searched: those that the next store has.
    pub async fn count(&self) -> Result<StoreCount, Error> {
        if let Some(durable) = &self.durable
            && let Some(count) = durable.count().await?
        {
            return Ok(StoreCount { count, is_complete: true });
        }
        Ok(match self.users_in_redis().await {
            Some((users, is_complete)) => StoreCount { count: users.len(), is_complete },
            None => StoreCount { count: self.embedded.count().await?, is_complete: self.redis.is_none() },
        })
    }

    /// Forgets all conversations, a few at a time; says how many those were. What is said meanwhile may stay.
    pub async fn clear_all(&self) -> Result<StoreCount, Error> {
        let in_redis = self.users_in_redis().await;
        let (mut users, mut is_complete) = in_redis.unwrap_or_else(|| (BTreeSet::new(), self.redis.is_none()));
        if let Some(durable) = &self.durable {
            let in_postgres = durable.users(MAX_CONVERSATIONS).await?;
            is_complete = in_postgres.is_some();
            users.extend(in_postgres.unwrap_or_default());
        }
        users.extend(self.embedded.users().await?);
        is_complete &= users.len() < MAX_CONVERSATIONS;
        let users: Vec<_> = users.iter().filter_map(|user| UserId::parse(user).ok()).collect();
        for page in users.chunks(PAGE) {
            self.clear_page(page).await?;
            sleep(PAUSE).await;
        }
        Ok(StoreCount { count: users.len(), is_complete })
    }

    /// The users of all conversations in Redis, and whether there are no others; `None` if there is no Redis, or it does not say.
    async fn users_in_redis(&self) -> Option<(BTreeSet<String>, bool)> {
        let connection = self.redis.as_ref().and_then(Failover::connection)?;
        let found = find_keys(&connection, "conversation*:*").await?;
        let user = |key: &String| {
            let user = key.strip_prefix("conversation:").or_else(|| key.strip_prefix("conversation_summary:"))?;
            Some(user.to_owned())
        };
        Some((found.keys.iter().filter_map(user).collect(), found.is_complete))
    }

    async fn clear_page(&self, users: &[UserId]) -> Result<(), Error> {
        let at_ms = self.embedded.clock.now_ms();
        if let Some(durable) = &self.durable {
            return durable.clear(users, &Tombstone { id: new_id(), at_ms }).await;
        }
        let clearing = |user: &UserId| (user.clone(), Tombstone { id: new_id(), at_ms });
        let page: &[Clearing] = &users.iter().map(clearing).collect::<Vec<_>>();
        let operation = |connection| async move {
            clear_in_redis(connection, page).await?;
            Ok(self.embedded.clear_page(page, None).await?)
        };
        write(self.redis.as_ref(), operation, |ticket| self.embedded.clear_page(page, ticket)).await
    }
}

impl EmbeddedConversations {
    async fn count(&self) -> Result<usize, Error> {
        let counting = sqlx::query_scalar("SELECT COUNT(*) FROM conversation WHERE expires_at > ?1");
        let count: i64 = counting
            .bind(self.clock.now_ms())
            .fetch_one(self.database.read())
            .await
            .map_err(failed("could not count the conversations"))?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    async fn users(&self) -> Result<Vec<String>, Error> {
        sqlx::query_scalar("SELECT user_id FROM conversation WHERE expires_at > ?1 LIMIT ?2")
            .bind(self.clock.now_ms())
            .bind(int(MAX_CONVERSATIONS))
            .fetch_all(self.database.read())
            .await
            .map_err(failed("could not list the conversations"))
    }

    /// Forgets these conversations, remembers that, and puts it into the outbox if there is one: all or none.
    pub(super) async fn clear_page(&self, page: &[Clearing], ticket: Option<OutboxTicket>) -> Result<(), Error> {
        // What was said before may still wait.
        self.writes.drain().await;
        let changing = self.windows.changing(page.iter().map(|(user, _)| user.as_str()));
        let work = async {
            let mut tx = self.database.write().await?;
            for (user, tombstone) in page {
                self.clear_within(&mut tx, user, tombstone, ticket.as_ref()).await?;
            }
            tx.commit().await
        };
        work.await.map_err(failed("could not clear the conversations"))?;
        drop(changing);
        if let Some(ticket) = ticket {
            ticket.added(page.len());
        }
        Ok(())
    }
}

async fn clear_in_redis(connection: RedisConnection, page: &[Clearing]) -> Result<(), Failure> {
    let update = |(user, tombstone): &Clearing| (user.clone(), ConversationUpdate::clearing(tombstone));
    apply_all(connection, &page.iter().map(update).collect::<Vec<_>>()).await
}

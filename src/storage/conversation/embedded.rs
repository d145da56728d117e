use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use tokio::time::sleep;

use super::outbox_owner::outbox_owner;
use super::types::{Conversation, Excess, Message, MessageIdentity, Tombstone};
use super::window_cache::WindowCache;
use crate::kernel::{Clock, Error, JsonReader, Role, UserId};
use crate::storage::embedded::{EmbeddedChange, EmbeddedWrite, OutboxAddition};
use crate::storage::failover::OutboxTicket;
use crate::storage::sqlite::{Database, failed, int};
use crate::storage::write_queue::WriteQueue;

/// Expired conversations that are deleted in one go: in the time that takes, nobody else can write.
const PURGE_BATCH: i64 = 50;
/// Pause after that, for those who wait.
const PURGE_PAUSE: Duration = Duration::from_millis(10);
/// How long it is remembered that a conversation was cleared: a Redis with older data should not come back.
const TOMBSTONE_LIFETIME_MS: i64 = 30 * 86_400_000;

/// Conversations in the embedded database.
#[derive(Clone, Debug)]
pub(crate) struct EmbeddedConversations {
    pub(crate) database: Database,
    pub(crate) clock: Clock,
    pub(crate) writes: WriteQueue<EmbeddedWrite>,
    pub(crate) windows: WindowCache,
}

impl EmbeddedConversations {
    /// The newest `limit` messages, newest first, and the summary.
    pub(super) async fn recent(&self, user: &UserId, limit: usize) -> Result<Conversation, Error> {
        let query =
            "SELECT role, content, metadata, created_at FROM message WHERE user_id = ?1 ORDER BY id DESC LIMIT ?2";
        self.read(user, query, limit).await
    }

    async fn read(&self, user: &UserId, query: &'static str, limit: usize) -> Result<Conversation, Error> {
        let work = async {
            let mut tx = self.database.read().begin().await?;
            let Some(summary) = self.live_summary(&mut tx, user).await? else { return Ok(Conversation::default()) };
            let rows = sqlx::query(query).bind(user.as_str()).bind(int(limit)).fetch_all(&mut *tx).await?;
            Ok(Conversation { summary, messages: messages(&rows)? })
        };
        work.await.map_err(failed("could not read a conversation"))
    }

    /// Forgets the conversation, remembers that, and puts it into the outbox if there is one.
    pub(super) async fn clear(
        &self,
        user: &UserId,
        tombstone: &Tombstone,
        ticket: Option<OutboxTicket>,
    ) -> Result<(), Error> {
        let addition = |ticket: OutboxTicket| {
            let owner = outbox_owner(ticket.service(), user);
            OutboxAddition::new(ticket, &owner, tombstone)
        };
        let outbox = ticket.map(addition).transpose()?;
        let change = EmbeddedChange::Clear(user.clone(), tombstone.clone());
        self.writes.write(EmbeddedWrite { change, outbox }).await.map(|_| ())
    }

    /// The same as part of a transaction.
    pub(super) async fn clear_within(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        user: &UserId,
        tombstone: &Tombstone,
        ticket: Option<&OutboxTicket>,
    ) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM conversation WHERE user_id = ?1").bind(user.as_str()).execute(&mut **tx).await?;
        sqlx::query("INSERT OR REPLACE INTO tombstone (user_id, operation, cleared_at) VALUES (?1, ?2, ?3)")
            .bind(user.as_str())
            .bind(&tombstone.id)
            .bind(tombstone.at_ms)
            .execute(&mut **tx)
            .await?;
        if let Some(ticket) = ticket {
            ticket.add(tx, &outbox_owner(ticket.service(), user), tombstone).await?;
        }
        Ok(())
    }

    /// The messages beyond the newest `keep`, oldest first, at most `max_messages` of them.
    pub(super) async fn excess(
        &self,
        user: &UserId,
        keep: usize,
        max_messages: usize,
    ) -> Result<Option<Excess>, Error> {
        let work = async {
            let mut tx = self.database.read().begin().await?;
            let Some(summary) = self.live_summary(&mut tx, user).await? else { return Ok(None) };
            let rows = sqlx::query(
                "SELECT id, role, content, metadata, created_at FROM message
                 WHERE user_id = ?1 AND role <> 'system' AND id NOT IN
                     (SELECT id FROM message WHERE user_id = ?1 ORDER BY id DESC LIMIT ?2)
                 ORDER BY id LIMIT ?3",
            )
            .bind(user.as_str())
            .bind(int(keep))
            .bind(int(max_messages))
            .fetch_all(&mut *tx)
            .await?;
            let ids = rows.iter().map(|row| row.try_get("id")).collect::<Result<Vec<i64>, _>>()?;
            let messages = messages(&rows)?;
            let identity = MessageIdentity::Rows(ids);
            Ok((!rows.is_empty()).then_some(Excess { messages, summary, identity }))
        };
        work.await.map_err(failed("could not read the oldest messages of a conversation"))
    }

    /// Puts `summary` in the place of the messages with these ids, if all of them are still there.
    pub(super) async fn summarize(&self, user: &UserId, ids: &[i64], summary: &str) -> Result<bool, Error> {
        let changing = self.windows.changing([user.as_str()]);
        let work = async {
            let mut tx = self.database.write().await?;
            for id in ids {
                let deleting = sqlx::query("DELETE FROM message WHERE id = ?1 AND user_id = ?2");
                if deleting.bind(id).bind(user.as_str()).execute(&mut *tx).await?.rows_affected() == 0 {
                    // Dropping the transaction takes the other deletions back.
                    return Ok(false);
                }
            }
            set_summary(&mut tx, user, summary).await?;
            tx.commit().await?;
            Ok(true)
        };
        let done = work.await.map_err(failed("could not store a summary"));
        drop(changing);
        done
    }

    /// Does to the copy what was done to the conversation in Redis. Messages that another server stored are not there.
    pub(super) async fn summarize_copy(
        &self,
        user: &UserId,
        summarized: impl Iterator<Item = &Message>,
        summary: &str,
    ) -> Result<(), Error> {
        // Copies of messages may still wait.
        self.writes.drain().await;
        let changing = self.windows.changing([user.as_str()]);
        let work = async {
            let mut tx = self.database.write().await?;
            for message in summarized {
                sqlx::query(
                    "DELETE FROM message WHERE id = (SELECT id FROM message
                         WHERE user_id = ?1 AND created_at = ?2 AND role = ?3 AND content = ?4 ORDER BY id LIMIT 1)",
                )
                .bind(user.as_str())
                .bind(message.created_ms)
                .bind(message.role.as_str())
                .bind(&message.content)
                .execute(&mut *tx)
                .await?;
            }
            set_summary(&mut tx, user, summary).await?;
            tx.commit().await
        };
        let done = work.await.map_err(failed("could not summarize the copy of a conversation"));
        drop(changing);
        done
    }

    /// Deletes what has expired, a few conversations at a time with pauses, so that other writers are not kept waiting.
    pub(crate) async fn purge(&self) -> Result<(), Error> {
        let now_ms = self.clock.now_ms();
        let work = async {
            sqlx::query("DELETE FROM tombstone WHERE cleared_at <= ?1")
                .bind(now_ms.saturating_sub(TOMBSTONE_LIFETIME_MS))
                .execute(self.database.writer())
                .await?;
            while self.purge_batch(now_ms).await? > 0 {
                sleep(PURGE_PAUSE).await;
            }
            Ok(())
        };
        work.await.map_err(failed("could not delete expired conversations"))
    }

    /// One piece of that; says how many conversations went.
    pub(crate) async fn purge_batch(&self, now_ms: i64) -> Result<u64, sqlx::Error> {
        let deleting = sqlx::query(
            "DELETE FROM conversation WHERE user_id IN
                 (SELECT user_id FROM conversation WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
        );
        let deleted = deleting.bind(now_ms).bind(PURGE_BATCH).execute(self.database.writer()).await?;
        self.windows.forget_expired(now_ms);
        Ok(deleted.rows_affected())
    }

    /// The summary of a conversation that exists and has not expired.
    async fn live_summary(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        user: &UserId,
    ) -> Result<Option<Option<String>>, sqlx::Error> {
        sqlx::query_scalar("SELECT summary FROM conversation WHERE user_id = ?1 AND expires_at > ?2")
            .bind(user.as_str())
            .bind(self.clock.now_ms())
            .fetch_optional(&mut **tx)
            .await
    }
}

async fn set_summary(tx: &mut Transaction<'_, Sqlite>, user: &UserId, summary: &str) -> Result<(), sqlx::Error> {
    let setting = sqlx::query("UPDATE conversation SET summary = ?2 WHERE user_id = ?1");
    setting.bind(user.as_str()).bind(summary).execute(&mut **tx).await.map(|_| ())
}

fn messages(rows: &[SqliteRow]) -> Result<Vec<Arc<Message>>, sqlx::Error> {
    rows.iter().map(|row| read_message(row).map(Arc::new)).collect()
}

pub(super) fn read_message(row: &SqliteRow) -> Result<Message, sqlx::Error> {
    let decode = |error: String| sqlx::Error::Decode(error.into());
    let role: String = row.try_get("role")?;
    let metadata: String = row.try_get("metadata")?;
    Ok(Message {
        role: Role::of_message(&role).ok_or_else(|| decode(format!("unknown role {role}")))?,
        content: row.try_get("content")?,
        // One message that is stored like this must not hide the others.
        metadata: JsonReader::stored().read(metadata.as_bytes()).unwrap_or_else(|error| {
            tracing::warn!(%error, "the metadata of a stored message can't be read");
            Map::new()
        }),
        created_ms: row.try_get("created_at")?,
    })
}

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use tokio::time::sleep;

use super::codec;
use super::types::{AppendBatch, Conversation, Excess, Message, MessageIdentity, QueuedStep, Tombstone};
use super::window_cache::{Window, WindowCache};
use crate::kernel::{Clock, Error, JsonReader, Role, UserId};
use crate::storage::embedded::{ConversationAppend, EmbeddedChange, EmbeddedWrite, OutboxAddition};
use crate::storage::failover::OutboxTicket;
use crate::storage::sqlite::{Database, failed, int};
use crate::storage::write_queue::{PendingWrite, WriteQueue};

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
        self.writes.push_unwatched(self.appending(user, batch, None)?).await
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
            let step = QueuedStep::Append { id: id.clone(), messages, max_messages: *max_messages };
            OutboxAddition::new(ticket, user.as_str(), &step)
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

    /// The newest `limit` messages, newest first, and the summary.
    pub(super) async fn recent(&self, user: &UserId, limit: usize) -> Result<Conversation, Error> {
        let query =
            "SELECT role, content, metadata, created_at FROM message WHERE user_id = ?1 ORDER BY id DESC LIMIT ?2";
        self.read(user, query, limit).await
    }

    /// The newest messages with at most `chars` characters in all, newest first, every system message, and the summary. The
    /// message that no longer fits is left out, and so is all that is older.
    pub(super) async fn window(&self, user: &UserId, chars: usize) -> Result<Conversation, Error> {
        let now_ms = self.clock.now_ms();
        let reading = match self.windows.get(user.as_str(), chars, now_ms) {
            Ok(conversation) => return Ok(conversation),
            Err(reading) => reading,
        };
        let window = self.read_window(user, chars, now_ms).await.map_err(failed("could not read a conversation"))?;
        let conversation = window.newest(chars, now_ms).unwrap_or_default();
        reading.keep(window);
        Ok(conversation)
    }

    /// The end of a conversation, up to the message that no longer fits.
    async fn read_window(&self, user: &UserId, chars: usize, now_ms: i64) -> Result<Window, sqlx::Error> {
        // SQLite adds up the lengths from the newest on, so a long conversation is not read into memory. One statement sees one moment.
        let query = "SELECT conversation.summary, conversation.expires_at, conversation.message_count,
                 newest.role, newest.content, newest.metadata, newest.created_at
             FROM conversation LEFT JOIN (
                 SELECT *, SUM(CASE role WHEN 'system' THEN 0 ELSE length(content) END) OVER (ORDER BY id DESC) AS total
                 FROM message WHERE user_id = ?1) AS newest
             ON newest.role = 'system' OR newest.total - length(newest.content) <= ?2
             WHERE conversation.user_id = ?1 AND conversation.expires_at > ?3 ORDER BY newest.id";
        let rows = sqlx::query(query).bind(user.as_str()).bind(int(chars)).bind(now_ms);
        let rows = rows.fetch_all(self.database.read()).await?;
        let Some(first) = rows.first() else { return Ok(Window::default()) };
        let is_message = first.try_get::<Option<String>, _>("role")?.is_some();
        let messages: VecDeque<_> = rows
            .iter()
            .filter(|_| is_message)
            .map(|row| read_message(row).map(Arc::new))
            .collect::<Result<_, sqlx::Error>>()?;
        let held = usize::try_from(first.try_get::<i64, _>("message_count")?).unwrap_or_default();
        Ok(Window {
            summary: first.try_get("summary")?,
            missing: held.saturating_sub(messages.len()),
            messages,
            expires_at: first.try_get("expires_at")?,
        })
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
        let outbox = ticket.map(|ticket| OutboxAddition::new(ticket, user.as_str(), tombstone)).transpose()?;
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
            ticket.add(tx, user.as_str(), tombstone).await?;
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
            let identity = MessageIdentity::Embedded(ids);
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
        self.writes.settle().await;
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

use serde_json::{Map, Value};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite, Transaction};
use std::time::Duration;

use super::sqlite::{Database, failed};
use crate::kernel::{Clock, Error, Role, UserId};

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

/// The oldest messages of a conversation, about to be folded into its summary.
#[derive(Clone, Debug)]
pub struct Overflow {
    /// The messages, oldest first.
    pub messages: Vec<Message>,
    /// The summary so far.
    pub summary: Option<String>,
    ids: Vec<i64>,
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
        self.ids.truncate(count);
    }
}

/// Conversations by user, in the embedded store.
#[derive(Clone, Debug)]
pub struct ConversationStore {
    database: Database,
    clock: Clock,
}

impl ConversationStore {
    pub(super) fn new(database: Database, clock: Clock) -> Self {
        Self { database, clock }
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
        const WHAT: &str = "could not append to a conversation";
        let mut tx = self.database.write().await?;
        self.drop_expired(&mut tx, user).await?;
        let expires_at = self.clock.now_ms().saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        sqlx::query(
            "INSERT INTO conversation (user_id, expires_at) VALUES (?1, ?2)
             ON CONFLICT (user_id) DO UPDATE SET expires_at = excluded.expires_at",
        )
        .bind(user.as_str())
        .bind(expires_at)
        .execute(&mut *tx)
        .await
        .map_err(failed(WHAT))?;
        for message in messages {
            sqlx::query(
                "INSERT INTO message (user_id, role, content, metadata, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )
            .bind(user.as_str())
            .bind(message.role.as_str())
            .bind(&message.content)
            .bind(Value::Object(message.metadata.clone()).to_string())
            .bind(message.created_ms)
            .execute(&mut *tx)
            .await
            .map_err(failed(WHAT))?;
        }
        let kept = trim(&mut tx, user, retain).await?;
        tx.commit().await.map_err(failed(WHAT))?;
        Ok(kept)
    }

    /// The newest `limit` messages, newest first, and the summary.
    pub async fn recent(&self, user: &UserId, limit: usize) -> Result<Conversation, Error> {
        const WHAT: &str = "could not read a conversation";
        let mut tx = self.database.read().begin().await.map_err(failed(WHAT))?;
        let Some(summary) = self.live_summary(&mut tx, user).await? else { return Ok(Conversation::default()) };
        let rows = sqlx::query(
            "SELECT role, content, metadata, created_at FROM message WHERE user_id = ?1 ORDER BY id DESC LIMIT ?2",
        )
        .bind(user.as_str())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *tx)
        .await
        .map_err(failed(WHAT))?;
        let messages = rows.iter().map(read_message).collect::<Result<_, _>>().map_err(failed(WHAT))?;
        Ok(Conversation { summary, messages })
    }

    /// The newest messages with at most `chars` characters in all, newest first, every system message, and the summary. The
    /// message that no longer fits is left out, and so is all that is older.
    pub async fn window(&self, user: &UserId, chars: usize) -> Result<Conversation, Error> {
        const WHAT: &str = "could not read a conversation";
        let mut tx = self.database.read().begin().await.map_err(failed(WHAT))?;
        let Some(summary) = self.live_summary(&mut tx, user).await? else { return Ok(Conversation::default()) };
        // SQLite adds up the lengths from the newest on, so a long conversation is not read into memory.
        let rows = sqlx::query(
            "SELECT role, content, metadata, created_at FROM (
                 SELECT *, SUM(CASE role WHEN 'system' THEN 0 ELSE length(content) END) OVER (ORDER BY id DESC) AS total
                 FROM message WHERE user_id = ?1)
             WHERE role = 'system' OR total <= ?2 ORDER BY id DESC",
        )
        .bind(user.as_str())
        .bind(i64::try_from(chars).unwrap_or(i64::MAX))
        .fetch_all(&mut *tx)
        .await
        .map_err(failed(WHAT))?;
        let messages = rows.iter().map(read_message).collect::<Result<_, _>>().map_err(failed(WHAT))?;
        Ok(Conversation { summary, messages })
    }

    /// Forgets the conversation: messages and summary.
    pub async fn clear(&self, user: &UserId) -> Result<(), Error> {
        sqlx::query("DELETE FROM conversation WHERE user_id = ?1")
            .bind(user.as_str())
            .execute(self.database.writer())
            .await
            .map(|_| ())
            .map_err(failed("could not clear a conversation"))
    }

    /// The messages beyond the newest `keep`, oldest first, at most `most` of them. System messages are not among them: they
    /// are instructions, which a summary would turn into prose.
    pub async fn overflow(&self, user: &UserId, keep: usize, most: usize) -> Result<Option<Overflow>, Error> {
        const WHAT: &str = "could not read the oldest messages of a conversation";
        let mut tx = self.database.read().begin().await.map_err(failed(WHAT))?;
        let Some(summary) = self.live_summary(&mut tx, user).await? else { return Ok(None) };
        let rows = sqlx::query(
            "SELECT id, role, content, metadata, created_at FROM message
             WHERE user_id = ?1 AND role <> 'system' AND id NOT IN
                 (SELECT id FROM message WHERE user_id = ?1 ORDER BY id DESC LIMIT ?2)
             ORDER BY id LIMIT ?3",
        )
        .bind(user.as_str())
        .bind(i64::try_from(keep).unwrap_or(i64::MAX))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(&mut *tx)
        .await
        .map_err(failed(WHAT))?;
        let ids = rows.iter().map(|row| row.try_get("id")).collect::<Result<Vec<i64>, _>>().map_err(failed(WHAT))?;
        let messages = rows.iter().map(read_message).collect::<Result<Vec<_>, _>>().map_err(failed(WHAT))?;
        Ok(if ids.is_empty() { None } else { Some(Overflow { messages, summary, ids }) })
    }

    /// Puts `summary` in the place of the overflow. Does nothing and returns false if the conversation was cleared, or has
    /// begun anew, since the overflow was read.
    pub async fn fold(&self, user: &UserId, overflow: &Overflow, summary: &str) -> Result<bool, Error> {
        const WHAT: &str = "could not store a summary";
        let mut tx = self.database.write().await?;
        for id in &overflow.ids {
            let deleted = sqlx::query("DELETE FROM message WHERE id = ?1 AND user_id = ?2")
                .bind(id)
                .bind(user.as_str())
                .execute(&mut *tx)
                .await
                .map_err(failed(WHAT))?;
            if deleted.rows_affected() == 0 {
                // Dropping the transaction takes the other deletions back.
                return Ok(false);
            }
        }
        sqlx::query("UPDATE conversation SET summary = ?2 WHERE user_id = ?1")
            .bind(user.as_str())
            .bind(summary)
            .execute(&mut *tx)
            .await
            .map_err(failed(WHAT))?;
        tx.commit().await.map_err(failed(WHAT))?;
        Ok(true)
    }

    pub(super) async fn purge(&self) -> Result<(), Error> {
        sqlx::query("DELETE FROM conversation WHERE expires_at <= ?1")
            .bind(self.clock.now_ms())
            .execute(self.database.writer())
            .await
            .map(|_| ())
            .map_err(failed("could not delete expired conversations"))
    }

    /// The summary of a conversation that exists and has not expired.
    async fn live_summary(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        user: &UserId,
    ) -> Result<Option<Option<String>>, Error> {
        sqlx::query_scalar("SELECT summary FROM conversation WHERE user_id = ?1 AND expires_at > ?2")
            .bind(user.as_str())
            .bind(self.clock.now_ms())
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed("could not read a conversation"))
    }

    async fn drop_expired(&self, tx: &mut Transaction<'_, Sqlite>, user: &UserId) -> Result<(), Error> {
        sqlx::query("DELETE FROM conversation WHERE user_id = ?1 AND expires_at <= ?2")
            .bind(user.as_str())
            .bind(self.clock.now_ms())
            .execute(&mut **tx)
            .await
            .map(|_| ())
            .map_err(failed("could not drop an expired conversation"))
    }
}

/// Deletes what is beyond the limit, system messages last; returns how many messages are left.
async fn trim(tx: &mut Transaction<'_, Sqlite>, user: &UserId, retain: Retain) -> Result<usize, Error> {
    const WHAT: &str = "could not trim a conversation";
    let most = match retain {
        Retain::Newest(most) => i64::try_from(most).unwrap_or(i64::MAX),
        Retain::UntilFolded(most) => i64::try_from(most).unwrap_or(i64::MAX).saturating_mul(2).max(10_000),
    };
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM message WHERE user_id = ?1")
        .bind(user.as_str())
        .fetch_one(&mut **tx)
        .await
        .map_err(failed(WHAT))?;
    if count > most {
        sqlx::query(
            "DELETE FROM message WHERE id IN
                 (SELECT id FROM message WHERE user_id = ?1 ORDER BY role = 'system', id LIMIT ?2)",
        )
        .bind(user.as_str())
        .bind(count - most)
        .execute(&mut **tx)
        .await
        .map_err(failed(WHAT))?;
    }
    Ok(usize::try_from(count.min(most)).unwrap_or(0))
}

fn read_message(row: &SqliteRow) -> Result<Message, sqlx::Error> {
    let decode = |error: String| sqlx::Error::Decode(error.into());
    let role: String = row.try_get("role")?;
    let metadata: String = row.try_get("metadata")?;
    Ok(Message {
        role: Role::of_message(&role).ok_or_else(|| decode(format!("unknown role {role}")))?,
        content: row.try_get("content")?,
        metadata: serde_json::from_str(&metadata).map_err(|error| decode(error.to_string()))?,
        created_ms: row.try_get("created_at")?,
    })
}

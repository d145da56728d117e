use futures_util::TryStreamExt;
use sqlx::{Row, Sqlite, Transaction};

use super::codec;
use super::embedded::{EmbeddedConversations, read_message};
use super::types::Tombstone;
use crate::kernel::{Error, UserId};
use crate::storage::sqlite::failed;

/// Users that are looked at between two looks at the list of them.
const USERS_PER_PAGE: i64 = 200;
/// Bytes of one conversation that are given back in one step: meanwhile, Redis does nothing else.
const CHUNK_BYTES: usize = 100_000;
const READING: &str = "could not read the copy of a conversation";

/// The steps that are not queued: the outbox brings the others to Redis. `?1` is the user, `?2` the name of this installation:
/// messages from before this server knew Redis have no step of their own.
macro_rules! of_unqueued {
    ($select:literal, $rest:literal) => {
        concat!(
            "WITH queued AS (SELECT COALESCE(CASE WHEN json_valid(body) THEN body ->> '$.id' END, '-') FROM outbox
                 WHERE service = 'redis' AND owner = ?1),
             unqueued AS (SELECT *, COALESCE(operation, ?2 || '/' || id) AS step FROM message
                 WHERE user_id = ?1 AND COALESCE(operation, '') NOT IN queued) SELECT ",
            $select,
            " FROM unqueued ",
            $rest
        )
    };
}

/// How long a conversation lives on, and its summary.
pub(super) struct CopyLifetime {
    pub(super) ttl_ms: i64,
    pub(super) summary: Option<String>,
}

/// The copy of a conversation and the outbox as they are at one moment, whatever is said or cleared meanwhile.
pub(super) struct ConversationCopy<'a> {
    tx: Transaction<'static, Sqlite>,
    user: &'a UserId,
    now_ms: i64,
}

impl EmbeddedConversations {
    pub(super) async fn copy<'a>(&self, user: &'a UserId) -> Result<ConversationCopy<'a>, Error> {
        // Copies may still wait to be written.
        self.writes.drain().await;
        let tx = self.database.read().begin().await.map_err(failed(READING))?;
        Ok(ConversationCopy { tx, user, now_ms: self.clock.now_ms() })
    }

    /// Users whose conversation is copied here, or was cleared here, from the one after `last` on.
    pub(super) async fn users_after(&self, last: &str) -> Result<Vec<String>, Error> {
        self.writes.drain().await;
        sqlx::query_scalar(
            "SELECT user_id FROM conversation WHERE user_id > ?1 AND expires_at > ?2
             UNION SELECT user_id FROM tombstone WHERE user_id > ?1 ORDER BY user_id LIMIT ?3",
        )
        .bind(last)
        .bind(self.clock.now_ms())
        .bind(USERS_PER_PAGE)
        .fetch_all(self.database.read())
        .await
        .map_err(failed("could not list the copies of conversations"))
    }
}

impl ConversationCopy<'_> {
    /// None if there is no copy, or it has expired.
    pub(super) async fn lifetime(&mut self) -> Result<Option<CopyLifetime>, Error> {
        let row: Option<(i64, Option<String>)> =
            sqlx::query_as("SELECT expires_at, summary FROM conversation WHERE user_id = ?1 AND expires_at > ?2")
                .bind(self.user.as_str())
                .bind(self.now_ms)
                .fetch_optional(&mut *self.tx)
                .await
                .map_err(failed(READING))?;
        Ok(row.map(|(expires_at, summary)| CopyLifetime { ttl_ms: expires_at.saturating_sub(self.now_ms), summary }))
    }

    /// The last clearing, unless it is queued.
    pub(super) async fn tombstone(&mut self) -> Result<Option<Tombstone>, Error> {
        let row: Option<(String, i64)> = sqlx::query_as(
            "SELECT operation, cleared_at FROM tombstone WHERE user_id = ?1 AND NOT EXISTS (SELECT 1 FROM outbox
                 WHERE service = 'redis' AND owner = ?1 AND CASE WHEN json_valid(body) THEN body ->> '$.id' END = operation)",
        )
        .bind(self.user.as_str())
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(failed(READING))?;
        Ok(row.map(|(id, at_ms)| Tombstone { id, at_ms }))
    }

    /// The steps that are not queued, newest first: the id of each, and the row of its last message.
    pub(super) async fn steps(&mut self, installation: &str) -> Result<Vec<(String, i64)>, Error> {
        sqlx::query_as(of_unqueued!("step, MAX(id)", "GROUP BY step ORDER BY MAX(id) DESC"))
            .bind(self.user.as_str())
            .bind(installation)
            .fetch_all(&mut *self.tx)
            .await
            .map_err(failed(READING))
    }

    /// The next of these steps after the row `after`, oldest first, each with its messages as Redis holds them; moves `after` on.
    pub(super) async fn chunk(
        &mut self,
        installation: &str,
        after: &mut i64,
    ) -> Result<Vec<(String, Vec<String>)>, Error> {
        let mut rows = sqlx::query(of_unqueued!("*", "WHERE id > ?3 ORDER BY id"))
            .bind(self.user.as_str())
            .bind(installation)
            .bind(*after)
            .fetch(&mut *self.tx);
        let mut steps: Vec<(String, Vec<String>)> = Vec::new();
        let mut bytes = 0;
        while let Some(row) = rows.try_next().await.map_err(failed(READING))? {
            let step: String = row.try_get("step").map_err(failed(READING))?;
            let message = codec::to_text(&read_message(&row).map_err(failed(READING))?);
            let size = message.len();
            match steps.last_mut() {
                Some((last, messages)) if *last == step => messages.push(message),
                // A step is never divided.
                _ if bytes >= CHUNK_BYTES => break,
                _ => steps.push((step, vec![message])),
            }
            bytes += size;
            *after = row.try_get("id").map_err(failed(READING))?;
        }
        Ok(steps)
    }
}

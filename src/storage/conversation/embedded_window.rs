use std::collections::VecDeque;
use std::sync::Arc;

use sqlx::Row;

use super::embedded::{EmbeddedConversations, read_message};
use super::types::Conversation;
use super::window::Window;
use crate::kernel::{Error, UserId};
use crate::storage::sqlite::{failed, int};

impl EmbeddedConversations {
    /// The newest messages with at most `chars` characters in all, newest first, every system message, and the summary. The
    /// message that no longer fits is left out, and so is all that is older.
    pub(super) async fn window(&self, user: &UserId, chars: usize) -> Result<Conversation, Error> {
        let now_ms = self.clock.now_ms();
        let reading = match self.windows.get(user.as_str(), chars, now_ms) {
            Ok(conversation) => return Ok(conversation),
            Err(reading) => reading,
        };
        let window = self.read_window(user, chars, now_ms).await.map_err(failed("could not read a conversation"))?;
        match window.newest(chars, now_ms) {
            Some(conversation) => {
                reading.keep(window);
                Ok(conversation)
            }
            None => {
                tracing::warn!("a conversation has fewer messages than it counts");
                Ok(Window { missing: 0, ..window }.newest(chars, now_ms).unwrap_or_default())
            }
        }
    }

    /// The end of a conversation, up to the message that no longer fits.
    async fn read_window(&self, user: &UserId, chars: usize, now_ms: i64) -> Result<Window, sqlx::Error> {
        // SQLite adds up the lengths from the newest on, so of a long conversation only numbers are kept aside. One statement sees one moment.
        let query = "SELECT conversation.summary, conversation.expires_at, conversation.message_count,
                 message.role, message.content, message.metadata, message.created_at
             FROM conversation LEFT JOIN (
                 SELECT id, role, length(content) AS size,
                     SUM(CASE role WHEN 'system' THEN 0 ELSE length(content) END) OVER (ORDER BY id DESC) AS total
                 FROM message WHERE user_id = ?1) AS newest
             ON newest.role = 'system' OR newest.total - newest.size <= ?2
             LEFT JOIN message ON message.id = newest.id
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
}

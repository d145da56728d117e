use serde_json::Value;

use super::postgres::{self, LateAddition};
use super::stored_message::StoredMessage;
use super::window_trust::WindowTrust;
use crate::kernel::{Error, JsonReader};
use crate::storage::conversation::embedded::EmbeddedConversations;
use crate::storage::conversation::outbox_owner::OWNER_PREFIX;
use crate::storage::conversation::types::QueuedStep;
use crate::storage::failover::{Failure, OutboxEntry, timeout_for};
use crate::storage::postgres::{BACKGROUND_TIMEOUT, PostgresConnection, call};
use crate::storage::sqlite::failed;

/// How long a conversation lives on that an earlier version has left in the outbox, which does not say so.
const DEFAULT_LIFE_MS: i64 = 3_600_000;

/// A step that has waited.
struct WaitingStep<'a> {
    user: &'a str,
    step: QueuedStep,
}

/// Carries out in Postgres what was queued: all in one transaction, or, if Postgres refuses something, one by one without what it
/// refuses. What is in Postgres then is no longer needed here.
pub(in crate::storage) async fn write_back(
    store: &EmbeddedConversations,
    trust: &WindowTrust,
    connection: &PostgresConnection,
    entries: &[&OutboxEntry],
) -> Result<(), Failure> {
    let mut steps: Vec<WaitingStep<'_>> = entries.iter().filter_map(|entry| read(entry)).collect();
    // Servers that write back at once lock conversations in one order. The steps of each stay in theirs.
    steps.sort_by_key(|step| step.user);
    let now_ms = store.clock.now_ms();
    let limit = timeout_for(BACKGROUND_TIMEOUT, entries.iter().map(|entry| entry.body.len()).sum());
    match call(limit, together(&steps, connection, now_ms)).await {
        Err(Failure::Rejected(_)) => {
            for step in &steps {
                match call(limit, together(std::slice::from_ref(step), connection, now_ms)).await {
                    Err(Failure::Rejected(error)) => {
                        tracing::error!(%error, "turns of a conversation can't be written back and are given up");
                    }
                    outcome => outcome?,
                }
            }
        }
        outcome => outcome?,
    }
    let users: Vec<&str> = steps.iter().map(|step| step.user).collect();
    store.forget_written(&users, entries.last().map_or(0, |entry| entry.position)).await?;
    // What Redis has lacks the turns of others, or has them in another order.
    trust.wake();
    Ok(())
}

impl EmbeddedConversations {
    /// Forgets conversations that were written back, unless something of them still waits.
    async fn forget_written(&self, users: &[&str], written_until: i64) -> Result<(), Error> {
        let changing = self.windows.changing(users.iter().copied());
        let forgetting = "DELETE FROM conversation WHERE user_id IN (SELECT value FROM json_each(?1)) AND NOT EXISTS
            (SELECT 1 FROM outbox WHERE service = 'postgres' AND owner = ?3 || conversation.user_id AND position > ?2)";
        let forgetting = sqlx::query(forgetting).bind(Value::from(users).to_string()).bind(written_until);
        let forgetting = forgetting.bind(OWNER_PREFIX).execute(self.database.writer()).await;
        drop(changing);
        forgetting.map(drop).map_err(failed("could not remove conversations that were written back"))
    }
}

fn read<'a>(entry: &'a OutboxEntry) -> Option<WaitingStep<'a>> {
    let step = JsonReader::stored().read(entry.body.as_bytes());
    let step =
        step.inspect_err(|error| tracing::error!(%error, "turns that have waited can't be read and are given up"));
    Some(WaitingStep { user: entry.owner.strip_prefix(OWNER_PREFIX)?, step: step.ok()? })
}

async fn together(steps: &[WaitingStep<'_>], connection: &PostgresConnection, now_ms: i64) -> Result<(), sqlx::Error> {
    let mut tx = connection.pool.begin().await?;
    // What is added is sent together; a clearing stands between what it clears and what it does not.
    for alike in steps.chunk_by(|one, next| one.is_append() && next.is_append()) {
        let late: Vec<LateAddition<'_>> = alike.iter().filter_map(|step| step.addition(now_ms)).collect();
        postgres::append_late(&mut tx, &late, now_ms).await?;
        for WaitingStep { user, step } in alike {
            match step {
                QueuedStep::Append { summary: Some(summary), .. } => {
                    postgres::set_summary(&mut *tx, user, summary).await?;
                }
                QueuedStep::Append { .. } => {}
                QueuedStep::Clear(tombstone) => {
                    postgres::clear(&mut *tx, &[user], tombstone.at_ms, now_ms, [true, true]).await?;
                }
            }
        }
    }
    tx.commit().await
}

impl WaitingStep<'_> {
    fn is_append(&self) -> bool {
        matches!(self.step, QueuedStep::Append { .. })
    }

    /// What is to be added, if the life of the conversation is not over.
    fn addition(&self, now_ms: i64) -> Option<LateAddition<'_>> {
        let QueuedStep::Append { id, messages, max_messages, ends_ms, .. } = &self.step else { return None };
        let ends_ms = ends_ms.unwrap_or_else(|| now_ms.saturating_add(DEFAULT_LIFE_MS));
        let messages = || messages.iter().cloned().map(StoredMessage::read).collect();
        (ends_ms > now_ms).then(|| LateAddition {
            who: self.user,
            step: id,
            messages: messages(),
            ends_ms,
            max_messages: *max_messages,
        })
    }
}

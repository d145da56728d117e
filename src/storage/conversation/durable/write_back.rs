use serde_json::Value;
use sqlx::postgres::PgConnection;

use super::postgres::{self, Addition};
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
    for WaitingStep { user, step } in steps {
        carry_out(user, step, now_ms, &mut tx).await?;
    }
    tx.commit().await
}

async fn carry_out(user: &str, step: &QueuedStep, now_ms: i64, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    match step {
        QueuedStep::Append { id, messages, max_messages, ends_ms, summary } => {
            let messages: Vec<_> = messages.iter().cloned().map(StoredMessage::read).collect();
            let ends_ms = ends_ms.unwrap_or_else(|| now_ms.saturating_add(DEFAULT_LIFE_MS));
            if ends_ms <= now_ms {
                return Ok(());
            }
            let max_messages = *max_messages;
            let addition = Addition {
                user,
                step: id,
                messages: &messages,
                now_ms,
                ends_ms,
                max_messages,
                is_late: true,
                is_stale: true,
            };
            postgres::append(&mut *tx, &addition).await?;
            match summary {
                Some(summary) => postgres::set_summary(tx, user, summary).await,
                None => Ok(()),
            }
        }
        QueuedStep::Clear(tombstone) => {
            postgres::clear(tx, &[user], tombstone.at_ms, now_ms, [true, true]).await.map(drop)
        }
    }
}

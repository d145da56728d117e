use indexmap::IndexMap;

use super::embedded::EmbeddedConversations;
use super::script::{ConversationUpdate, apply_all};
use super::types::QueuedStep;
use crate::kernel::{JsonReader, UserId};
use crate::storage::failover::{Failure, OutboxEntry};
use crate::storage::redis::RedisConnection;

/// Carries out in Redis what was queued, in order, in one step for each user. What was carried out before is skipped.
pub(crate) async fn replay(
    store: &EmbeddedConversations,
    connection: &RedisConnection,
    entries: &[OutboxEntry],
) -> Result<(), Failure> {
    let mut users = IndexMap::<&str, Vec<QueuedStep>>::new();
    for entry in entries {
        let step = JsonReader::stored().read(entry.body.as_bytes());
        let step = step.inspect_err(|error| {
            tracing::error!(%error, "turns that have waited can't be read and are given up");
        });
        users.entry(entry.owner.as_str()).or_default().extend(step);
    }
    let mut all = Vec::new();
    for (owner, steps) in users {
        let Ok(user) = UserId::parse(owner) else { continue };
        let mut update = update_of(steps, store.clock.now_ms());
        match store.copy(&user).await?.lifetime().await? {
            Some(lifetime) => update.ttl_ms = lifetime.ttl_ms,
            // It was cleared or forgotten meanwhile. What is still under way from before must find itself done.
            None => update.steps.iter_mut().for_each(|(_, messages)| messages.clear()),
        }
        all.push((user, update));
    }
    apply_all(connection.clone(), &all).await
}

/// Steps of one user, in order. Those before a clearing are not carried out any more.
fn update_of(queued: Vec<QueuedStep>, now_ms: i64) -> ConversationUpdate {
    let mut update = ConversationUpdate::late(now_ms);
    for step in queued {
        match step {
            QueuedStep::Append { id, messages, max_messages, .. } => {
                update.steps.push((id, messages));
                update.max_messages = max_messages;
            }
            QueuedStep::Clear(tombstone) => {
                let earlier = update.cleared.replace(tombstone);
                update.steps.extend(earlier.map(|tombstone| (tombstone.id, Vec::new())));
                update.steps.iter_mut().for_each(|(_, messages)| messages.clear());
            }
        }
    }
    update
}

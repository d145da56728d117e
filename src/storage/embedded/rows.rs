use serde::Serialize;

use super::batch::Batch;
use super::change::{ConversationAppend, EmbeddedChange, EmbeddedWrite};
use super::statements::RowKind;
use crate::kernel::UserId;
use crate::storage::conversation::Tombstone;
use crate::storage::execution::{FoldedChanges, FoldedExecution, FoldedTask, INTERRUPTED};

/// The rows of changes that are written at `now_ms`.
pub(super) fn batch_of(writes: &[EmbeddedWrite], now_ms: i64) -> Result<Batch, sqlx::Error> {
    let mut batch = Batch::default();
    for write in writes {
        match &write.change {
            EmbeddedChange::Execution(_) => {}
            EmbeddedChange::Append(append) => add_messages(append, now_ms, &mut batch)?,
            EmbeddedChange::Clear(user, tombstone) => add_clearing(user, tombstone, &mut batch)?,
            EmbeddedChange::Cache { key, value, expires_at } => {
                batch.add(RowKind::CacheEntry, &(key, value, expires_at))?;
            }
        }
        if let Some(addition) = &write.outbox {
            let (service, bytes) = (addition.ticket.service(), addition.body.len());
            batch.add(RowKind::Outbox, &(service, &addition.owner, bytes, &addition.body))?;
        }
    }
    let changes = writes.iter().filter_map(|write| match &write.change {
        EmbeddedChange::Execution(change) => Some(&**change),
        _ => None,
    });
    add_executions(&FoldedChanges::of(changes), &mut batch)?;
    Ok(batch)
}

fn add_messages(append: &ConversationAppend, now_ms: i64, batch: &mut Batch) -> Result<(), sqlx::Error> {
    let user = append.user.as_str();
    batch.add(RowKind::Conversation, &(user, now_ms.saturating_add(append.ttl_ms)))?;
    if !append.rows.is_empty() {
        batch.add_json(RowKind::Message, &append.rows);
    }
    batch.limit(user, append.messages.len(), append.max_messages);
    Ok(())
}

fn add_clearing(user: &UserId, tombstone: &Tombstone, batch: &mut Batch) -> Result<(), sqlx::Error> {
    batch.add(RowKind::Clearing, &(user.as_str(), &tombstone.id, tombstone.at_ms))
}

fn add_executions(folded: &FoldedChanges<'_>, batch: &mut Batch) -> Result<(), sqlx::Error> {
    for (id, execution) in &folded.executions {
        add_execution(id, execution, batch)?;
    }
    for task in &folded.tasks {
        let FoldedTask { execution, number, kind, at_ms, id, action, target, .. } = task;
        let FoldedTask { status, error, query, output, duration_ms, .. } = task;
        let row = (execution, number, kind, at_ms, id, action, target, status, error, query, output, duration_ms);
        batch.add(RowKind::Event, &row)?;
    }
    match folded.interrupted_ms {
        Some(before_ms) => batch.add(RowKind::Interruption, &(INTERRUPTED, before_ms)),
        None => Ok(()),
    }
}

/// The columns of an execution in the order of its statement.
#[derive(Serialize)]
struct ExecutionColumns<'a>(
    &'a str,
    &'a str,
    &'static str,
    &'a str,
    Option<&'a str>,
    Option<f64>,
    Option<&'a str>,
    Option<i64>,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a str>,
    i64,
    Option<i64>,
);

fn add_execution(id: &str, it: &FoldedExecution<'_>, batch: &mut Batch) -> Result<(), sqlx::Error> {
    let (status, metadata) = (it.status().as_str(), it.metadata());
    if let Some(begun) = it.begun {
        let (user, prompt) = (&begun.user_id, &begun.prompt);
        let row = ExecutionColumns(
            id,
            user,
            status,
            prompt,
            it.intent(),
            it.confidence(),
            it.plan(),
            it.planned_ms(),
            it.answer(),
            it.error(),
            metadata,
            begun.started_ms,
            it.finished_ms(),
        );
        batch.add(RowKind::Execution, &row)?;
    } else {
        if let (Some(intent), Some(confidence), Some(plan)) = (it.intent(), it.confidence(), it.plan()) {
            batch.add(RowKind::Plan, &(id, intent, confidence, plan, it.planned_ms()))?;
        }
        if let (Some(metadata), Some(finished_ms)) = (metadata, it.finished_ms()) {
            batch.add(RowKind::Finish, &(id, status, it.answer(), it.error(), metadata, finished_ms))?;
        }
    }
    match it.amended() {
        Some((error, metadata)) => batch.add(RowKind::Amendment, &(id, error, metadata)),
        None => Ok(()),
    }
}

use indexmap::IndexMap;
use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::embedded::{EmbeddedConversations, read_message};
use super::layout;
use super::redis::{CLEARED_MS, Changes};
use crate::kernel::{Error, UserId};
use crate::storage::outside::{Entry, Failure, Journal};
use crate::storage::redis::{Connection, PATIENT, call};
use crate::storage::sqlite::failed;

/// Conversations that are given back between two looks at the database.
const USERS: i64 = 200;
/// Steps of a conversation that are given back beside those that wait: Redis remembers more, and skips those that it has.
const STEPS: usize = 500;

/// How long a conversation lives on, and its summary.
struct Life {
    ttl_ms: i64,
    summary: Option<String>,
}

/// Carries out in Redis what waited in the journal, in one step for each user.
pub(in crate::storage) async fn bring_up_to_date(
    store: &EmbeddedConversations,
    connection: &Connection,
    entries: &[Entry],
) -> Result<(), Failure> {
    let mut users = IndexMap::<&str, Vec<&Entry>>::new();
    for entry in entries {
        users.entry(entry.owner.as_str()).or_default().push(entry);
    }
    for (owner, entries) in users {
        let Ok(user) = UserId::parse(owner) else { continue };
        let now_ms = store.clock.now_ms();
        let mut changes = Changes { now_ms, most: i64::MAX, ..Changes::default() };
        add_entries(&mut changes, &entries);
        match store.life(&user).await.map_err(Failure::Refused)? {
            Some(life) => changes.ttl_ms = life.ttl_ms,
            None => {
                // It was cleared or forgotten meanwhile. What is still under way from before must find itself done.
                changes.ttl_ms = CLEARED_MS;
                changes.operations.iter_mut().for_each(|(_, messages)| messages.clear());
            }
        }
        apply(connection, &user, &changes).await?;
    }
    Ok(())
}

/// Gives a Redis that has forgotten everything, or the last moments, what there is a copy of.
pub(in crate::storage) async fn restore(
    store: &EmbeddedConversations,
    journal: &Journal,
    connection: &Connection,
) -> Result<(), Failure> {
    let installation = store.database.installation().await.map_err(Failure::Refused)?;
    let mut last = String::new();
    loop {
        let users = store.live(&last).await.map_err(Failure::Refused)?;
        let Some((newest, _)) = users.last() else { return Ok(()) };
        last.clone_from(newest);
        for (owner, life) in users {
            let Ok(user) = UserId::parse(&owner) else { continue };
            let now_ms = store.clock.now_ms();
            let mut changes = Changes { now_ms, most: i64::MAX, ..Changes::default() };
            add_entries(&mut changes, &journal.of(&owner).await.map_err(Failure::Refused)?.iter().collect::<Vec<_>>());
            // The copy has what waits in the journal too. What it has no more was cleared or is beyond the limit: it counts
            // as done, since it must not be added after what is newer.
            let most = STEPS.saturating_add(changes.operations.len());
            let steps = store.steps(&user, &installation, most).await.map_err(Failure::Refused)?;
            changes.operations.retain(|(id, _)| !steps.contains_key(id));
            changes.operations.iter_mut().for_each(|(_, messages)| messages.clear());
            changes.operations.extend(steps.into_iter().rev());
            (changes.ttl_ms, changes.summary) = (life.ttl_ms, life.summary);
            apply(connection, &user, &changes).await?;
        }
    }
}

/// Operations of one user, in order. Those before a clearing are not carried out any more.
fn add_entries(changes: &mut Changes, entries: &[&Entry]) {
    let mut most = None;
    for entry in entries {
        let id = entry.body.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        if entry.body.get("clear").is_some() {
            let earlier = changes.cleared.replace(id);
            changes.operations.extend(earlier.map(|id| (id, Vec::new())));
            changes.operations.iter_mut().for_each(|(_, messages)| messages.clear());
            continue;
        }
        let messages = entry.body.get("messages").and_then(Value::as_array).into_iter().flatten();
        let messages = messages.filter_map(Value::as_str).map(str::to_owned).collect();
        changes.operations.push((id, messages));
        most = entry.body.get("most").and_then(Value::as_i64).or(most);
    }
    changes.most = most.unwrap_or(changes.most);
}

async fn apply(connection: &Connection, user: &UserId, changes: &Changes) -> Result<(), Failure> {
    let mut connection = connection.clone();
    match call(PATIENT, changes.invocation(user).invoke_async::<()>(&mut connection)).await {
        Err(Failure::Refused(error)) => {
            tracing::error!(%error, "turns of a conversation can't be written back and are given up");
            Ok(())
        }
        outcome => outcome,
    }
}

impl EmbeddedConversations {
    /// How long the copy of a conversation lives on.
    async fn life(&self, user: &UserId) -> Result<Option<Life>, Error> {
        let row = sqlx::query("SELECT expires_at, summary FROM conversation WHERE user_id = ?1 AND expires_at > ?2")
            .bind(user.as_str())
            .bind(self.clock.now_ms())
            .fetch_optional(self.database.read())
            .await
            .map_err(failed("could not read the copy of a conversation"))?;
        row.map(|row| self.read_life(&row)).transpose()
    }

    /// Conversations that are not forgotten, by user, from the one after `last` on.
    async fn live(&self, last: &str) -> Result<Vec<(String, Life)>, Error> {
        const WHAT: &str = "could not list the copies of conversations";
        let rows = sqlx::query(
            "SELECT user_id, expires_at, summary FROM conversation WHERE user_id > ?1 AND expires_at > ?2
             ORDER BY user_id LIMIT ?3",
        )
        .bind(last)
        .bind(self.clock.now_ms())
        .bind(USERS)
        .fetch_all(self.database.read())
        .await
        .map_err(failed(WHAT))?;
        let read = |row: &SqliteRow| Ok((row.try_get("user_id").map_err(failed(WHAT))?, self.read_life(row)?));
        rows.iter().map(read).collect()
    }

    fn read_life(&self, row: &SqliteRow) -> Result<Life, Error> {
        const WHAT: &str = "could not read the copy of a conversation";
        let expires_at: i64 = row.try_get("expires_at").map_err(failed(WHAT))?;
        let summary = row.try_get("summary").map_err(failed(WHAT))?;
        Ok(Life { ttl_ms: expires_at.saturating_sub(self.clock.now_ms()).max(1), summary })
    }

    /// The newest steps of a conversation, newest first, each with its messages as Redis holds them.
    async fn steps(
        &self,
        user: &UserId,
        installation: &str,
        most: usize,
    ) -> Result<IndexMap<String, Vec<String>>, Error> {
        const WHAT: &str = "could not read the copy of a conversation";
        let rows = sqlx::query(
            "SELECT id, operation, role, content, metadata, created_at FROM message WHERE user_id = ?1 ORDER BY id DESC",
        )
        .bind(user.as_str())
        .fetch_all(self.database.read())
        .await
        .map_err(failed(WHAT))?;
        let mut steps = IndexMap::<String, Vec<String>>::new();
        for row in &rows {
            let id: i64 = row.try_get("id").map_err(failed(WHAT))?;
            let operation: Option<String> = row.try_get("operation").map_err(failed(WHAT))?;
            // Messages from before this server knew Redis have no step.
            let operation = operation.unwrap_or_else(|| format!("{installation}/{id}"));
            if steps.len() == most && !steps.contains_key(&operation) {
                break;
            }
            let message = read_message(row).map_err(failed(WHAT))?;
            steps.entry(operation).or_default().push(layout::to_text(&message));
        }
        steps.values_mut().for_each(|messages| messages.reverse());
        Ok(steps)
    }
}

use std::collections::HashSet;

use futures_util::TryStreamExt;
use indexmap::IndexMap;
use serde_json::Value;
use sqlx::{Row, Sqlite, Transaction};

use super::codec;
use super::embedded::{EmbeddedConversations, read_message};
use super::redis::{ConversationUpdate, TOMBSTONE_TTL_MS, apply_all};
use crate::kernel::{Error, JsonReader, UserId};
use crate::storage::failover::{Failure, MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, Outbox, OutboxEntry};
use crate::storage::redis::RedisConnection;
use crate::storage::sqlite::failed;

/// Conversations that are looked at between two looks at the list of them.
const USERS_PER_PAGE: i64 = 200;
/// Bytes of one conversation that are given back in one step: meanwhile, Redis does nothing else.
const CHUNK_BYTES: usize = 100_000;
const WHAT: &str = "could not read the copy of a conversation";

/// How long a conversation lives on, and its summary.
struct CopyLifetime {
    ttl_ms: i64,
    summary: Option<String>,
}

/// Carries out in Redis what waited in the outbox, in one step for each user.
pub(in crate::storage) async fn replay(
    store: &EmbeddedConversations,
    connection: &RedisConnection,
    entries: &[OutboxEntry],
) -> Result<(), Failure> {
    let mut users = IndexMap::<&str, Vec<&OutboxEntry>>::new();
    for entry in entries {
        users.entry(entry.owner.as_str()).or_default().push(entry);
    }
    let mut all = Vec::new();
    for (owner, entries) in users {
        let Ok(user) = UserId::parse(owner) else { continue };
        let mut changes = changes(store);
        add_entries(&mut changes, &entries);
        let mut tx = snapshot(store).await.map_err(Failure::Rejected)?;
        match store.life(&mut tx, &user).await.map_err(Failure::Rejected)? {
            Some(life) => changes.ttl_ms = life.ttl_ms,
            None => {
                // It was cleared or forgotten meanwhile. What is still under way from before must find itself done.
                changes.operations.iter_mut().for_each(|(_, messages)| messages.clear());
            }
        }
        all.push((user, changes));
    }
    apply_all(connection, &all).await
}

/// Gives a Redis that has forgotten everything, or the last moments, what there is a copy of.
pub(in crate::storage) async fn restore(
    store: &EmbeddedConversations,
    outbox: &Outbox,
    connection: &RedisConnection,
) -> Result<(), Failure> {
    let installation = store.database.installation().await.map_err(Failure::Rejected)?;
    let mut last = String::new();
    let mut page = WriteBatch { connection, all: Vec::new(), bytes: 0 };
    loop {
        let users = store.known(&last).await.map_err(Failure::Rejected)?;
        let Some(newest) = users.last() else { return page.send().await };
        last.clone_from(newest);
        for owner in users {
            let Ok(user) = UserId::parse(&owner) else { continue };
            // One look at outbox and copy, whatever is said or cleared meanwhile.
            let mut tx = snapshot(store).await.map_err(Failure::Rejected)?;
            let mut first = store.first_changes(&mut tx, outbox, &user).await.map_err(Failure::Rejected)?;
            let life = store.life(&mut tx, &user).await.map_err(Failure::Rejected)?;
            let Some(CopyLifetime { ttl_ms, summary }) = life else {
                page.add(user, first).await?;
                continue;
            };
            first.ttl_ms = ttl_ms;
            page.add(user.clone(), first).await?;
            let mut after = 0;
            while let Some(chunk) =
                store.chunk(&mut tx, &user, &installation, &mut after).await.map_err(Failure::Rejected)?
            {
                let by_time = true;
                page.add(user.clone(), ConversationUpdate { ttl_ms, operations: chunk, by_time, ..changes(store) })
                    .await?;
            }
            page.add(user, ConversationUpdate { ttl_ms, summary, ..changes(store) }).await?;
        }
    }
}

/// What is sent together: enough to be quick, little enough for Redis to answer others in between.
struct WriteBatch<'a> {
    connection: &'a RedisConnection,
    all: Vec<(UserId, ConversationUpdate)>,
    bytes: usize,
}

impl WriteBatch<'_> {
    async fn add(&mut self, user: UserId, changes: ConversationUpdate) -> Result<(), Failure> {
        if changes.cleared.is_none() && changes.summary.is_none() && changes.operations.is_empty() {
            return Ok(());
        }
        self.bytes += changes.bytes();
        self.all.push((user, changes));
        if self.bytes >= MAX_PAGE_BYTES || self.all.len() >= MAX_PAGE_ENTRIES { self.send().await } else { Ok(()) }
    }

    async fn send(&mut self) -> Result<(), Failure> {
        self.bytes = 0;
        apply_all(self.connection, &std::mem::take(&mut self.all)).await
    }
}

/// Nothing to be done yet. How long it is remembered outlives the conversation.
fn changes(store: &EmbeddedConversations) -> ConversationUpdate {
    ConversationUpdate {
        now_ms: store.clock.now_ms(),
        ttl_ms: TOMBSTONE_TTL_MS,
        max_messages: i64::MAX,
        ..ConversationUpdate::default()
    }
}

/// Operations of one user, in order. Those before a clearing are not carried out any more.
fn add_entries(changes: &mut ConversationUpdate, entries: &[&OutboxEntry]) {
    let mut max_messages = None;
    for entry in entries {
        let body: Value = match JsonReader::stored().read(entry.body.as_bytes()) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(%error, "turns that have waited can't be read and are given up");
                continue;
            }
        };
        let id = body.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(cleared_ms) = body.get("cleared").and_then(Value::as_i64) {
            let earlier = changes.cleared.replace((id, Some(cleared_ms)));
            changes.operations.extend(earlier.map(|(id, _)| (id, Vec::new())));
            changes.operations.iter_mut().for_each(|(_, messages)| messages.clear());
            continue;
        }
        let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
        let messages = messages.filter_map(Value::as_str).map(str::to_owned).collect();
        changes.operations.push((id, messages));
        max_messages = body.get("most").and_then(Value::as_i64).or(max_messages);
    }
    changes.max_messages = max_messages.unwrap_or(changes.max_messages);
}

/// The copies as they are now, and stay.
async fn snapshot(store: &EmbeddedConversations) -> Result<Transaction<'static, Sqlite>, Error> {
    store.database.read().begin().await.map_err(failed(WHAT))
}

impl EmbeddedConversations {
    /// How long the copy of a conversation lives on.
    async fn life(&self, tx: &mut Transaction<'_, Sqlite>, user: &UserId) -> Result<Option<CopyLifetime>, Error> {
        let now_ms = self.clock.now_ms();
        let row = sqlx::query("SELECT expires_at, summary FROM conversation WHERE user_id = ?1 AND expires_at > ?2")
            .bind(user.as_str())
            .bind(now_ms)
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed(WHAT))?;
        let Some(row) = row else { return Ok(None) };
        let expires_at: i64 = row.try_get("expires_at").map_err(failed(WHAT))?;
        let summary = row.try_get("summary").map_err(failed(WHAT))?;
        Ok(Some(CopyLifetime { ttl_ms: expires_at.saturating_sub(now_ms).max(1), summary }))
    }

    /// Users whose conversation is copied here, or was cleared here, from the one after `last` on.
    async fn known(&self, last: &str) -> Result<Vec<String>, Error> {
        sqlx::query_scalar(
            "SELECT user_id FROM conversation WHERE user_id > ?1 AND expires_at > ?2
             UNION SELECT user_id FROM cleared WHERE user_id > ?1 ORDER BY user_id LIMIT ?3",
        )
        .bind(last)
        .bind(self.clock.now_ms())
        .bind(USERS_PER_PAGE)
        .fetch_all(self.database.read())
        .await
        .map_err(failed("could not list the copies of conversations"))
    }

    /// What comes before the copied turns: the last clearing, and what is not to be added any more. That is what waits and is
    /// no more in the copy, since it was cleared or is beyond the limit.
    async fn first_changes(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        outbox: &Outbox,
        user: &UserId,
    ) -> Result<ConversationUpdate, Error> {
        let mut changes = changes(self);
        add_entries(&mut changes, &outbox.of_owner(tx, user.as_str()).await?.iter().collect::<Vec<_>>());
        changes.max_messages = i64::MAX;
        let copied: Vec<String> =
            sqlx::query_scalar("SELECT DISTINCT operation FROM message WHERE user_id = ?1 AND operation IS NOT NULL")
                .bind(user.as_str())
                .fetch_all(&mut **tx)
                .await
                .map_err(failed(WHAT))?;
        let copied: HashSet<String> = copied.into_iter().collect();
        changes.operations.retain(|(id, _)| !copied.contains(id));
        changes.operations.iter_mut().for_each(|(_, messages)| messages.clear());
        let cleared: Option<(String, i64)> =
            sqlx::query_as("SELECT operation, cleared_at FROM cleared WHERE user_id = ?1")
                .bind(user.as_str())
                .fetch_optional(&mut **tx)
                .await
                .map_err(failed(WHAT))?;
        changes.cleared = cleared.map(|(id, cleared_ms)| (id, Some(cleared_ms)));
        Ok(changes)
    }

    /// The next steps of a conversation, oldest first, each with its messages as Redis holds them; moves `after` on.
    async fn chunk(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        user: &UserId,
        installation: &str,
        after: &mut i64,
    ) -> Result<Option<Vec<(String, Vec<String>)>>, Error> {
        let mut rows = sqlx::query(
            "SELECT id, operation, role, content, metadata, created_at FROM message
             WHERE user_id = ?1 AND id > ?2 ORDER BY id",
        )
        .bind(user.as_str())
        .bind(*after)
        .fetch(&mut **tx);
        let mut steps: Vec<(String, Vec<String>)> = Vec::new();
        let mut bytes = 0;
        while let Some(row) = rows.try_next().await.map_err(failed(WHAT))? {
            let id: i64 = row.try_get("id").map_err(failed(WHAT))?;
            let operation: Option<String> = row.try_get("operation").map_err(failed(WHAT))?;
            // Messages from before this server knew Redis have no step.
            let operation = operation.unwrap_or_else(|| format!("{installation}/{id}"));
            let message = codec::to_text(&read_message(&row).map_err(failed(WHAT))?);
            match steps.last_mut() {
                Some((step, messages)) if *step == operation => {
                    bytes += message.len();
                    messages.push(message);
                }
                // A step is never divided.
                _ if bytes >= CHUNK_BYTES => break,
                _ => {
                    bytes += message.len();
                    steps.push((operation, vec![message]));
                }
            }
            *after = id;
        }
        Ok((!steps.is_empty()).then_some(steps))
    }
}

//! Conversations from before Postgres was used: of this server, and of Redis.

use ::redis::pipe;

use super::durable_conversations::DurableConversations;
use super::postgres::{self, Addition};
use super::redis_window::window_key;
use super::stored_message::StoredMessage;
use crate::kernel::{Error, UserId};
use crate::storage::conversation::embedded::EmbeddedConversations;
use crate::storage::conversation::outbox_owner::{OWNER_PREFIX, outbox_owner};
use crate::storage::conversation::script::{messages_key, summary_key};
use crate::storage::conversation::types::QueuedStep;
use crate::storage::failover::{Failure, timeout_for};
use crate::storage::postgres::{BACKGROUND_TIMEOUT, PostgresConnection, call};
use crate::storage::redis::{self, REQUEST_TIMEOUT, RUN_ID, RedisConnection};
use crate::storage::sqlite::{failed, int};

/// The fact that says where conversations are.
const PLACE: &str = "conversations";
/// They are in Postgres, or wait for it.
const IN_POSTGRES: &str = "postgres";
/// The same, and what the embedded database has are copies of what Redis had before.
const WITH_COPIES: &str = "postgres, copies of Redis";
/// The key that says that Postgres has what Redis had.
const ADOPTED_KEY: &str = "conversations_adopted";
/// The step that adds what Redis had.
const ADOPTED_STEP: &str = "adopted";
/// Keys that Redis looks at in one step.
const KEYS_PER_STEP: usize = 100;
/// How long a conversation lives on that had no end.
const ENDLESS_MS: i64 = 30 * 86_400_000;
const MOVING: &str = "could not put the conversations into the outbox";

impl EmbeddedConversations {
    /// Settles where conversations are from now on. What this server has from before Postgres was used is put into its outbox, once; what it
    /// has of Redis are copies, and Redis gives it.
    pub(in crate::storage) async fn settle_place(&self, has_postgres: bool) -> Result<(), Error> {
        if !has_postgres {
            return self.database.set_meta(PLACE, None).await;
        }
        if self.database.meta(PLACE).await?.is_some() {
            return Ok(());
        }
        let are_copies = self.database.meta(RUN_ID).await?.is_some();
        if !are_copies {
            self.queue_all().await?;
        }
        sqlx::query("UPDATE outbox SET service = 'postgres', owner = ?1 || owner WHERE service = 'redis'")
            .bind(OWNER_PREFIX)
            .execute(self.database.writer())
            .await
            .map_err(failed(MOVING))?;
        self.database.set_meta(PLACE, Some(if are_copies { WITH_COPIES } else { IN_POSTGRES })).await
    }

    async fn queue_all(&self) -> Result<(), Error> {
        let (installation, mut last) = (self.database.installation().await?, String::new());
        loop {
            let users = self.users_after(&last).await?;
            let Some(newest) = users.last() else { return Ok(()) };
            last.clone_from(newest);
            for user in users.iter().filter_map(|user| UserId::parse(user).ok()) {
                self.queue_conversation(&user, &installation).await?;
            }
        }
    }

    async fn queue_conversation(&self, user: &UserId, installation: &str) -> Result<(), Error> {
        let mut copy = self.copy(user).await?;
        let Some(lifetime) = copy.lifetime().await? else { return Ok(()) };
        let ends_ms = Some(self.clock.now_ms().saturating_add(lifetime.ttl_ms));
        let (mut after, mut summary) = (0, lifetime.summary);
        loop {
            let steps = copy.chunk(installation, &mut after).await?;
            if steps.is_empty() {
                return Ok(());
            }
            let mut tx = self.database.write().await.map_err(failed(MOVING))?;
            for (id, messages) in steps {
                let summary = summary.take();
                let step = QueuedStep::Append { id, messages, max_messages: i64::MAX, ends_ms, summary };
                let body = serde_json::to_string(&step).map_err(|error| Error::internal(MOVING, error))?;
                let queueing = "INSERT INTO outbox (service, owner, bytes, body) VALUES ('postgres', ?1, ?2, ?3)";
                let queueing =
                    sqlx::query(queueing).bind(outbox_owner("postgres", user)).bind(int(body.len())).bind(body);
                queueing.execute(&mut *tx).await.map_err(failed(MOVING))?;
            }
            tx.commit().await.map_err(failed(MOVING))?;
        }
    }

    /// Deletes the copies of what Redis had, unless something of a conversation waits.
    async fn forget_copies(&self) -> Result<(), Error> {
        if self.database.meta(PLACE).await?.as_deref() != Some(WITH_COPIES) {
            return Ok(());
        }
        let deleting = "DELETE FROM conversation WHERE NOT EXISTS
            (SELECT 1 FROM outbox WHERE service = 'postgres' AND owner = ?1 || conversation.user_id)";
        let deleting = sqlx::query(deleting).bind(OWNER_PREFIX).execute(self.database.writer());
        deleting.await.map_err(failed("could not remove copies of conversations"))?;
        self.database.set_meta(PLACE, Some(IN_POSTGRES)).await
    }
}

/// Gives Postgres what Redis has from before Postgres was used, once for each Redis.
pub(super) async fn adopt(
    store: &DurableConversations,
    connection: &RedisConnection,
    postgres: &PostgresConnection,
) -> Result<(), Failure> {
    let mut asking = connection.clone();
    let known = ::redis::cmd("EXISTS").arg(ADOPTED_KEY).to_owned();
    if redis::call(REQUEST_TIMEOUT, known.query_async::<bool>(&mut asking)).await? {
        return Ok(store.embedded.forget_copies().await?);
    }
    let (mut cursor, mut adopted) = (0_u64, 0);
    loop {
        let mut scan = ::redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(messages_key("*")).arg("COUNT").arg(KEYS_PER_STEP);
        let scanning = scan.query_async::<(u64, Vec<Vec<u8>>)>(&mut asking);
        let (next, keys) = redis::call(redis::BACKGROUND_TIMEOUT, scanning).await?;
        for user in keys.iter().filter_map(|key| user_of(key)) {
            match adopt_conversation(store.embedded.clock.now_ms(), &user, &mut asking, postgres).await {
                Ok(()) => adopted += 1,
                Err(Failure::Rejected(error)) => tracing::warn!(%error, "a conversation in Redis can't be taken over"),
                Err(failure) => return Err(failure),
            }
        }
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    redis::call(REQUEST_TIMEOUT, ::redis::cmd("SET").arg(ADOPTED_KEY).arg(1).query_async::<()>(&mut asking)).await?;
    tracing::info!(conversations = adopted, "Postgres has the conversations of Redis now");
    Ok(store.embedded.forget_copies().await?)
}

fn user_of(key: &[u8]) -> Option<UserId> {
    UserId::parse(std::str::from_utf8(key).ok()?.strip_prefix(&messages_key(""))?).ok()
}

/// Adds what Redis has of one conversation to what Postgres has. A window of Postgres is left alone.
async fn adopt_conversation(
    now_ms: i64,
    user: &UserId,
    connection: &mut RedisConnection,
    postgres: &PostgresConnection,
) -> Result<(), Failure> {
    let mut reading = pipe();
    reading.lrange(messages_key(user), 0, -1).get(summary_key(user)).pttl(messages_key(user));
    reading.exists(window_key(user.as_str()));
    let reading = reading.query_async::<(Vec<Vec<u8>>, Option<Vec<u8>>, i64, bool)>(connection);
    let (texts, summary, ttl_ms, is_window) = redis::call(redis::BACKGROUND_TIMEOUT, reading).await?;
    if is_window || texts.is_empty() {
        return Ok(());
    }
    let mut last_at = i64::MIN;
    let messages: Vec<StoredMessage> = texts
        .iter()
        .rev()
        .map(|text| {
            let message = StoredMessage::read(String::from_utf8_lossy(text).into_owned());
            // Their order is that of the list, whatever their times.
            last_at = last_at.max(message.at);
            StoredMessage { at: last_at, ..message }
        })
        .collect();
    let addition = Addition {
        user: user.as_str(),
        step: ADOPTED_STEP,
        messages: &messages,
        now_ms,
        ends_ms: now_ms.saturating_add(if ttl_ms > 0 { ttl_ms } else { ENDLESS_MS }),
        max_messages: i64::MAX,
        is_late: true,
        is_stale: false,
    };
    let limit = timeout_for(BACKGROUND_TIMEOUT, texts.iter().map(Vec::len).sum());
    call(limit, postgres::append(&postgres.pool, &addition)).await?;
    let summary = summary.map(|summary| String::from_utf8_lossy(&summary).into_owned());
    match summary.filter(|summary| !summary.is_empty()) {
        Some(summary) => call(limit, postgres::set_summary(&postgres.pool, user.as_str(), &summary)).await,
        None => Ok(()),
    }
}

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;

use super::durable_conversations::DurableConversations;
use super::postgres::{self, Addition, Appended};
use super::postgres_upkeep;
use super::redis_window::{RedisWindows, not_in_redis, oldest_first};
use super::stored_message::StoredMessage;
use crate::kernel::{Error, ErrorKind, UserId};
use crate::storage::conversation::types::{
    AppendBatch, Conversation, Excess, Extent, HistoryCursor, HistoryPage, MessageIdentity, Tombstone,
};
use crate::storage::conversation::window::Window;
use crate::storage::failover::{Failure, try_remote, write};
use crate::storage::postgres::{PostgresConnection, WorkClaim};

/// Users that are listed in one go.
const USERS_PER_PAGE: i64 = 1000;
/// Pause after that, for those who wait.
const PAGE_PAUSE: Duration = Duration::from_millis(5);
/// How long a model may take for a summary before another server may ask it.
const SUMMARY_TIME: Duration = Duration::from_secs(300);

/// What came of adding messages.
struct Added {
    held: usize,
    /// What the conversation has become in Postgres, if that has it.
    in_postgres: Option<Appended>,
}

impl DurableConversations {
    /// Adds messages in one step; returns how many the conversation holds.
    pub(in crate::storage::conversation) async fn append(
        &self,
        user: &UserId,
        batch: &AppendBatch<'_>,
    ) -> Result<usize, Error> {
        let messages: &[_] = &batch.messages.iter().map(|it| StoredMessage::new(it)).collect::<Vec<_>>();
        let now_ms = self.embedded.clock.now_ms();
        let addition = &Addition {
            user: user.as_str(),
            step: &batch.id,
            messages,
            now_ms,
            ends_ms: now_ms.saturating_add(batch.ttl_ms),
            max_messages: batch.max_messages,
            is_late: false,
            is_stale: self.is_window_unknown(),
        };
        let operation = |connection| async move {
            let appended = postgres::append_now(connection, addition).await?;
            Ok(Added { held: appended.held, in_postgres: Some(appended) })
        };
        let stand_in = |ticket| async move {
            let held = self.append_without_postgres(user, batch, ticket).await?;
            Ok(Added { held, in_postgres: None })
        };
        let added = write(Some(&self.postgres), operation, stand_in).await?;
        if addition.is_stale {
            self.trust.wake();
        } else if let Some(appended) = added.in_postgres {
            self.tell_window(user, messages, appended, batch.ttl_ms).await;
        }
        Ok(added.held)
    }

    /// Some of a conversation, newest first, and the summary.
    pub(in crate::storage::conversation) async fn read(
        &self,
        user: &UserId,
        extent: Extent,
    ) -> Result<Conversation, Error> {
        if let Some(found) = self.read_window(user, extent).await {
            return Ok(found);
        }
        let reading = |connection| self.read_postgres(connection, user, extent);
        match try_remote(Some(&self.postgres), reading).await? {
            Some(found) if found != Conversation::default() || self.is_complete() => Ok(found),
            _ => self.read_without_postgres(user, extent).await,
        }
    }

    /// Some of all that was said, newest first, what is archived included. While Postgres is away: what is part of the conversation.
    pub(in crate::storage::conversation) async fn history(
        &self,
        user: &UserId,
        limit: usize,
        before: Option<HistoryCursor>,
    ) -> Result<HistoryPage, Error> {
        let now_ms = self.embedded.clock.now_ms();
        let reading = |connection| postgres::history(connection, user, limit, before, now_ms);
        let Some(page) = try_remote(Some(&self.postgres), reading).await? else {
            let away = "Postgres is away, which has the archive; please try again later";
            return Err(Error::new(ErrorKind::NotConfigured, away));
        };
        Ok(page)
    }

    /// Forgets these conversations: messages, archive and summary.
    pub(in crate::storage::conversation) async fn clear(
        &self,
        users: &[UserId],
        tombstone: &Tombstone,
    ) -> Result<(), Error> {
        let is_stale = self.is_window_unknown();
        let names: &[&str] = &users.iter().map(UserId::as_str).collect::<Vec<_>>();
        let operation =
            |connection| async move { postgres::clear_now(connection, names, tombstone, is_stale).await.map(Some) };
        let stand_in = |ticket| async move {
            self.clear_without_postgres(users, tombstone, ticket).await?;
            Ok(None)
        };
        let cleared = write(Some(&self.postgres), operation, stand_in).await?;
        if is_stale {
            self.trust.wake();
        } else if let Some(versions) = cleared {
            self.drop_windows(&versions).await;
        }
        Ok(())
    }

    /// The messages beyond the newest `keep` but for system messages, oldest first. None while Postgres is away.
    pub(in crate::storage::conversation) async fn excess(
        &self,
        user: &UserId,
        keep: usize,
        max_messages: usize,
    ) -> Result<Option<Excess>, Error> {
        let now_ms = self.embedded.clock.now_ms();
        let reading = |connection| postgres::excess(connection, user, keep, max_messages, now_ms);
        Ok(try_remote(Some(&self.postgres), reading).await?.flatten())
    }

    /// The claim on the summary of a conversation; `None` if another server has it, or Postgres is away.
    pub(in crate::storage::conversation) async fn claim_summary(
        &self,
        user: &UserId,
    ) -> Result<Option<WorkClaim>, Error> {
        let name = format!("summary of {user}");
        let claiming = async |connection| WorkClaim::take(&connection, &name, SUMMARY_TIME).await;
        Ok(try_remote(Some(&self.postgres), claiming).await?.flatten())
    }

    /// Puts `summary` in the place of the oldest `count` messages of the excess; returns whether they were still there.
    pub(in crate::storage::conversation) async fn summarize(
        &self,
        user: &UserId,
        excess: &Excess,
        count: usize,
        summary: &str,
    ) -> Result<bool, Error> {
        let MessageIdentity::Rows(positions) = &excess.identity else { return Ok(false) };
        let positions = positions.get(..count.min(positions.len())).unwrap_or_default();
        let now_ms = self.embedded.clock.now_ms();
        let summarizing = |connection| postgres::summarize(connection, user, positions, summary, now_ms);
        let Some(version) = try_remote(Some(&self.postgres), summarizing).await?.flatten() else { return Ok(false) };
        self.drop_windows(&[(user.to_string(), version)]).await;
        Ok(true)
    }

    /// How many conversations there are; `None` while Postgres is away.
    pub(in crate::storage::conversation) async fn count(&self) -> Result<Option<usize>, Error> {
        let now_ms = self.embedded.clock.now_ms();
        let counting = |connection| postgres_upkeep::count(connection, now_ms);
        let count = try_remote(Some(&self.postgres), counting).await?;
        Ok(count.map(|count| usize::try_from(count).unwrap_or_default()))
    }

    /// The users of at most `limit` conversations; `None` while Postgres is away.
    pub(in crate::storage::conversation) async fn users(
        &self,
        limit: usize,
    ) -> Result<Option<BTreeSet<String>>, Error> {
        let now_ms = self.embedded.clock.now_ms();
        let (mut users, mut last) = (BTreeSet::new(), String::new());
        while users.len() < limit {
            let reading =
                async |connection| postgres_upkeep::versions_after(&connection, &last, USERS_PER_PAGE, now_ms).await;
            let Some(page) = try_remote(Some(&self.postgres), reading).await? else { return Ok(None) };
            let Some((newest, _)) = page.last() else { break };
            last.clone_from(newest);
            users.extend(page.into_iter().map(|(user, _)| user));
            sleep(PAGE_PAUSE).await;
        }
        Ok(Some(users))
    }

    /// Deletes what has ended from Postgres.
    pub(in crate::storage::conversation) async fn purge(&self, connection: &PostgresConnection) {
        // Deleting may take its time; that says nothing of how Postgres serves others.
        if let Err(failure) = postgres_upkeep::purge(connection, self.embedded.clock.now_ms()).await {
            let error = failure.to_string();
            tracing::warn!(error, "ended conversations could not be deleted from Postgres; the next round tries");
        }
    }

    /// What Postgres has, which becomes the window in Redis.
    async fn read_postgres(
        &self,
        connection: PostgresConnection,
        user: &UserId,
        extent: Extent,
    ) -> Result<Conversation, Failure> {
        let now_ms = self.embedded.clock.now_ms();
        let Some(run) = self.trusted() else { return postgres::read(&connection, user, extent, now_ms).await };
        let Some(stored) = postgres::whole(&connection, user, now_ms).await? else {
            return Ok(Conversation::default());
        };
        let Some(bodies) = &stored.bodies else { return postgres::read(&connection, user, extent, now_ms).await };
        let ttl_ms = stored.expires_ms.saturating_sub(now_ms);
        let (oldest_first, summary) = (oldest_first(&stored), stored.summary.as_deref());
        let filling = |connection| {
            RedisWindows { connection, run: &run }.fill(user, (stored.version, summary), oldest_first, ttl_ms)
        };
        try_remote(self.redis.as_ref(), filling).await.inspect_err(not_in_redis).ok();
        let mut messages = postgres::messages(bodies);
        Ok(match extent {
            Extent::Messages(limit) => {
                messages.truncate(limit);
                Conversation { summary: stored.summary, messages }
            }
            Extent::Characters(characters) => {
                let messages = messages.into_iter().rev().collect();
                let window = Window { summary: stored.summary, messages, missing: 0, expires_at: stored.expires_ms };
                window.newest(characters, now_ms).unwrap_or_default()
            }
        })
    }
}

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::adoption::adopt;
use super::durable_conversations::DurableConversations;
use super::postgres_upkeep::{flagged_windows, unflag_windows, versions_after};
use super::redis_window::RedisWindows;
use super::window_trust::SeenRun;
use crate::storage::failover::{Failover, Failure};
use crate::storage::postgres::PostgresConnection;
use crate::storage::redis::RedisConnection;

/// How often it is looked whether another server has left windows that are out of date.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long the start waits for a first round.
const START_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// Windows that are dropped in one go.
const PAGE: i64 = 200;

/// Drops the windows in Redis that are flagged as out of date, after which Redis is trusted. Never ends.
pub(in crate::storage) async fn keep_windows(store: DurableConversations) {
    loop {
        if let Err(failure) = store.refresh_windows().await {
            tracing::debug!(
                error = failure.to_string(),
                "windows of conversations could not be dropped; the next round tries"
            );
            sleep(RETRY).await;
        }
        timeout(INTERVAL, store.trust.woken()).await.ok();
    }
}

impl DurableConversations {
    /// A first round before the first request, if it does not take long; `keep_windows` goes on with it.
    pub(in crate::storage) async fn refresh_at_start(&self) {
        match timeout(START_TIMEOUT, self.refresh_windows()).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => {
                let error = failure.to_string();
                tracing::warn!(error, "conversations are read from Postgres until Redis can be used");
            }
            Err(_) => tracing::info!("Postgres still takes over the conversations of Redis"),
        }
    }

    /// Takes in what Redis has from before Postgres was used, and drops what is flagged. Does nothing while one of them is away.
    pub(in crate::storage) async fn refresh_windows(&self) -> Result<(), Failure> {
        let seen = self.trust.seen();
        let redis = self.redis.as_ref().and_then(Failover::connection);
        let (Some(redis), Some(postgres)) = (redis, self.postgres.connection()) else { return Ok(()) };
        adopt(self, &redis, &postgres).await?;
        self.trust.adopted();
        if self.trust.is_doubtful(&seen) {
            self.drop_all_older(&seen, &redis, &postgres).await?;
        }
        loop {
            let flagged = flagged_windows(&postgres, PAGE).await?;
            if !flagged.is_empty() {
                RedisWindows { connection: redis.clone(), run: &seen.name }.drop_older(&flagged).await?;
                unflag_windows(&postgres, &flagged).await?;
            }
            if flagged.len() < usize::try_from(PAGE).unwrap_or_default() {
                break;
            }
        }
        self.trust.trust(&seen);
        Ok(())
    }

    /// Compares every window with what Postgres has.
    async fn drop_all_older(
        &self,
        seen: &SeenRun,
        redis: &RedisConnection,
        postgres: &PostgresConnection,
    ) -> Result<(), Failure> {
        let (mut last, now_ms) = (String::new(), self.embedded.clock.now_ms());
        loop {
            let page = versions_after(postgres, &last, PAGE, now_ms).await?;
            let Some((newest, _)) = page.last() else { return Ok(()) };
            last.clone_from(newest);
            RedisWindows { connection: redis.clone(), run: &seen.name }.drop_older(&page).await?;
        }
    }
}

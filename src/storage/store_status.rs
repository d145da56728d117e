use std::time::Duration;

use super::failover::{BackendStatus, Failover};
use super::pool::PoolStatus;
use super::redis;
use super::stores::Stores;
use crate::kernel::Error;

impl Stores {
    /// How Redis is doing; None if there is none. Costs nothing.
    pub fn redis(&self) -> Option<BackendStatus> {
        self.redis.as_ref().map(Failover::status)
    }

    /// A round trip to Redis, and how long it took; or why there was none.
    pub async fn ping_redis(&self) -> Result<Duration, String> {
        self.redis.as_ref().ok_or("Redis is not configured")?.ping().await
    }

    /// How much memory Redis uses, in its own words; `None` if there is no Redis, or it does not say.
    pub async fn redis_memory(&self) -> Option<String> {
        redis::used_memory(&self.redis.as_ref().and_then(Failover::connection)?).await
    }

    /// How Postgres is doing; None if there is none. Costs nothing.
    pub fn postgres(&self) -> Option<BackendStatus> {
        self.postgres.as_ref().map(Failover::status)
    }

    /// A round trip to Postgres, and how long it took; or why there was none.
    pub async fn ping_postgres(&self) -> Result<Duration, String> {
        self.postgres.as_ref().ok_or("Postgres is not configured")?.ping().await
    }

    /// How the pools of connections are used. Costs nothing.
    pub fn pools(&self) -> Vec<PoolStatus> {
        let postgres = self.postgres.as_ref().and_then(Failover::connection);
        let postgres = postgres.map(|connection| PoolStatus::of("postgres", &connection.pool));
        self.database.pools().into_iter().chain(postgres).collect()
    }

    /// What the embedded store stands in for at the moment, as sentences.
    pub fn degraded(&self) -> Vec<String> {
        let without_redis = if self.postgres().is_some_and(|status| status.connected) {
            "Redis is away; conversations are read from Postgres until it returns"
        } else {
            "Redis is away; conversations are kept in the embedded store until it returns"
        };
        let services = [
            (self.redis(), without_redis),
            (
                self.postgres(),
                "Postgres is away; executions, turns, conversations of the chat page and audit records are kept in the embedded store until it returns, and neither API keys nor the configuration can be changed",
            ),
        ];
        let away = services.into_iter().filter(|(status, _)| status.as_ref().is_some_and(|status| !status.connected));
        away.map(|(_, sentence)| sentence.to_owned()).collect()
    }

    /// Whether the embedded store answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.database.ping().await
    }
}

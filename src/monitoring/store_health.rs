use std::time::Duration;

use crate::kernel::{Secret, SecretUrl};
use crate::settings::Settings;
use crate::storage::{BackendStatus, Stores};

/// How the stores outside this process are; `None` if one is not configured.
#[derive(Clone, Debug)]
pub(super) struct StoreChecks {
    pub(super) redis: Option<StoreCheck>,
    pub(super) postgres: Option<StoreCheck>,
}

/// How a store is that is configured.
#[derive(Clone, Debug)]
pub(super) struct StoreCheck {
    /// Where it is, without credentials.
    pub(super) url: String,
    /// How long it took to answer; or why it is not in use, and the embedded store stands in for it.
    pub(super) answer: Result<Duration, String>,
    /// Since when it is in use or not, and what waits for it.
    pub(super) status: BackendStatus,
}

impl StoreChecks {
    /// A round trip to each.
    pub(super) async fn of(stores: &Stores, settings: &Settings) -> Self {
        let (redis, postgres) = tokio::join!(stores.ping_redis(), stores.ping_postgres());
        let check = |url: Option<&Secret>, status: Option<BackendStatus>, answer| {
            let url = SecretUrl::new(url?.expose()).location().unwrap_or_default();
            Some(StoreCheck { url, answer, status: status? })
        };
        Self {
            redis: check(settings.storage.redis_url.as_ref(), stores.redis(), redis),
            postgres: check(settings.storage.postgres_dsn.as_ref(), stores.postgres(), postgres),
        }
    }

    /// Whether all that are configured answer.
    pub(super) fn are_healthy(&self) -> bool {
        [&self.redis, &self.postgres].into_iter().flatten().all(|check| check.answer.is_ok())
    }
}

impl StoreCheck {
    pub(super) fn latency_ms(&self) -> Option<f64> {
        self.answer.as_ref().ok().map(|took| took.as_secs_f64() * 1000.0)
    }

    pub(super) fn error(&self) -> Option<String> {
        self.answer.as_ref().err().cloned()
    }
}

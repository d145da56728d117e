use std::time::Duration;

use crate::kernel::Secret;
use crate::settings::Settings;
use crate::storage::{BackendStatus, Stores};

/// How a store outside this process is.
#[derive(Clone, Debug)]
pub(super) struct ExternalStore {
    /// What is known if it is configured.
    pub(super) found: Option<StoreCheck>,
}

/// What is known about a store that is configured.
#[derive(Clone, Debug)]
pub(super) struct StoreCheck {
    /// Where it is, without credentials.
    pub(super) url: String,
    /// How long it took to answer; or why it is not in use, and the embedded store stands in for it.
    pub(super) answer: Result<Duration, String>,
    /// Since when it is in use or not, and what waits for it.
    pub(super) status: BackendStatus,
}

impl ExternalStore {
    /// Whether all is as it should be: it answers, or is not configured.
    pub(super) fn is_well(&self) -> bool {
        self.found.as_ref().is_none_or(|found| found.answer.is_ok())
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

/// A round trip to Redis and to Postgres.
pub(super) async fn check_stores(stores: &Stores, settings: &Settings) -> [ExternalStore; 2] {
    let (redis, postgres) = tokio::join!(stores.ping_redis(), stores.ping_postgres());
    let storage = &settings.storage;
    let found = |url: Option<&Secret>, status: Option<BackendStatus>, answer| {
        Some(StoreCheck { url: without_credentials(url?), answer, status: status? })
    };
    [
        ExternalStore { found: found(storage.redis_url.as_ref(), stores.redis(), redis) },
        ExternalStore { found: found(storage.postgres_dsn.as_ref(), stores.postgres(), postgres) },
    ]
}

/// An address without user, password and parameters: the latter may be credentials too.
fn without_credentials(url: &Secret) -> String {
    let Ok(parsed) = url::Url::parse(url.expose()) else { return String::new() };
    let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", parsed.scheme(), parsed.host_str().unwrap_or_default(), parsed.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_credentials() {
        let cases = [
            ("redis://:pw@cache:6379/0", "redis://cache:6379/0"),
            ("postgres://u:p%40w@db/x?password=y#z", "postgres://db/x"),
            ("rediss://user@[::1]:7", "rediss://[::1]:7"),
        ];
        for (url, expected) in cases {
            assert_eq!(without_credentials(&Secret::new(url)), expected);
        }
    }
}

//! What every store must do, told once and run against each backend: always the embedded one, and Redis and Postgres where
//! `TEST_REDIS_URL` and `TEST_POSTGRES_URL` lead to a server. `ORCHESTRATOR_TESTS=required` makes a missing one a failure.

mod audit;
mod bulk;
mod conversations;
mod durable_conversations;
mod event_log;
mod events;
mod executions;
mod group_commit;
mod identity;
mod key_places;
mod limits;
mod no_room;
mod outbox;
mod pool_exhaustion;
mod restore;
mod schema;
mod server_leases;
mod transcripts;

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;

use super::Stores;
use super::failover::Failover;
use super::postgres::PostgresConnection;
use crate::kernel::{Clock, Secret, UserId, new_id};
use crate::settings::{Keyring, StorageSettings};

/// Stores of the test's own, and what they stand on.
pub(super) struct TestStores {
    pub(super) stores: Stores,
    pub(super) clock: Clock,
    /// A user that no other test has.
    pub(super) user: UserId,
    /// Where its Postgres is.
    pub(super) dsn: Option<Secret>,
    _folder: TempDir,
}

impl TestStores {
    async fn open(redis_url: Option<Secret>, postgres_dsn: Option<Secret>, clock: Clock) -> Self {
        let folder = TempDir::new().unwrap();
        let dsn = postgres_dsn.clone();
        let stores = Stores::open(&settings(&folder, redis_url, postgres_dsn), clock.clone()).await.unwrap();
        let status = stores.redis().into_iter().chain(stores.postgres());
        assert!(status.into_iter().all(|status| status.connected), "{stores:?}");
        Self { stores, clock, user: UserId::parse(&new_id()).unwrap(), dsn, _folder: folder }
    }

    /// The connection to its Postgres.
    pub(super) fn postgres_connection(&self) -> Option<PostgresConnection> {
        self.stores.postgres.as_ref().and_then(Failover::connection)
    }

    /// No other store has stood in for the one that was to be tested.
    pub(super) fn assert_no_fallback(&self) {
        let status = self.stores.redis().into_iter().chain(self.stores.postgres());
        assert!(status.into_iter().all(|status| status.connected && status.failures == 0), "{:?}", self.stores);
    }

    pub(super) async fn embedded() -> Option<Self> {
        Some(Self::open(None, None, Clock::system()).await)
    }

    pub(super) async fn redis() -> Option<Self> {
        Some(Self::open(Some(url("TEST_REDIS_URL")?), None, Clock::system()).await)
    }

    /// A database of that Redis whose conversations are no other test's.
    pub(super) async fn redis_alone() -> Option<Self> {
        Some(Self::open(Some(redis_database(7)?), None, Clock::system()).await)
    }

    /// Redis and Postgres. That database of Redis is for those that have a Postgres of their own too.
    pub(super) async fn redis_and_postgres() -> Option<Self> {
        Some(Self::open(Some(redis_database(8)?), Some(new_database().await?), Clock::system()).await)
    }

    pub(super) async fn postgres() -> Option<Self> {
        Self::postgres_by(Clock::system()).await
    }

    pub(super) async fn postgres_by(clock: Clock) -> Option<Self> {
        Some(Self::open(None, Some(new_database().await?), clock).await)
    }
}

pub(super) fn settings(folder: &TempDir, redis_url: Option<Secret>, postgres_dsn: Option<Secret>) -> StorageSettings {
    StorageSettings {
        data_dir: folder.path().to_owned(),
        execution_retention: Duration::from_secs(86_400),
        execution_max_rows: 1000,
        audit_retention: None,
        config_max_revisions: 1000,
        redis_url,
        postgres_dsn,
        keyring: Keyring::default(),
    }
}

/// One of the databases of that Redis.
pub(super) fn redis_database(number: u8) -> Option<Secret> {
    let mut url = url::Url::parse(url("TEST_REDIS_URL")?.expose()).unwrap();
    url.set_path(&format!("/{number}"));
    Some(Secret::new(String::from(url)))
}

/// An empty database of the test's own.
pub(super) async fn new_database() -> Option<Secret> {
    let server = url("TEST_POSTGRES_URL")?;
    let name = format!("studio_{}", new_id().replace('-', ""));
    let mut connection = PgConnection::connect(server.expose()).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    let mut url = url::Url::parse(server.expose()).unwrap();
    url.set_path(&name);
    Some(Secret::new(String::from(url)))
}

#[expect(clippy::disallowed_methods, reason = "where the test servers are")]
fn url(variable: &str) -> Option<Secret> {
    let url = std::env::var(variable).ok();
    let required = std::env::var("ORCHESTRATOR_TESTS").is_ok_and(|value| value == "required");
    assert!(url.is_some() || !required, "{variable} is not set: tests/databases starts the servers");
    url.map(Secret::new)
}

/// One test per story and backend.
macro_rules! stories {
    ($backend:ident: $($story:ident),+ $(,)?) => {
        mod $backend {
            $(#[tokio::test]
            async fn $story() {
                if let Some(bench) = crate::storage::conformance::TestStores::$backend().await {
                    super::$story(&bench).await;
                    bench.assert_no_fallback();
                }
            })+
        }
    };
}
pub(super) use stories;

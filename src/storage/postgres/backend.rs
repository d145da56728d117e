use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{Connection as _, Executor};
use tokio::time::{Instant, timeout};

use super::connection::{PostgresConnection, REQUEST_TIMEOUT, call};
use crate::kernel::{Error, Redaction, Secret, SecretUrl};
use crate::storage::execution::{self, EmbeddedExecutions};
use crate::storage::failover::{Failure, OutboxEntry, RemoteBackend};
use crate::storage::migrate::{self, MigrationReport};

/// How long connecting may take, names, TLS and signing in included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long migrations may take, waiting for those of another server included.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(300);
/// Connections. All are made before the first is used: no request waits for one to be made.
const POOL_SIZE: u32 = 4;
const PORT: u16 = 5432;
/// What the server itself gives up, should we have left. And it is to use the index that each query has: as long as it has no
/// statistics of a new table, it would plan to read all of it, and remember that plan while the table grows.
const SESSION_SETTINGS: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s';
    SET idle_in_transaction_session_timeout = '10s'; SET enable_seqscan = off";

/// Where Postgres is, and what it is kept up to date from.
#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    options: PgConnectOptions,
    redaction: Redaction,
    server: Arc<str>,
    executions: EmbeddedExecutions,
}

impl Postgres {
    pub(crate) fn new(dsn: &Secret, server: String, executions: EmbeddedExecutions) -> Result<Self, Error> {
        let url = SecretUrl::new(dsn.expose());
        let (options, redaction) = (options(&url)?, Redaction::new(url.secrets()));
        Ok(Self { options, redaction, server: server.into(), executions })
    }

    /// Brings the schema up to date. Several servers may do so at once: they take turns.
    pub(crate) async fn migrate(&self) -> Result<MigrationReport, Failure> {
        let mut connection = call(CONNECT_TIMEOUT, PgConnection::connect_with(&self.options)).await?;
        let migrating = timeout(MIGRATION_TIMEOUT, migrate::postgres(&mut connection)).await;
        let locked = |_| Failure::Unavailable("its schema is locked by somebody else".to_owned());
        let migrated = migrating.map_err(locked)?.map_err(|error| match error {
            MigrateError::VersionMissing(version) => {
                Failure::IncompatibleSchema(migrate::newer_schema("the Postgres database", version))
            }
            MigrateError::VersionMismatch(_) => Failure::IncompatibleSchema(error.to_string()),
            _ => Failure::Unavailable(format!("its schema can't be brought up to date: {error}")),
        })?;
        call(CONNECT_TIMEOUT, connection.close()).await?;
        Ok(migrated)
    }

    fn pool(&self, connections: u32) -> PgPool {
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(CONNECT_TIMEOUT)
            // Only one that has died is replaced: its next user notices, and does without.
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(SESSION_SETTINGS).await.map(|_| ()) })
            })
            .connect_lazy_with(self.options.clone())
    }
}

impl RemoteBackend for Postgres {
    type Connection = PostgresConnection;

    const NAME: &'static str = "Postgres";
    const KEY: &'static str = "postgres";
    const TASK: &'static str = "postgres_reconnect";
    const REQUEST_TIMEOUT: Duration = REQUEST_TIMEOUT;
    const CHECK_TIMEOUT: Duration = REQUEST_TIMEOUT;

    async fn connect(&self) -> Result<PostgresConnection, Failure> {
        let connecting = async {
            self.migrate().await?;
            let (pool, watch) = (self.pool(POOL_SIZE), self.pool(1));
            let all = try_join_all((0..POOL_SIZE).map(|_| pool.acquire()));
            drop(call(CONNECT_TIMEOUT, async { Ok((all.await?, watch.acquire().await?)) }).await?);
            Ok(PostgresConnection { pool, watch, server: self.server.clone() })
        };
        connecting.await.map_err(|failure: Failure| failure.masked(&self.redaction))
    }

    async fn ping(&self, connection: &PostgresConnection, limit: Duration) -> Result<Duration, Failure> {
        let started = Instant::now();
        call(limit, connection.watch.execute("SELECT 1")).await?;
        Ok(started.elapsed())
    }

    async fn write_back(&self, connection: &PostgresConnection, entries: &[OutboxEntry]) -> Result<(), Failure> {
        execution::write_back(&self.executions, connection, entries).await
    }
}

/// Only what the DSN says: the driver would also take account and host from this process's environment.
fn options(dsn: &SecretUrl) -> Result<PgConnectOptions, Error> {
    let wrong =
        |what: &str| Error::internal_public(format!("POSTGRES_DSN can't be used: {what}"), "see docs/operations.md");
    let url = dsn.parse().ok_or_else(|| wrong("it is no URL"))?;
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = Some(decode(url.username())).filter(|user| !user.is_empty()).unwrap_or_else(|| "postgres".to_owned());
    let database = decode(url.path().trim_start_matches('/'));
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(url.host_str().unwrap_or("localhost").trim_matches(['[', ']']))
        .port(url.port().unwrap_or(PORT))
        .database(if database.is_empty() { &user } else { &database })
        .username(&user)
        .password(&url.password().map(decode).unwrap_or_default())
        .ssl_mode(PgSslMode::Prefer)
        .application_name("orchestrator-studio");
    for (key, value) in url.query_pairs() {
        options = match key.as_ref() {
            "sslmode" | "ssl-mode" => options.ssl_mode(value.parse().map_err(|_| wrong("sslmode is unknown"))?),
            "sslrootcert" => options.ssl_root_cert(value.as_ref()),
            "host" if value.starts_with('/') => options.socket(value.as_ref()),
            "user" => options.username(value.as_ref()),
            "password" => options.password(value.as_ref()),
            "application_name" | "connect_timeout" => options,
            key => return Err(wrong(&format!("its parameter '{key}' is not known"))),
        };
    }
    Ok(options)
}

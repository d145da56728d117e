use std::time::Duration;

use futures_util::future::try_join_all;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Connection as _, Executor};
use tokio::time::timeout;

use super::call::{call, in_words};
use super::connection::PostgresConnection;
use super::server_lease::ServerLease;
use crate::kernel::{Error, Redaction, Secret, SecretUrl};
use crate::settings::{DatabaseUrl, SslMode, UrlReach};
use crate::storage::failover::Failure;
use crate::storage::migrate::{self, MigrationReport, SchemaState};

/// How long connecting may take, names, TLS and signing in included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long making all connections may take: a busy machine signs in to one in time, but not to all at once.
const POOL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long migrations may take, waiting for those of another server included.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(300);
/// Connections. All are made before the first is used: no request waits for one to be made.
const POOL_SIZE: u32 = 4;
const PORT: u16 = 5432;
/// What the server itself gives up, should we have left. And it is to use the index that each query has: as long as it has no
/// statistics of a new table, it would plan to read all of it, and remember that plan while the table grows.
const SESSION_SETTINGS: &str = "SET statement_timeout = '10s'; SET lock_timeout = '5s';
    SET idle_in_transaction_session_timeout = '10s'; SET enable_seqscan = off";

/// What its database is called in messages.
const DATABASE: &str = "the Postgres database";

/// Where Postgres is.
#[derive(Clone, Debug)]
pub(crate) struct PostgresAddress {
    options: PgConnectOptions,
    redaction: Redaction,
}

impl PostgresAddress {
    pub(crate) fn new(dsn: &Secret) -> Result<Self, Error> {
        let url = SecretUrl::new(dsn.expose());
        Ok(Self { options: options(&url)?, redaction: Redaction::new(url.secrets()) })
    }

    /// All connections that a server has, to a database that is up to date.
    pub(crate) async fn connect(&self, lease: ServerLease) -> Result<PostgresConnection, Failure> {
        let connecting = async {
            self.migrate().await?;
            let (pool, watch) = (self.pool(POOL_SIZE), self.pool(1));
            let all = try_join_all((0..POOL_SIZE).map(|_| pool.acquire()));
            drop(call(POOL_TIMEOUT, async { Ok((all.await?, watch.acquire().await?)) }).await?);
            lease.connected(watch.clone()).await?;
            Ok(PostgresConnection { pool, watch, notices: self.pool(1), lease })
        };
        connecting.await.map_err(|failure: Failure| failure.masked(&self.redaction))
    }

    /// One connection for a sub-command that others are not to notice: only a database that is empty gets its schema.
    pub(crate) async fn connect_beside(&self) -> Result<PostgresConnection, Failure> {
        let connecting = async {
            let mut connection = call(CONNECT_TIMEOUT, PgConnection::connect_with(&self.options)).await?;
            let state = call(CONNECT_TIMEOUT, migrate::postgres_state(&mut connection)).await?;
            call(CONNECT_TIMEOUT, connection.close()).await?;
            match state {
                SchemaState::Current => {}
                SchemaState::Empty => drop(self.migrate().await?),
                SchemaState::Newer(version) => {
                    return Err(Failure::IncompatibleSchema(migrate::newer_schema(DATABASE, version)));
                }
                SchemaState::Older(version) => {
                    let remedy = "run migrate first, once the servers that use it have this version";
                    return Err(Failure::IncompatibleSchema(migrate::older_schema(DATABASE, version, remedy)));
                }
            }
            let pool = self.pool(1);
            drop(call(POOL_TIMEOUT, pool.acquire()).await?);
            let lease = ServerLease::new("");
            Ok(PostgresConnection { watch: pool.clone(), notices: pool.clone(), pool, lease })
        };
        connecting.await.map_err(|failure: Failure| failure.masked(&self.redaction))
    }

    /// Brings the schema up to date. Several servers may do so at once: they take turns.
    pub(crate) async fn migrate(&self) -> Result<MigrationReport, Failure> {
        let mut connection = call(CONNECT_TIMEOUT, PgConnection::connect_with(&self.options)).await?;
        let migrating = timeout(MIGRATION_TIMEOUT, migrate::postgres(&mut connection)).await;
        let locked = |_| Failure::Unavailable("its schema is locked by somebody else".to_owned());
        let migrated = migrating.map_err(locked)?.map_err(|error| match error {
            MigrateError::VersionMissing(version) => {
                Failure::IncompatibleSchema(migrate::newer_schema(DATABASE, version))
            }
            MigrateError::VersionMismatch(_) => Failure::IncompatibleSchema(error.to_string()),
            _ => Failure::Unavailable(format!("its schema can't be brought up to date: {}", in_words(&error))),
        })?;
        call(CONNECT_TIMEOUT, connection.close()).await?;
        Ok(migrated)
    }

    fn pool(&self, connections: u32) -> PgPool {
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(POOL_TIMEOUT)
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

/// Only what the DSN says: the driver would also take account and host from this process's environment.
fn options(dsn: &SecretUrl) -> Result<PgConnectOptions, Error> {
    let wrong =
        |what: String| Error::internal_public(format!("POSTGRES_DSN can't be used: {what}"), "see docs/operations.md");
    let url = DatabaseUrl::read(dsn, UrlReach::Machine).map_err(wrong)?;
    if let Some(unused) = url.unused() {
        tracing::warn!(setting = "POSTGRES_DSN", "{unused}");
    }
    let user = if url.user.is_empty() { "postgres" } else { &url.user };
    let mode = url.ssl_mode.unwrap_or(SslMode::Prefer).postgres_word();
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(if url.host.is_empty() { "localhost" } else { &url.host })
        .port(url.port.unwrap_or(PORT))
        .database(if url.database.is_empty() { user } else { &url.database })
        .username(user)
        .password(url.password.as_deref().unwrap_or_default())
        .ssl_mode(mode.parse().map_err(|_| wrong("its sslmode is unknown".to_owned()))?)
        .application_name(url.application_name.as_deref().unwrap_or("orchestrator-studio"));
    if !url.search_path.is_empty() {
        let quoted = url.search_path.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\"")));
        options = options.options([("search_path", quoted.collect::<Vec<_>>().join(","))]);
    }
    if let Some(file) = &url.root_certificate {
        options = options.ssl_root_cert(file);
    }
    Ok(match &url.socket {
        Some(folder) => options.socket(folder),
        None => options,
    })
}

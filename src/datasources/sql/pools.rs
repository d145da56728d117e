use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::{Database, MySqlPool, PgPool, Pool, SqlitePool};
use tokio::net::TcpStream;

use super::{mysql, postgres, sqlite};
use crate::datasources::DataError;
use crate::datasources::client::{Source, protocol_of};
use crate::settings::Protocol;

/// Connections per source, unless `config.max_connections` says otherwise.
const CONNECTIONS: u32 = 4;
const MOST_CONNECTIONS: u64 = 50;
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(120);
/// Sources with a pool at once; beyond that the one unused for longest loses its pool.
const MOST_POOLS: usize = 200;

/// One pool per source, made at its first use and anew when its configuration has changed. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Pools(Arc<Mutex<HashMap<String, Held>>>);

struct Held {
    /// The configuration that the pool was made for.
    version: String,
    used: u64,
    pool: SourcePool,
}

/// The pool of one source.
#[derive(Clone)]
pub(super) enum SourcePool {
    Postgres(PgPool),
    MySql(MySqlPool),
    Sqlite(SqlitePool),
}

impl std::fmt::Debug for Pools {
    /// Options of a pool hold its password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pools")
    }
}

impl Pools {
    pub(super) fn get(&self, source: &Source) -> Result<SourcePool, DataError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = held.values().map(|held| held.used).max().unwrap_or_default() + 1;
        if let Some(known) = held.get_mut(source.name.as_str())
            && known.version == source.version
        {
            known.used = now;
            return Ok(known.pool.clone());
        }
        let pool = open(source)?;
        let fresh = Held { version: source.version.clone(), used: now, pool: pool.clone() };
        let replaced = held.insert(source.name.to_string(), fresh);
        let oldest = held.iter().min_by_key(|(_, held)| held.used).map(|(name, _)| name.clone());
        let dropped = oldest.filter(|_| held.len() > MOST_POOLS).and_then(|name| held.remove(&name));
        replaced.into_iter().chain(dropped).for_each(|held| held.pool.retire());
        Ok(pool)
    }

    /// Closes the pool of a source that is no more.
    pub(super) fn forget(&self, name: &str) {
        let forgotten = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        forgotten.into_iter().for_each(|held| held.pool.retire());
    }
}

impl SourcePool {
    /// Closes the pool once what runs on it has ended.
    fn retire(self) {
        tokio::spawn(async move {
            match self {
                Self::Postgres(pool) => pool.close().await,
                Self::MySql(pool) => pool.close().await,
                Self::Sqlite(pool) => pool.close().await,
            }
        });
    }
}

fn open(source: &Source) -> Result<SourcePool, DataError> {
    match protocol_of(source)? {
        Protocol::Postgres => Ok(SourcePool::Postgres(postgres::open(source)?)),
        Protocol::MySql => Ok(SourcePool::MySql(mysql::open(source)?)),
        Protocol::Sqlite => Ok(SourcePool::Sqlite(sqlite::open(source)?)),
        Protocol::Cube | Protocol::Rest => Err(DataError::failed("This source has no database protocol")),
    }
}

/// The options that all pools share. Nothing is connected until it is used, nothing is kept for long.
pub(super) fn options<DB: Database>(source: &Source) -> PoolOptions<DB> {
    let configured = source.effective.config.expose().get("max_connections").and_then(Value::as_u64);
    let configured = configured.filter(|count| (1..=MOST_CONNECTIONS).contains(count));
    let most = configured.and_then(|count| u32::try_from(count).ok()).unwrap_or(CONNECTIONS);
    PoolOptions::new()
        .max_connections(most)
        .min_connections(0)
        .idle_timeout(IDLE)
        .max_lifetime(Duration::from_secs(1800))
        // The deadline of the request comes first; this only ends what nobody waits for.
        .acquire_timeout(source.effective.timeout() + Duration::from_secs(1))
}

/// How long a pool may take for a connection before it is looked at whether the server is there at all.
const PATIENCE: Duration = Duration::from_millis(200);

/// A connection of the pool. Where nobody listens, a pool tries again until its timeout; here that ends at once.
pub(super) async fn acquire<DB: Database>(
    pool: &Pool<DB>,
    source: &Source,
    default_port: u16,
) -> Result<Lease<DB>, sqlx::Error> {
    tokio::select! {
        connection = pool.acquire() => Ok(Lease::new(connection?)),
        error = refused(source, default_port) => Err(error),
    }
}

/// Done when the server refuses connections; never if it doesn't.
async fn refused(source: &Source, default_port: u16) -> sqlx::Error {
    tokio::time::sleep(PATIENCE).await;
    let place = source.effective.url.parse().and_then(|url| {
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        Some((host, url.port().unwrap_or(default_port)))
    });
    if let Some(place) = place
        && let Err(error) = TcpStream::connect(place).await
        && error.kind() == std::io::ErrorKind::ConnectionRefused
    {
        return sqlx::Error::Io(error);
    }
    std::future::pending().await
}

/// A connection that goes back to its pool only when its work was done to the end. Otherwise it is cut, so that nothing goes
/// on in it.
pub(super) struct Lease<DB: Database>(Option<PoolConnection<DB>>);

impl<DB: Database> Lease<DB> {
    pub(super) fn new(connection: PoolConnection<DB>) -> Self {
        Self(Some(connection))
    }

    /// The connection; the error can't happen before [`Lease::done`].
    pub(super) fn connection(&mut self) -> Result<&mut DB::Connection, sqlx::Error> {
        self.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Gives the connection back.
    pub(super) fn done(mut self) {
        drop(self.0.take());
    }
}

impl<DB: Database> Drop for Lease<DB> {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

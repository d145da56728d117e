use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use sqlx::mysql::MySql;
use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::postgres::Postgres;
use sqlx::{Database, Pool};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::sqlite::{MAX_WORKERS, WorkerPool};
use super::{driver_error, mysql, postgres, source_label, sqlite, statement_timeout};
use crate::datasources::client::{Source, protocol_of};
use crate::datasources::{DataError, Outage};
use crate::kernel::Deadline;
use crate::outbound::{AddressGuard, Bridge};
use crate::settings::Protocol;

/// Queries at once per source, unless `config.max_connections` says otherwise.
const DEFAULT_CONNECTIONS: u32 = 4;
const MAX_CONNECTIONS: u64 = 50;
/// How long an unused connection is kept.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long any connection is kept.
pub(super) const MAX_LIFETIME: Duration = Duration::from_secs(1800);
/// Sources with a pool at once; beyond that the one unused for longest loses its pool.
const MAX_POOLS: usize = 200;

/// One pool per source, made at its first use and anew when its configuration has changed. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pools(Arc<PoolRegistry>);

struct PoolRegistry {
    guard: AddressGuard,
    /// This program's own file.
    program: PathBuf,
    /// As many as there may be readers of SQLite files at work.
    readers: Arc<Semaphore>,
    held: Mutex<HashMap<String, PoolEntry>>,
}

struct PoolEntry {
    /// The configuration that the pool was made for.
    version: String,
    used: u64,
    /// As many as there may be queries at once.
    places: Arc<Semaphore>,
    pool: SourcePool,
}

/// The pool of one source.
#[derive(Clone)]
pub(super) enum SourcePool {
    Postgres(ServerPool<Postgres>),
    MySql(ServerPool<MySql>),
    Sqlite(Arc<WorkerPool>),
}

impl std::fmt::Debug for Pools {
    /// Options of a pool hold its password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pools")
    }
}

impl Pools {
    pub(super) fn new(guard: AddressGuard, program: PathBuf) -> Self {
        Self(Arc::new(PoolRegistry {
            guard,
            program,
            readers: Arc::new(Semaphore::new(MAX_WORKERS)),
            held: Mutex::default(),
        }))
    }

    /// The source's pool, and a place among those who use it. That all places are taken is no outage: whoever has them may
    /// ask for much.
    pub(super) async fn checkout(
        &self,
        source: &Source,
        deadline: Deadline,
    ) -> Result<(SourcePool, OwnedSemaphorePermit), DataError> {
        let (pool, places) = self.get(source)?;
        match timeout(statement_timeout(deadline), places.acquire_owned()).await {
            Ok(Ok(place)) => Ok((pool, place)),
            _ => {
                let text = format!("{}: all its connections are in use", source_label(source));
                Err(DataError::Failed { text, timed_out: true, outage: Outage::No })
            }
        }
    }

    fn get(&self, source: &Source) -> Result<(SourcePool, Arc<Semaphore>), DataError> {
        let mut held = self.0.held.lock();
        let now = held.values().map(|held| held.used).max().unwrap_or_default() + 1;
        if let Some(known) = held.get_mut(source.name.as_str())
            && known.version == source.version
        {
            known.used = now;
            return Ok((known.pool.clone(), known.places.clone()));
        }
        let pool = self.0.open(source)?;
        let places = Arc::new(Semaphore::new(max_connections_of(source) as usize));
        let fresh =
            PoolEntry { version: source.version.clone(), used: now, places: places.clone(), pool: pool.clone() };
        let replaced = held.insert(source.name.to_string(), fresh);
        let oldest = held.iter().min_by_key(|(_, held)| held.used).map(|(name, _)| name.clone());
        let dropped = oldest.filter(|_| held.len() > MAX_POOLS).and_then(|name| held.remove(&name));
        replaced.into_iter().chain(dropped).for_each(|held| held.pool.close());
        Ok((pool, places))
    }

    /// Closes the pool of a source that is no more.
    pub(super) fn evict(&self, name: &str) {
        let forgotten = self.0.held.lock().remove(name);
        forgotten.into_iter().for_each(|held| held.pool.close());
    }
}

impl PoolRegistry {
    fn open(&self, source: &Source) -> Result<SourcePool, DataError> {
        match protocol_of(source)? {
            Protocol::Postgres => Ok(SourcePool::Postgres(postgres::open(source, &self.guard)?)),
            Protocol::MySql => Ok(SourcePool::MySql(mysql::open(source, &self.guard)?)),
            Protocol::Sqlite => {
                Ok(SourcePool::Sqlite(Arc::new(sqlite::open(source, &self.program, self.readers.clone())?)))
            }
            Protocol::Cube | Protocol::Rest => Err(DataError::failed("This source has no database protocol")),
        }
    }
}

impl SourcePool {
    /// Closes the pool once what runs on it has ended.
    fn close(self) {
        match self {
            Self::Postgres(remote) => drop(tokio::spawn(async move { remote.pool.close().await })),
            Self::MySql(remote) => drop(tokio::spawn(async move { remote.pool.close().await })),
            // Whoever uses one of them holds it.
            Self::Sqlite(readers) => drop(readers),
        }
    }
}

fn max_connections_of(source: &Source) -> u32 {
    let configured = source.effective.config.expose().get("max_connections").and_then(Value::as_u64);
    let configured = configured.filter(|count| (1..=MAX_CONNECTIONS).contains(count));
    configured.and_then(|count| u32::try_from(count).ok()).unwrap_or(DEFAULT_CONNECTIONS)
}

/// A bridge to the server that the URL of a source names; `name` is what the driver takes a socket to be called.
pub(super) fn open_bridge(source: &Source, guard: &AddressGuard, port: u16, name: &str) -> Result<Bridge, DataError> {
    let url = source.effective.url.parse();
    let host = url.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
    let bridge = Bridge::open(guard.clone(), host, port, name);
    bridge.map_err(|error| {
        DataError::failed(format!("{}: no socket for it could be made: {error}", source_label(source)))
    })
}

/// The pool of a server, to which the driver gets over a bridge.
pub(super) struct ServerPool<DB: Database> {
    pool: Pool<DB>,
    bridge: Arc<Bridge>,
}

impl<DB: Database> Clone for ServerPool<DB> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), bridge: self.bridge.clone() }
    }
}

impl<DB: Database> ServerPool<DB> {
    /// Nothing is connected until it is used, nothing is kept for long.
    pub(super) fn new(source: &Source, bridge: Bridge, options: <DB::Connection as sqlx::Connection>::Options) -> Self {
        let pool = PoolOptions::new()
            .max_connections(max_connections_of(source))
            .min_connections(0)
            .idle_timeout(IDLE_TIMEOUT)
            .max_lifetime(MAX_LIFETIME)
            // The deadline of the request comes first; this only ends what nobody waits for.
            .acquire_timeout(source.effective.timeout() + Duration::from_secs(1))
            .connect_lazy_with(options);
        Self { pool, bridge: Arc::new(bridge) }
    }

    /// A connection of the pool. Whoever comes here has a place, so what keeps it from coming is the server.
    pub(super) async fn acquire(&self, source: &Source, deadline: Deadline) -> Result<LeasedConnection<DB>, DataError> {
        match timeout(statement_timeout(deadline), self.pool.acquire()).await {
            Ok(Ok(connection)) => Ok(LeasedConnection(Some(connection))),
            Ok(Err(error)) => Err(self.unreachable(source, &error)),
            Err(_) => {
                let text = format!("{} did not answer in time", source_label(source));
                Err(DataError::Failed { text, timed_out: true, outage: Outage::Yes })
            }
        }
    }

    /// Why there is no connection: the bridge knows more than a driver that found its socket closed.
    fn unreachable(&self, source: &Source, error: &sqlx::Error) -> DataError {
        match (driver_error(source, error), self.bridge.failure()) {
            (DataError::Failed { outage: Outage::Perhaps, .. }, Some(failure)) => {
                DataError::from_call(&source_label(source), &failure)
            }
            (DataError::Failed { text, timed_out, outage: Outage::Perhaps }, None) => {
                DataError::Failed { text, timed_out, outage: Outage::Yes }
            }
            (objection, _) => objection,
        }
    }
}

/// A connection that goes back to its pool only when its work was done to the end. Otherwise it is cut, so that nothing goes
/// on in it.
pub(super) struct LeasedConnection<DB: Database>(Option<PoolConnection<DB>>);

impl<DB: Database> LeasedConnection<DB> {
    /// The connection; the error can't happen before [`LeasedConnection::release`].
    pub(super) fn connection(&mut self) -> Result<&mut DB::Connection, sqlx::Error> {
        self.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Gives the connection back.
    pub(super) fn release(mut self) {
        drop(self.0.take());
    }
}

impl<DB: Database> Drop for LeasedConnection<DB> {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use parking_lot::Mutex;
use sqlx::mysql::MySql;
use sqlx::postgres::Postgres;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::database_pool::{DatabasePool, max_connections_of};
use super::engine::statement_timeout;
use super::guard::check_sql;
use super::sqlite::{MAX_WORKERS, WorkerPool, WorkerRequest};
use super::{mysql, postgres, sqlite};
use crate::datasources::health::CheckReport;
use crate::datasources::query::{Query, QueryResult};
use crate::datasources::schema::TableCatalog;
use crate::datasources::source::{Source, protocol_of, source_label};
use crate::datasources::{DataError, Outage};
use crate::kernel::{Caller, Deadline};
use crate::outbound::AddressGuard;
use crate::settings::Protocol;

/// Sources with a pool at once; beyond that the one unused for longest loses its pool.
const MAX_POOLS: usize = 200;

/// Asks SQL databases. One pool per source, made at its first use and anew when its configuration has changed. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SqlClient(Arc<PoolRegistry>);

struct PoolRegistry {
    guard: AddressGuard,
    /// This program's own file.
    program: PathBuf,
    /// As many as there may be workers on SQLite files.
    workers: Arc<Semaphore>,
    /// By the name of the source; the one used last is the last.
    pools: Mutex<IndexMap<String, PoolEntry>>,
}

struct PoolEntry {
    /// The configuration that the pool was made for.
    version: String,
    /// As many as there may be queries at once.
    permits: Arc<Semaphore>,
    pool: SourcePool,
}

/// The pool of one source.
#[derive(Clone)]
enum SourcePool {
    Postgres(Arc<DatabasePool<Postgres>>),
    MySql(Arc<DatabasePool<MySql>>),
    Sqlite(Arc<WorkerPool>),
}

impl fmt::Debug for SqlClient {
    /// Options of a pool hold its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqlClient")
    }
}

impl SqlClient {
    /// `guard` watches the connections; `program` is this program's own file.
    pub(crate) fn new(guard: AddressGuard, program: PathBuf) -> Self {
        let workers = Arc::new(Semaphore::new(MAX_WORKERS));
        Self(Arc::new(PoolRegistry { guard, program, workers, pools: Mutex::default() }))
    }

    /// Runs a query that the guard lets through.
    pub(crate) async fn query(&self, source: &Source, query: &Query<'_>) -> Result<QueryResult, DataError> {
        let checked = check_sql(query.text, protocol_of(source)?, source.effective.functions()).await?;
        let (pool, _permit) = self.checkout(source, query.deadline).await?;
        let result = match pool {
            SourcePool::Postgres(pool) => postgres::query(&pool, &checked, query).await,
            SourcePool::MySql(pool) => mysql::query(&pool, &checked, query).await,
            SourcePool::Sqlite(workers) => return sqlite::query(&workers, &checked, query).await,
        };
        result.map_err(|error| error.of(source))
    }

    /// Tables with their columns, types, nullability, keys and comments, as `caller` is shown them.
    pub(crate) async fn schema(
        &self,
        source: &Source,
        caller: &Caller,
        deadline: Deadline,
    ) -> Result<TableCatalog, DataError> {
        let (pool, _permit) = self.checkout(source, deadline).await?;
        let tables = match pool {
            SourcePool::Postgres(pool) => postgres::schema(&pool, caller, deadline).await,
            SourcePool::MySql(pool) => mysql::schema(&pool, deadline).await,
            SourcePool::Sqlite(workers) => return workers.request(&WorkerRequest::Schema, deadline).await,
        };
        tables.map_err(|error| error.of(source))
    }

    /// What the database says of the account and the session.
    pub(crate) async fn check(&self, source: &Source, deadline: Deadline) -> Result<CheckReport, DataError> {
        let (pool, _permit) = self.checkout(source, deadline).await?;
        let report = match pool {
            SourcePool::Postgres(pool) => postgres::check(&pool, deadline).await.map(CheckReport::Server),
            SourcePool::MySql(pool) => mysql::check(&pool, deadline).await.map(CheckReport::Server),
            SourcePool::Sqlite(workers) => {
                return workers.request(&WorkerRequest::Check, deadline).await.map(CheckReport::File);
            }
        };
        report.map_err(|error| error.of(source))
    }

    /// The source's pool, and a permit to use it. That there is none left is no outage: whoever has them may ask for much.
    async fn checkout(
        &self,
        source: &Source,
        deadline: Deadline,
    ) -> Result<(SourcePool, OwnedSemaphorePermit), DataError> {
        let (pool, permits) = self.0.get(source)?;
        let Ok(Ok(permit)) = timeout(statement_timeout(deadline), permits.acquire_owned()).await else {
            let text = format!("{}: all its connections are in use", source_label(source));
            return Err(DataError::timed_out(text, Outage::No));
        };
        Ok((pool, permit))
    }

    /// Closes the pools of sources that have changed or are no more: all but those of these names and versions.
    pub(crate) fn retain(&self, is_current: impl Fn(&str, &str) -> bool) {
        self.0.pools.lock().retain(|name, entry| {
            let is_kept = is_current(name, &entry.version);
            if !is_kept {
                entry.pool.clone().close();
            }
            is_kept
        });
    }
}

impl PoolRegistry {
    fn get(&self, source: &Source) -> Result<(SourcePool, Arc<Semaphore>), DataError> {
        let mut pools = self.pools.lock();
        if let Some((at, _, entry)) = pools.get_full(source.name.as_str())
            && entry.version == source.version
        {
            let found = (entry.pool.clone(), entry.permits.clone());
            let last = pools.len() - 1;
            pools.move_index(at, last);
            return Ok(found);
        }
        let pool = self.open(source)?;
        let permits = Arc::new(Semaphore::new(max_connections_of(source)));
        let fresh = PoolEntry { version: source.version.clone(), permits: permits.clone(), pool: pool.clone() };
        let replaced = pools.shift_remove(source.name.as_str());
        pools.insert(source.name.to_string(), fresh);
        let dropped = if pools.len() > MAX_POOLS { pools.shift_remove_index(0) } else { None };
        replaced.into_iter().chain(dropped.map(|(_, entry)| entry)).for_each(|entry| entry.pool.close());
        Ok((pool, permits))
    }

    fn open(&self, source: &Source) -> Result<SourcePool, DataError> {
        Ok(match protocol_of(source)? {
            Protocol::Postgres => SourcePool::Postgres(Arc::new(postgres::open(source, &self.guard)?)),
            Protocol::MySql => SourcePool::MySql(Arc::new(mysql::open(source, &self.guard)?)),
            Protocol::Sqlite => {
                SourcePool::Sqlite(Arc::new(sqlite::open(source, &self.program, self.workers.clone())?))
            }
            Protocol::Cube | Protocol::Rest => return Err(DataError::failed("This source has no database protocol")),
        })
    }
}

impl SourcePool {
    /// Closes the pool once what runs on it has ended.
    fn close(self) {
        match self {
            Self::Postgres(pool) => pool.close(),
            Self::MySql(pool) => pool.close(),
            // Whoever uses one of them holds it.
            Self::Sqlite(workers) => drop(workers),
        }
    }
}

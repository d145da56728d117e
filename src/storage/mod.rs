//! Where state lives: conversations, cached answers, executions, and what was configured through the API.
//!
//! The only room that knows redis, and sqlx for our own tables. Built once by `app`, handed to the modules as [`Stores`].
//! Services decide ids, times and limits; a store keeps what it is given. Everything can live in the embedded database. With
//! Redis, conversations and cache live there; with Postgres, executions do; the embedded database stands in when they are
//! away (`outside`). To add a store: its table in a new file under `migrations/`, named in `migrate`, a file here, a field in
//! [`Stores`], its stories in `contract`.

mod cache;
mod config;
#[cfg(test)]
mod contract;
mod conversation;
mod execution;
mod migrate;
mod outside;
mod pool;
mod postgres;
mod redis;
mod registry;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use cache::CacheStore;
pub use config::ConfigStore;
pub use conversation::{Conversation, ConversationStore, Message, Overflow, Retain};
pub use execution::{Cursor, Execution, ExecutionFilter, ExecutionStatus, ExecutionStore, Outcome, Step};
pub use outside::BackendStatus;
pub use pool::PoolStatus;
pub use registry::Registry;

use self::migrate::Migrated;
use self::outside::{Backend, Failure, Journal, Link};
use self::postgres::Postgres;
use self::redis::Redis;
use crate::kernel::{Clock, Error};
use crate::settings::StorageSettings;

/// How long the start waits for outside services; after that they are connected to in the background.
const START_PATIENCE: Duration = Duration::from_secs(3);

/// Bytes that may wait for a service: on disk, in the embedded database.
const WAITING_BYTES: i64 = 500_000_000;

/// All stores. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stores {
    /// Conversations and their summaries.
    pub conversations: ConversationStore,
    /// Cached answers.
    pub cache: CacheStore,
    /// Executions and their steps.
    pub executions: ExecutionStore,
    /// What was configured through the API.
    pub config: ConfigStore,
    database: sqlite::Database,
    redis: Option<Link<Redis>>,
    postgres: Option<Link<Postgres>>,
    keepers: Arc<Mutex<JoinSet<()>>>,
}

impl Stores {
    /// Opens the embedded store under `DATA_DIR`, creating and migrating what is missing. Executions that an earlier
    /// process left running are marked as interrupted. Outside services are connected to, but not waited for.
    pub async fn open(settings: &StorageSettings, clock: Clock) -> Result<Self, Error> {
        let config = ConfigStore::new(&settings.data_dir);
        let database = sqlite::Database::open(&settings.data_dir).await?;
        let conversations = conversation::EmbeddedConversations::new(database.clone(), clock.clone());
        let executions = execution::EmbeddedExecutions::new(database.clone(), clock.clone());
        let redis = match &settings.redis_url {
            None => {
                // What is said without Redis is given to it, should it be used again.
                database.forget_note(redis::RUN).await?;
                None
            }
            Some(url) => {
                let journal = Journal::new(database.clone(), Redis::KEY);
                let redis = Redis::new(url, database.clone(), conversations.clone(), journal.clone())?;
                Some(Link::new(redis, journal, clock.clone()).await?)
            }
        };
        let postgres = match &settings.postgres_dsn {
            None => None,
            Some(dsn) => {
                let journal = Journal::new(database.clone(), Postgres::KEY);
                let postgres = Postgres::new(dsn, database.installation().await?, executions.clone())?;
                Some(Link::new(postgres, journal, clock.clone()).await?)
            }
        };
        let executions = ExecutionStore::new(executions, postgres.clone(), clock.clone());
        executions.interrupt().await?;
        let keepers = connect(redis.as_ref(), postgres.as_ref()).await?;
        Ok(Self {
            conversations: ConversationStore::new(conversations, redis.clone()),
            cache: CacheStore::new(cache::EmbeddedCache::new(database.clone(), clock), redis.clone()),
            executions,
            config,
            database,
            redis,
            postgres,
            keepers: Arc::new(Mutex::new(keepers)),
        })
    }

    /// How Redis is doing; None if there is none. Costs nothing.
    pub fn redis(&self) -> Option<BackendStatus> {
        self.redis.as_ref().map(Link::status)
    }

    /// A round trip to Redis, and how long it took; or why there was none.
    pub async fn ping_redis(&self) -> Result<Duration, String> {
        let link = self.redis.as_ref().ok_or("Redis is not configured")?;
        if link.lease().is_none() {
            return Err(not_in_use(Redis::NAME, &link.status()));
        }
        link.backend().ping(redis::PROMPT).await.map_err(|failure| failure.text())
    }

    /// How Postgres is doing; None if there is none. Costs nothing.
    pub fn postgres(&self) -> Option<BackendStatus> {
        self.postgres.as_ref().map(Link::status)
    }

    /// A round trip to Postgres, and how long it took; or why there was none.
    pub async fn ping_postgres(&self) -> Result<Duration, String> {
        let link = self.postgres.as_ref().ok_or("Postgres is not configured")?;
        let Some(lease) = link.lease() else { return Err(not_in_use(Postgres::NAME, &link.status())) };
        link.backend().ping(&lease.connection).await.map_err(|failure| failure.text())
    }

    /// How the pools of connections are used. Costs nothing.
    pub fn pools(&self) -> Vec<PoolStatus> {
        let postgres = self.postgres.as_ref().and_then(Link::lease);
        let postgres = postgres.map(|lease| PoolStatus::of("postgres", &lease.connection.pool));
        self.database.pools().into_iter().chain(postgres).collect()
    }

    /// What the embedded store stands in for at the moment, as sentences.
    pub fn degraded(&self) -> Vec<String> {
        let away = |status: Option<BackendStatus>| status.is_some_and(|status| !status.connected);
        let mut sentences = Vec::new();
        if away(self.redis()) {
            sentences.push("Redis is away; conversations are kept in the embedded store until it returns".to_owned());
        }
        if away(self.postgres()) {
            sentences.push("Postgres is away; executions are kept in the embedded store until it returns".to_owned());
        }
        sentences
    }

    /// Brings the schemas of the embedded database and of Postgres up to date without serving; says what was done.
    pub async fn migrate(settings: &StorageSettings) -> Result<Vec<String>, Error> {
        let database = sqlite::Database::open(&settings.data_dir).await?;
        let mut done = vec![describe("the embedded database", database.migrated)];
        if let Some(dsn) = &settings.postgres_dsn {
            let executions = execution::EmbeddedExecutions::new(database.clone(), Clock::system());
            let migrated = Postgres::new(dsn, String::new(), executions)?.migrate().await;
            let migrated =
                migrated.map_err(|failure| Error::internal_public("Postgres could not be migrated", failure.text()))?;
            done.push(describe("Postgres", migrated));
        }
        database.close().await;
        Ok(done)
    }

    /// Whether the embedded store answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.database.ping().await
    }

    /// Deletes what has expired or is beyond what `settings` retain. To be called now and then.
    pub async fn purge(&self, settings: &StorageSettings) -> Result<(), Error> {
        self.conversations.purge().await?;
        self.cache.purge().await?;
        self.limit_waiting(WAITING_BYTES).await?;
        self.executions.retain(settings.execution_retention, settings.execution_max_rows).await
    }

    /// Gives up what has waited longest for services that are away for too long.
    async fn limit_waiting(&self, most_bytes: i64) -> Result<(), Error> {
        if let Some(redis) = &self.redis
            && redis.limit(most_bytes).await? > 0
        {
            // The copies still have it.
            self.database.forget_note(redis::RUN).await?;
        }
        if let Some(postgres) = &self.postgres {
            postgres.limit(most_bytes).await?;
        }
        Ok(())
    }

    /// Writes everything out and closes the store.
    pub async fn close(&self) {
        self.keepers.lock().await.shutdown().await;
        self.database.close().await;
    }
}

/// Connects to what there is, and leaves it to the background.
async fn connect(redis: Option<&Link<Redis>>, postgres: Option<&Link<Postgres>>) -> Result<JoinSet<()>, Error> {
    let mut keepers = JoinSet::new();
    tokio::try_join!(first_attempt(redis), first_attempt(postgres))?;
    redis.map(|link| keepers.spawn(link.clone().keep()));
    postgres.map(|link| keepers.spawn(link.clone().keep()));
    Ok(keepers)
}

/// Connects before the first request if the service is there. Only a service that must not be used stops the start.
async fn first_attempt<B: Backend>(link: Option<&Link<B>>) -> Result<(), Error> {
    let Some(link) = link else { return Ok(()) };
    let late = || Err(Failure::Unusable(format!("no connection within {} s", START_PATIENCE.as_secs())));
    match timeout(START_PATIENCE, link.connect()).await.unwrap_or_else(|_| late()) {
        Err(Failure::Foreign(text)) => Err(Error::internal_public(format!("can't use {}", B::NAME), text)),
        Err(failure) => {
            link.attempt_failed(&failure);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn not_in_use(name: &str, status: &BackendStatus) -> String {
    match &status.last_error {
        Some(error) => format!("{name} is not in use: {error}"),
        None => format!("{name} is not in use: what has waited for it is being written back"),
    }
}

fn describe(what: &str, Migrated { from, to }: Migrated) -> String {
    if from == to { format!("{what} is up to date at version {to}") } else { format!("{what}: version {from} -> {to}") }
}

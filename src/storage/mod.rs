//! Where state lives: conversations, cached answers, executions, and what was configured through the API.
//!
//! The only room that knows redis, and sqlx for our own tables. Built once by `app`, handed to the modules as [`Stores`].
//! Services decide ids, times and limits; a store keeps what it is given. Everything can live in the embedded database;
//! with Redis, conversations and cache live there, and the embedded database stands in when it is away (`outside`). To add a
//! store: its table in a new file under `migrations/`, a file here, a field in [`Stores`].

mod cache;
mod config;
#[cfg(test)]
mod contract;
mod conversation;
mod execution;
mod outside;
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
pub use execution::{Execution, ExecutionFilter, ExecutionStatus, ExecutionStore, Outcome, Step};
pub use outside::BackendStatus;
pub use registry::Registry;

use self::outside::{Backend, Failure, Journal, Link};
use self::redis::Redis;
use crate::kernel::{Clock, Error};
use crate::settings::StorageSettings;

/// How long the start waits for outside services; after that they are connected to in the background.
const START_PATIENCE: Duration = Duration::from_secs(2);

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
    keepers: Arc<Mutex<JoinSet<()>>>,
}

impl Stores {
    /// Opens the embedded store under `DATA_DIR`, creating and migrating what is missing. Executions that an earlier
    /// process left running are marked as interrupted. Outside services are connected to, but not waited for.
    pub async fn open(settings: &StorageSettings, clock: Clock) -> Result<Self, Error> {
        let config = ConfigStore::new(&settings.data_dir);
        let database = sqlite::Database::open(&settings.data_dir).await?;
        let executions = ExecutionStore::new(database.clone(), clock.clone());
        executions.interrupt_running().await?;
        let conversations = conversation::EmbeddedConversations::new(database.clone(), clock.clone());
        let redis = match &settings.redis_url {
            None => None,
            Some(url) => {
                let journal = Journal::new(database.clone(), Redis::KEY);
                let redis = Redis::new(url, database.clone(), conversations.clone(), journal.clone())?;
                Some(Link::new(redis, journal, clock.clone()).await?)
            }
        };
        let mut keepers = JoinSet::new();
        if let Some(link) = &redis {
            first_attempt(link).await?;
            keepers.spawn(link.clone().keep());
        }
        Ok(Self {
            conversations: ConversationStore::new(conversations, redis.clone()),
            cache: CacheStore::new(cache::EmbeddedCache::new(database.clone(), clock), redis.clone()),
            executions,
            config,
            database,
            redis,
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
        let Some(lease) = link.lease() else { return Err(not_in_use(Redis::NAME, &link.status())) };
        link.backend().ping(&lease.connection).await.map_err(|failure| failure.text())
    }

    /// How Postgres is doing; None if there is none. Costs nothing.
    pub fn postgres(&self) -> Option<BackendStatus> {
        None
    }

    /// A round trip to Postgres, and how long it took; or why there was none.
    pub async fn ping_postgres(&self) -> Result<Duration, String> {
        Err("Postgres is not configured".to_owned())
    }

    /// What the embedded store stands in for at the moment, as sentences.
    pub fn degraded(&self) -> Vec<String> {
        let redis = self.redis().filter(|status| !status.connected);
        let redis = redis.map(|_| "Redis is away; conversations are kept in the embedded store until it returns");
        redis.into_iter().map(str::to_owned).collect()
    }

    /// Whether the embedded store answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.database.ping().await
    }

    /// Deletes what has expired or is beyond what `settings` retain. To be called now and then.
    pub async fn purge(&self, settings: &StorageSettings) -> Result<(), Error> {
        self.conversations.purge().await?;
        self.cache.purge().await?;
        self.executions.retain(settings.execution_retention, settings.execution_max_rows).await
    }

    /// Writes everything out and closes the store.
    pub async fn close(&self) {
        self.keepers.lock().await.shutdown().await;
        self.database.close().await;
    }
}

/// Connects before the first request if the service is there. Only a service that must not be used stops the start.
async fn first_attempt<B: Backend>(link: &Link<B>) -> Result<(), Error> {
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

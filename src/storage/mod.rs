//! Where state lives: conversations, cached answers, executions, and what was configured through the API.
//!
//! The only room that knows sqlx for our own tables. Built once by `app`, handed to the modules as [`Stores`]. Services
//! decide ids, times and limits; a store keeps what it is given. To add a store: its table in a new file under
//! `migrations/`, a file here, a field in [`Stores`].

mod cache;
mod config;
mod conversation;
mod execution;
mod registry;
mod sqlite;

pub use cache::CacheStore;
pub use config::ConfigStore;
pub use conversation::{Conversation, ConversationStore, Message, Overflow, Retain};
pub use execution::{Execution, ExecutionFilter, ExecutionStatus, ExecutionStore, Outcome, Step};
pub use registry::Registry;

use crate::kernel::{Clock, Error};
use crate::settings::StorageSettings;

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
}

impl Stores {
    /// Opens the embedded store under `DATA_DIR`, creating and migrating what is missing. Executions that an earlier
    /// process left running are marked as interrupted.
    pub async fn open(settings: &StorageSettings, clock: Clock) -> Result<Self, Error> {
        let config = ConfigStore::new(&settings.data_dir);
        let database = sqlite::Database::open(&settings.data_dir).await?;
        let executions = ExecutionStore::new(database.clone(), clock.clone());
        executions.interrupt_running().await?;
        Ok(Self {
            conversations: ConversationStore::new(database.clone(), clock.clone()),
            cache: CacheStore::new(database.clone(), clock),
            executions,
            config,
            database,
        })
    }

    /// Whether the store answers.
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
        self.database.close().await;
    }
}

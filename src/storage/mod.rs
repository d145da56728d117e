//! Where state lives: conversations, cached answers, executions, and what was configured through the API.
//!
//! The only room that knows redis, and sqlx for our own tables. Built once by `app`, handed to the modules as [`Stores`].
//! Services decide ids, times and limits; a store keeps what it is given. Everything can live in the embedded database
//! (`sqlite`). With Redis, conversations and cache live there; with Postgres, executions do; the embedded database stands in when
//! they are away (`failover`). To add a store: its table in a new file under `migrations/`, named in `migrate`, a file here, a
//! field in [`Stores`], its stories in `conformance`.

mod cache;
mod config;
mod config_repository;
#[cfg(test)]
mod conformance;
mod conversation;
mod execution;
mod failover;
mod migrate;
mod pool;
mod postgres;
mod redis;
mod sqlite;
mod stores;

pub use cache::CacheStore;
pub use config::ConfigStore;
pub use config_repository::{ConfigRepository, ConfigService};
pub use conversation::{Conversation, Excess, Message};
pub use execution::{
    Execution, ExecutionCursor, ExecutionFilter, ExecutionStatus, ExecutionStore, Outcome, Step, StepStatus,
};
pub use failover::BackendStatus;
pub use stores::Stores;

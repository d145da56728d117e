//! Where state lives: conversations, cached answers, executions, and what was configured through the API.
//!
//! Everything can live in `sqlite`, which stands in for Redis (conversations, cache) and Postgres (executions): `failover`.
//! To add a store: a migration named in `migrate`, a file here, a field in [`Stores`], its stories in `conformance`.

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

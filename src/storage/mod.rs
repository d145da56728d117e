//! Where state lives: conversations, cached answers, executions, transcripts of the chat page, API keys and the audit log, what callers
//! have used of their limits, and what was configured through the API.
//!
//! Everything can live in `sqlite`, which stands in for Redis (conversations, cache) and Postgres (executions,
//! transcripts, audit log): `failover`. API keys and the configuration are changed in Postgres only, if there is one: `identity`,
//! `config`.
//! To add a store: a migration named in `migrate`, a file here, a field in [`Stores`], its stories in `conformance`.

mod atomic_file;
mod cache;
mod config;
#[cfg(test)]
mod conformance;
mod conversation;
mod count;
mod embedded;
mod evaluation;
mod execution;
mod failover;
mod identity;
mod limit;
mod migrate;
mod pool;
mod postgres;
mod redis;
mod sqlite;
mod store_status;
mod stores;
mod transcript;
mod write_queue;

pub use atomic_file::replace_file;
pub use cache::CacheStore;
pub use config::{ConfigChange, ConfigRepository, ConfigRevision, ConfigService, ConfigStore, Renewal};
#[cfg(any(test, fuzzing))]
pub(crate) use conversation::fuzz;
pub use conversation::{Conversation, Excess, HistoryCursor, HistoryPage, Message};
pub use count::StoreCount;
pub use evaluation::EvaluationStore;
pub use execution::{
    Execution, ExecutionCursor, ExecutionFilter, ExecutionLog, ExecutionStatus, ExecutionStore, FIRST_TASK_EVENT,
    LogFact, NumberedEvent, Outcome, PLANNED_EVENT, PlanRecord, Step, StepStatus, TaskEvent, TaskFact, TaskStart,
};
pub use failover::BackendStatus;
pub use identity::{ApiKeyRecord, AuditCursor, AuditFilter, AuditRecord, IdentityStore, KeysRevision, StandaloneKeys};
pub use limit::{
    LimitCheck, LimitCounter, LimitDemand, LimitEffect, LimitHold, LimitLevel, LimitStore, PreviousWindow,
};
pub use stores::Stores;
pub use transcript::{
    AnswerFacts, PromptProfile, Transcript, TranscriptFilter, TranscriptMessage, TranscriptPage, TranscriptStore,
    TranscriptUsage, UsageCount,
};
pub use write_queue::PendingWrite;

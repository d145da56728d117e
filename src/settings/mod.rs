//! Everything that can be configured: one file per section, where the values come from, and the handle that holds them.
//!
//! Precedence, lowest first: built-in default, JSON files, environment and `.env`, what was changed through the API.
//! Every room may read settings; a change goes through [`SharedSettings::exclusively`] only. To add a setting: a field in its
//! section's file, read there by name, a line in `.env.example` (a test holds the two against each other); one that may hold a
//! credential is named in `secret_file` too (another test).

mod allowed_host;
mod allowed_target;
mod auth;
pub mod bounds;
mod changes;
mod credentials;
mod database_url;
mod dotenv;
mod encrypted_entry;
mod environment;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod json_file;
mod keyring;
mod limits;
mod llm;
mod load;
mod memory;
mod monitoring;
mod orchestration;
mod outbound;
mod redactions;
mod reference;
mod resources;
mod secret_file;
mod section;
mod server;
mod shared;
mod snapshot;
mod storage;
mod stored;
mod stored_entry;
mod stored_json;
mod text_file;
mod tls;
mod tool_policy;
mod verified;

pub use allowed_host::AllowedHost;
pub use allowed_target::AllowedTarget;
pub use auth::{AuthSettings, TokenAlgorithm};
pub use database_url::{DatabaseEngine, DatabaseUrl, RedisUrl, SslMode, UrlReach};
pub use environment::Environment;
pub use json_file::JsonFile;
pub use keyring::Keyring;
pub use limits::{Allowance, LimitKind, LimitMode, LimitSettings, LimitedBy};
pub use llm::{LlmProvider, LlmSection, LlmSettings};
pub use load::{LoadedSettings, load, read, variable_names};
pub use memory::{AnonymousMemory, CacheSettings, MemorySettings};
pub use monitoring::{LogFormat, MonitoringSettings};
pub use orchestration::{IntentClassifier, OrchestrationSettings};
pub use outbound::{OutboundPolicy, OutboundSettings};
pub use redactions::Redactions;
pub use resources::{
    AgentSettings, Catalog, CatalogEntry, CodeOptions, DataSourceSettings, HostPattern, HttpOptions, Language,
    McpOptions, McpTransport, Precondition, Protocol, QueryHints, Resource, SearchOptions, SearchProvider,
    SessionVariable, ToolOptions, ToolSettings,
};
pub use section::Section;
pub use server::ServerSettings;
pub use shared::{SettingsTurn, SharedSettings};
pub use snapshot::{LiveSection, Settings};
pub use storage::StorageSettings;
pub use stored_entry::StoredEntry;
pub use tls::TlsSettings;
pub use tool_policy::ToolPolicy;
pub use verified::{UsedTables, VerifiedParameter, VerifiedQuestion, VerifiedQuestions, VerifiedStatus};

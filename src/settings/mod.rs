//! Everything that can be configured: one file per section, where the values come from, and the handle that holds them.
//!
//! Precedence, lowest first: built-in default, JSON files, environment and `.env`, what was changed through the API.
//! Every room may read settings; a change goes through [`SharedSettings::change`] only. To add a setting: a field in its
//! section's file, read there by name, a line in `.env.example` (a test holds the two against each other).

mod allowed_host;
mod allowed_target;
mod auth;
pub mod bounds;
mod dotenv;
mod environment;
mod json_file;
mod llm;
mod load;
mod memory;
mod monitoring;
mod orchestration;
mod outbound;
mod redactions;
mod reference;
mod resources;
mod server;
mod shared;
mod storage;
mod tool_policy;

pub use allowed_host::AllowedHost;
pub use allowed_target::AllowedTarget;
pub use environment::Environment;
pub use json_file::{JsonFile, parse_json};
pub use llm::{LlmPatch, LlmProvider, LlmSection, LlmSettings};
pub use load::{LoadedSettings, load, variable_names};
pub use memory::{CacheSettings, MemorySettings};
pub use monitoring::{LogFormat, MonitoringSettings};
pub use orchestration::{IntentClassifier, OrchestrationSettings};
pub use outbound::{OutboundPolicy, OutboundSettings};
pub use redactions::Redactions;
pub use resources::{
    AgentSettings, Catalog, CatalogEntry, CodeOptions, DataSourceSettings, HostPattern, HttpOptions, Language,
    McpOptions, McpTransport, Precondition, Protocol, Resource, SearchOptions, SearchProvider, ToolOptions,
    ToolSettings,
};
pub use server::ServerSettings;
pub use shared::SharedSettings;
pub use storage::StorageSettings;
pub use tool_policy::ToolPolicy;

use std::sync::Arc;

/// One consistent set of settings. Cloning it is cheap: every section is behind an `Arc`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name, address, CORS, limits of the HTTP server.
    pub server: Arc<ServerSettings>,
    /// The LLM connection.
    pub llm: Arc<LlmSection>,
    /// Conversation memory.
    pub memory: Arc<MemorySettings>,
    /// The response cache.
    pub cache: Arc<CacheSettings>,
    /// How a chat request is carried out.
    pub orchestration: Arc<OrchestrationSettings>,
    /// Logs and metrics.
    pub monitoring: Arc<MonitoringSettings>,
    /// Where state lives.
    pub storage: Arc<StorageSettings>,
    /// Which addresses may be called.
    pub outbound: Arc<OutboundSettings>,
    /// External agents.
    pub agents: Arc<Catalog<AgentSettings>>,
    /// Sources of data.
    pub datasources: Arc<Catalog<DataSourceSettings>>,
    /// What tools may do.
    pub tool_policy: Arc<ToolPolicy>,
    /// Tools.
    pub tools: Arc<Catalog<ToolSettings>>,
}

//! Agents, data sources and tools: their values, the catalogs that hold them by name, and where those come from.
//!
//! A catalog is layered: files, then the environment, then what was changed through the API; `body` reads what a request says
//! of an entry over what is stored of it. To add a sort of resource: a type that implements [`Resource`], its catalog in
//! `Settings`, its file and variable in `load`.

mod agent;
mod body;
mod catalog;
mod datasource;
mod entries;
mod entry;
mod load;
mod meaning;
mod query_hints;
mod resource;
mod session_variable;
mod shared_map;
mod tool;
mod undecrypted;

pub use agent::AgentSettings;
pub use catalog::Catalog;
pub use datasource::{DataSourceSettings, Protocol};
pub use entry::{CatalogEntry, Precondition};
pub(super) use load::{AGENTS, DATASOURCES, TOOLS, read};
pub use query_hints::QueryHints;
pub use resource::Resource;
pub(super) use resource::parse_http_url;
pub use session_variable::SessionVariable;
pub use tool::{
    CodeOptions, HostPattern, HttpOptions, Language, McpOptions, McpTransport, SearchOptions, SearchProvider,
    ToolOptions, ToolSettings,
};

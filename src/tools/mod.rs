//! Tools: their endpoints are under `/api/tools`; chat offers them to models and runs them through [`ToolService`].
//!
//! `service` keeps the catalog and answers for it; `naming` tells which functions the enabled tools come to; `runtime`
//! checks a call and runs it under limits. Each kind of tool has a folder: `http_request`, `web_search`, `code_executor`,
//! `mcp`. To add one: its options in `settings::ToolOptions`, a folder with a `describe`, an `execute` and a `check`, its
//! arms in `naming` and `runtime`.

mod arguments;
mod check;
mod code_executor;
mod function;
mod http_request;
mod mcp;
mod naming;
mod result;
pub mod routes;
mod runtime;
mod service;
mod web_search;

pub use function::ToolFunction;
pub use naming::resolve_name;
pub use result::{ToolResult, ToolStatus};
pub use runtime::ToolFunctions;
pub use service::ToolService;

use std::sync::Arc;

use crate::settings::{CatalogEntry, ToolSettings};

/// A tool of the catalog.
pub type Tool = Arc<CatalogEntry<ToolSettings>>;

//! Tools: their endpoints are under `/api/tools`; chat offers them to models and runs them through [`ToolService`].
//!
//! `service` keeps the catalog, checks calls and runs them under limits; `naming` says which function a name means; `runtime`
//! chooses among the kinds of tools, each of which has a folder: `http_request`, `web_search`, `code_executor`, `mcp`. To add
//! one: its options in `settings::ToolOptions`, a folder with a `describe`, an `execute` and a `check`, its arms in `runtime`.

mod arguments;
mod check;
mod code_executor;
mod context;
mod function;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod http_request;
mod mcp;
mod naming;
mod output;
mod program_path;
mod result;
pub mod routes;
mod runtime;
mod service;
mod web_search;

pub use function::ToolFunction;
pub use naming::{call_name, resolve_name};
pub use output::{ProgramOutput, SearchHit, SearchOutput, ToolOutput};
pub use result::{ToolResult, ToolStatus};
pub use runtime::single_function;
pub use service::{ToolFunctions, ToolService};

use std::sync::Arc;

use crate::settings::{CatalogEntry, ToolSettings};

/// A tool of the catalog.
pub type Tool = Arc<CatalogEntry<ToolSettings>>;

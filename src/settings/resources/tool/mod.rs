//! A tool and the options of its kind, read from its `config`. To add a kind: its options in a file of their own, a variant of
//! [`ToolOptions`], its arm in `ToolOptions::read`; the `tools` room does the rest.

mod code;
mod fields;
mod host_pattern;
mod http;
mod mcp;
mod mcp_servers;
mod options;
mod search;
mod tool_settings;

pub use code::{CodeOptions, Language};
pub use host_pattern::HostPattern;
pub use http::HttpOptions;
pub use mcp::{McpOptions, McpTransport};
pub use options::ToolOptions;
pub use search::{SearchOptions, SearchProvider};
pub use tool_settings::ToolSettings;

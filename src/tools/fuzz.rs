pub(crate) use super::mcp::fuzz::{mcp_message, mcp_process};
pub(crate) use super::web_search::fuzz::search_hit;

//! Tools: HTTP requests, web search and MCP servers. What runs code is in `sandbox`.

mod argument_validation;
mod http_replies;
mod http_requests;
mod mcp_configs;
mod mcp_connections;
mod mcp_failures;
mod mcp_processes;
mod mcp_servers;
mod mcp_starts;
mod mcp_tolerance;
mod resources;
mod web_search;

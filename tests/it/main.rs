//! Stories that a user would recognise, told through the real server over real sockets. Upstreams are stand-ins that
//! speak the true wire format; everything goes to loopback.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

mod agent_calls;
mod agents;
mod bad_input;
mod bad_resources;
mod canary;
mod chat;
mod chat_data;
mod chat_parts;
mod chat_targets;
mod chat_tools;
mod chat_trouble;
mod code_chat;
mod code_execution;
mod common;
mod cube;
mod demo;
mod docs_page;
mod durability;
mod environment;
mod hostile_arguments;
mod http_replies;
mod http_tools;
mod llm_config;
mod llm_failures;
mod llm_wire;
mod mcp;
mod mcp_processes;
mod mcp_trouble;
mod memory;
mod openapi;
mod postgres_outages;
mod program;
mod redis_layout;
mod redis_outages;
mod resource_files;
mod resource_secrets;
mod resources;
mod rest_sources;
mod sandbox_attacks;
mod sql_attacks;
mod sql_sources;
mod sql_types;
mod streaming;
mod summary;
mod text_to_query;
mod tool_loop;
mod tool_parts;
mod tools;
mod web;
mod web_search;

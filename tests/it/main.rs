//! Stories that a user would recognise, told through the real server over real sockets. Upstreams are stand-ins that
//! speak the true wire format; everything goes to loopback.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

mod bad_input;
mod canary;
mod chat;
mod chat_data;
mod chat_parts;
mod chat_targets;
mod chat_trouble;
mod common;
mod demo;
mod docs_page;
mod environment;
mod llm_config;
mod llm_failures;
mod llm_wire;
mod memory;
mod openapi;
mod program;
mod streaming;
mod summary;
mod text_to_query;
mod web;

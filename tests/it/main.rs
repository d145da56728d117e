//! Stories that a user would recognise, told through the real server over real sockets. Upstreams are stand-ins that
//! speak the true wire format; everything goes to loopback.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

mod agents;
mod api;
mod chat;
mod common;
mod datasources;
mod grounding;
mod gui;
mod llm;
mod memory;
mod operations;
mod replicas;
mod sandbox;
mod security;
mod stores;
mod tools;

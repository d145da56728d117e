//! What the stories share: a server to talk to, a stand-in upstream, a program to start and kill, databases.

pub mod browser;
pub mod certificates;
pub mod chat;
pub mod chat_page;
pub mod client;
pub mod code;
pub mod credentials;
pub mod cube;
pub mod databases;
pub mod grounding;
pub mod hosted_page;
pub mod load;
pub mod mcp;
pub mod postgres;
pub mod process_memory;
pub mod program;
pub mod prometheus;
pub mod proxy;
pub mod redis;
pub mod refusals;
pub mod replicas;
pub mod resources;
pub mod routing;
pub mod server;
pub mod sources;
pub mod tools;
pub mod upstream;
pub mod wire;

pub use client::{Answer, Client};
pub use program::Program;
pub use server::TestServer;
pub use upstream::{Act, Seen, Upstream};

/// Whether a test that lacks an outside program fails instead of passing.
#[expect(clippy::disallowed_methods, reason = "asks how the tests are run, not how the server is configured")]
pub fn programs_are_required() -> bool {
    std::env::var("ORCHESTRATOR_TESTS").is_ok_and(|tests| tests == "required")
}

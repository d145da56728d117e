//! Any bytes for the readers of what comes from outside, for `cargo fuzz` and for the unit tests.
//!
//! A target drives the reader of a room as the server does, and fails by a panic if what the reader promises does not hold. Targets
//! stand in a file `fuzz.rs` of their room, where they see what is private there; [`TARGETS`] names all. None of it is part of the
//! server. To add one: its function in the room, its line here, its program and its first inputs in `fuzz/`, which a test asks for.

mod pieces;
#[cfg(test)]
mod smoke;

pub(crate) use pieces::{first_line, in_pieces, text_in_pieces};

use crate::{agents, datasources, identity, kernel, llm, outbound, settings, storage, telemetry, tools, web};

/// What drives a reader.
type Target = fn(&[u8]);

/// All targets by name.
const TARGETS: &[(&str, Target)] = &[
    ("agent_events", agents::fuzz::agent_events),
    ("answer_text", llm::fuzz::answer_text),
    ("body", web::fuzz::body),
    ("config_file", settings::fuzz::config_file),
    ("database_url", settings::fuzz::database_url),
    ("dotenv", settings::fuzz::dotenv),
    ("forwarded_for", web::fuzz::forwarded_for),
    ("join_url", outbound::fuzz::join_url),
    ("json", kernel::fuzz::json),
    ("jwks", identity::token::fuzz::jwks),
    ("jwt", identity::token::fuzz::jwt),
    ("jwt_claims", identity::token::fuzz::jwt_claims),
    ("lines", outbound::fuzz::lines),
    ("log_line", telemetry::fuzz::log_line),
    ("mcp_message", tools::fuzz::mcp_message),
    ("mcp_process", tools::fuzz::mcp_process),
    ("names", kernel::fuzz::names),
    ("numbers", datasources::fuzz::numbers),
    ("ollama_stream", llm::fuzz::ollama_stream),
    ("openai_stream", llm::fuzz::openai_stream),
    ("postgres_value", datasources::fuzz::postgres_value),
    ("redaction", kernel::fuzz::redaction),
    ("search_hit", tools::fuzz::search_hit),
    ("sql", datasources::fuzz::sql),
    ("sse", outbound::fuzz::sse),
    ("stored_message", storage::fuzz::stored_message),
    ("url", kernel::fuzz::url),
    ("url_password", kernel::fuzz::url_password),
    ("variables", settings::fuzz::variables),
];

/// Runs the target of this name. Panics if there is none, and if the reader breaks a promise.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    assert!(target.is_some(), "{name} is no target");
    target.into_iter().for_each(|(_, target)| target(data));
}

//! What growth costs: configured resources, messages of a conversation, stored executions, streams at once. Each is measured with few
//! and with many, in turn, on the same machine within the same minute; the ratio counts, not the time.
//!
//! Variables: `GROWTH_AGENTS` (10000), `GROWTH_MESSAGES` (10000), `GROWTH_EXECUTIONS` (1000000) and `GROWTH_STREAMS` (2000) are the
//! many; `GROWTH_ROUNDS` (5) how often each is measured; `OVERHEAD_BINARY`, another server. Words choose: `cargo bench --bench growth
//! -- streams`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark may panic, and prints what it found"
)]

#[path = "growth/agents.rs"]
mod agents;
#[path = "../tests/it/common/mod.rs"]
#[expect(dead_code, reason = "the stories need more of it")]
mod common;
#[path = "growth/comparison.rs"]
mod comparison;
#[path = "growth/executions.rs"]
mod executions;
#[expect(dead_code, reason = "the other benchmark needs more of it")]
mod load;
#[path = "growth/messages.rs"]
mod messages;
#[path = "growth/streams.rs"]
mod streams;

use std::time::Duration;

use serde_json::{Map, Value};

use load::stand_in::Pace;
use load::{number, raise_open_files, server, stand_in, write_json};

/// A piece each 200 ms, as a model that is not in a hurry: two thousand streams are ten thousand pieces a second.
const PACE: Pace = Pace { deltas: 64, pause: Duration::from_millis(200) };

async fn measure(words: &[&str]) {
    raise_open_files();
    let (llm, rounds) = (PACE.start(), number("GROWTH_ROUNDS", 5).max(1));
    println!("{}: medians of {rounds} rounds", server::program().display());
    let is_chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    let mut found = Map::new();
    if is_chosen("agents") {
        found.insert("agents".to_owned(), agents::measure(&llm.address, rounds).await);
    }
    if is_chosen("messages") {
        found.insert("messages".to_owned(), messages::measure(&llm.address, rounds).await);
    }
    if is_chosen("executions") {
        found.insert("executions".to_owned(), executions::measure(&llm.address, rounds).await);
    }
    if is_chosen("streams") {
        found.insert("streams".to_owned(), streams::measure(&llm.address, PACE.deltas).await);
    }
    write_json("growth", &Value::Object(found));
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["stand-in", deltas, pause] => stand_in::run(deltas, pause).await,
        ref words => measure(&words.iter().copied().filter(|word| !word.starts_with('-')).collect::<Vec<_>>()).await,
    }
}

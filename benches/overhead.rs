//! What this server costs over merely forwarding a request. A stand-in for an LLM server, a bare pass-through to it (the floor) and
//! the server run as processes of their own; the same users chat with the floor and with the server in turn, so that both are
//! measured within the same minute. Ratios and differences count, not times: the load takes its share of the processors.
//!
//! Variables: `OVERHEAD_ROUNDS` (5) and `OVERHEAD_SECONDS` (3) of each; `OVERHEAD_SETUPS`, some of `embedded memory-off redis
//! redis-postgres`; `OVERHEAD_RATE` (200), the chats per second that arrive whatever happens; `OVERHEAD_BINARY`, another server.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark may panic, and prints what it found"
)]

#[path = "../tests/it/common/mod.rs"]
#[expect(dead_code, reason = "the stories need more of it")]
mod common;
#[path = "overhead/floor.rs"]
mod floor;
#[expect(dead_code, reason = "the other benchmark needs more of it")]
mod load;
#[path = "overhead/pattern.rs"]
mod pattern;
#[path = "overhead/rounds.rs"]
mod rounds;
#[path = "overhead/setup.rs"]
mod setup;
#[path = "overhead/streams.rs"]
mod streams;

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use load::stand_in::Pace;
use load::{Helper, Server, number, raise_open_files, resident, server, stand_in, text, write_json};
use pattern::{Pattern, Side};
use rounds::Rounds;
use setup::{Services, Setup};

/// Connections of those who say the next thing as soon as they are answered.
const CONNECTIONS: [usize; 3] = [1, 32, 256];
/// Streams at once.
const STREAMS: [usize; 2] = [1, 32];
const PACE: Pace = Pace { deltas: 64, pause: Duration::from_millis(20) };
/// How long the server is left alone before its idle memory counts.
const IDLE: Duration = Duration::from_secs(1);

/// The processes that all setups have in common.
struct Bench {
    stand_in: Helper,
    floor: Helper,
    rounds: Rounds,
    rate: usize,
}

impl Bench {
    fn start() -> Self {
        let stand_in = PACE.start();
        let floor = Helper::start(&["floor", &stand_in.address]);
        let seconds = Duration::from_secs(number("OVERHEAD_SECONDS", 3) as u64);
        let rounds = Rounds { count: number("OVERHEAD_ROUNDS", 5).max(1), time: seconds };
        Self { stand_in, floor, rounds, rate: number("OVERHEAD_RATE", 200) }
    }

    async fn run(&self, setup: Setup) -> Value {
        let services = Services::start(setup);
        let folder = TempDir::new().unwrap();
        let server = Server::start(folder, &self.stand_in.address, &services.variables()).await;
        sleep(IDLE).await;
        let idle = resident(server.pid());
        println!("\n{}", setup.name());
        let floor = Side { address: self.floor.address.clone(), pid: self.floor.pid() };
        let sides = [floor, Side { address: server.address.clone(), pid: server.pid() }];
        let patterns = CONNECTIONS.into_iter().map(Pattern::Closed).chain([Pattern::Open(self.rate)]);
        let loads = self.rounds.chats(&sides, patterns).await;
        let streams = self.rounds.streams(&sides, STREAMS, PACE.deltas).await;
        let after = resident(server.pid());
        println!("resident memory: {idle:.1} MB idle, {after:.1} MB after");
        let complaints =
            server.log().lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).count();
        println!("warnings and errors in the log: {complaints}");
        let memory = json!({"idle_mb": idle, "after_mb": after});
        json!({"setup": setup.name(), "memory": memory, "loads": loads, "streams": streams, "complaints": complaints})
    }
}

async fn measure() {
    raise_open_files();
    let bench = Bench::start();
    let Rounds { count, time } = bench.rounds;
    println!(
        "{}: medians of {count} rounds of {} s; x / floor and + are against the floor",
        server::program().display(),
        time.as_secs()
    );
    let chosen = text("OVERHEAD_SETUPS").unwrap_or_default();
    let mut setups = Vec::new();
    for setup in Setup::ALL {
        if !chosen.is_empty() && !chosen.split([' ', ',']).any(|name| name == setup.name()) {
            continue;
        }
        match setup.missing() {
            Some(program) => println!("\n{}: left out, as there is no {program}", setup.name()),
            None => setups.push(bench.run(setup).await),
        }
    }
    let found = json!({"rounds": count, "seconds": time.as_secs(), "rate": bench.rate, "setups": setups});
    write_json("overhead", &found);
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["stand-in", deltas, pause] => stand_in::run(deltas, pause).await,
        ["floor", llm] => floor::run(llm).await,
        _ => measure().await,
    }
}

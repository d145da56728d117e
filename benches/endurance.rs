//! What time does to a server under mixed load: chats, streams, agents that come and go, and readers of executions, settings and
//! metrics, at a rate that leaves the processors time. The memory, the open files and the threads of its process are looked at again
//! and again; after the warm-up none of them may grow.
//!
//! Variables: `ENDURANCE_MINUTES` (60), of which the first `ENDURANCE_WARM_UP` (10) do not count; `ENDURANCE_RATE` (100), requests a
//! second; `OVERHEAD_BINARY`, another server.

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
#[expect(dead_code, unused_imports, reason = "the other benchmarks need more of it")]
mod load;

use std::fs::read_dir;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{MissedTickBehavior, interval, sleep};

use load::stand_in::Pace;
use load::{Connection, Server, Table, Talker, number, raise_open_files, resident, server, stand_in, write_json};

const PACE: Pace = Pace { deltas: 16, pause: Duration::from_millis(50) };
/// Those who use the server at once.
const USERS: usize = 20;
/// Turns of a conversation.
const TURNS: usize = 30;
/// How often the process is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// Names of the agents that each user adds and removes by turns.
const AGENTS: usize = 5;

/// What the process held at a time.
#[derive(Clone, Copy)]
struct Look {
    hours: f64,
    memory: f64,
    files: f64,
    threads: f64,
}

impl Look {
    fn at(pid: u32, since: Instant) -> Self {
        let count = |what: &str| read_dir(format!("/proc/{pid}/{what}")).unwrap().count() as f64;
        let hours = since.elapsed().as_secs_f64() / 3600.0;
        Self { hours, memory: resident(pid), files: count("fd"), threads: count("task") }
    }
}

/// How much a figure grows in an hour: the slope of the line that fits best.
fn slope(looks: &[Look], figure: impl Fn(&Look) -> f64) -> f64 {
    let count = looks.len() as f64;
    let mean = |of: &dyn Fn(&Look) -> f64| looks.iter().map(of).sum::<f64>() / count;
    let (hours, level) = (mean(&|look| look.hours), mean(&figure));
    let along = |look: &Look| (look.hours - hours) * (figure(look) - level);
    let squared = looks.iter().map(|look| (look.hours - hours).powi(2)).sum::<f64>();
    looks.iter().map(along).sum::<f64>() / squared
}

/// One who asks for something else each time.
struct User {
    talker: Talker,
    connection: Connection,
    number: usize,
    asked: usize,
    failed: usize,
}

impl User {
    async fn new(address: &str, number: usize) -> Self {
        let talker = Talker::new(address, &format!("user-{number}"), TURNS);
        Self { talker, connection: Connection::open(address).await.unwrap(), number, asked: 0, failed: 0 }
    }

    /// Asks at this pace until the time is up.
    async fn ask(mut self, pause: Duration, time: Duration) -> Self {
        let (mut ticks, started) = (interval(pause), Instant::now());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while started.elapsed() < time {
            ticks.tick().await;
            let succeeded = self.next().await;
            self.failed += usize::from(!succeeded);
            self.asked += 1;
        }
        self
    }

    async fn next(&mut self) -> bool {
        let agent = format!("agent-{}-{}", self.number, self.asked / 20 % AGENTS);
        match self.asked % 20 {
            3 => self.talker.stream().await.is_complete,
            6 => {
                let agent = json!({"name": agent, "url": "http://127.0.0.1:9/run", "description": "Books rooms"});
                self.send("POST", "/api/agents", &agent.to_string()).await
            }
            9 => self.send("GET", "/v1/executions?limit=20", "").await,
            12 => self.send("GET", "/api/llm/config", "").await,
            14 => self.send("DELETE", &format!("/api/agents/{agent}"), "").await,
            16 => self.send("GET", "/metrics", "").await,
            18 => self.send("GET", "/api/monitoring/metrics", "").await,
            _ => self.talker.chat().await.is_right,
        }
    }

    async fn send(&mut self, method: &str, path: &str, body: &str) -> bool {
        self.connection.send(method, path, body).await.is_ok_and(|reply| reply.status < 300)
    }
}

async fn measure() {
    raise_open_files();
    let minutes = |variable: &str, default| Duration::from_secs(60 * number(variable, default) as u64);
    let (time, warm_up) = (minutes("ENDURANCE_MINUTES", 60), minutes("ENDURANCE_WARM_UP", 10));
    let pause = Duration::from_secs_f64(USERS as f64 / number("ENDURANCE_RATE", 100) as f64);
    let llm = PACE.start();
    let server = Server::start(TempDir::new().unwrap(), &llm.address, &[("LOG_LEVEL", "warn")]).await;
    println!("{}: {} minutes", server::program().display(), time.as_secs() / 60);
    let started = Instant::now();
    let mut users = Vec::new();
    for nth in 0..USERS {
        users.push(tokio::spawn(User::new(&server.address, nth).await.ask(pause, time)));
    }
    let table = Table::new(&[("minute", 8), ("memory MB", 12), ("files", 8), ("threads", 9)]);
    let mut looks: Vec<Look> = Vec::new();
    while started.elapsed() < time {
        sleep(LOOK).await;
        let look = Look::at(server.pid(), started);
        if looks.len().is_multiple_of(30) {
            let cells = [look.hours * 60.0, look.memory, look.files, look.threads];
            table.row(&cells.map(|cell| format!("{cell:.1}")));
        }
        looks.push(look);
    }
    let (mut asked, mut failed) = (0, 0);
    for user in users {
        let user = user.await.unwrap();
        asked += user.asked;
        failed += user.failed;
    }
    looks.retain(|look| look.hours * 3600.0 > warm_up.as_secs_f64());
    show(&looks, asked, failed);
}

fn show(looks: &[Look], asked: usize, failed: usize) {
    let slopes = [slope(looks, |look| look.memory), slope(looks, |look| look.files), slope(looks, |look| look.threads)];
    let [memory, files, threads] = slopes;
    println!("{asked} requests, {failed} failed; in an hour {memory:+.2} MB, {files:+.1} files, {threads:+.1} threads");
    let shown = |look: &Look| json!([look.hours, look.memory, look.files, look.threads]);
    let looks: Vec<Value> = looks.iter().map(shown).collect();
    let slopes = json!({"memory_mb": memory, "files": files, "threads": threads});
    write_json("endurance", &json!({"asked": asked, "failed": failed, "slopes_per_hour": slopes, "looks": looks}));
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["stand-in", deltas, pause] => stand_in::run(deltas, pause).await,
        _ => measure().await,
    }
}

//! What an outage of Redis or Postgres costs: requests that fail, time, memory, log; and whether all that was acknowledged is
//! there afterwards, once. The program, a Redis and a Postgres of this run's own, and users who chat all the time. Times are
//! compared within one run; the ratio counts.

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
mod measure;

use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;

use common::postgres::{PostgresServer, Stopped};
use common::program::free_port;
use common::redis::{Killed, RedisServer};
use common::upstream::openai;
use common::{Client, Program, Upstream};
use measure::{Figures, User, Users, resident, until};

const USERS: usize = 6;
/// How long the users chat before and after an outage.
const CALM: Duration = Duration::from_secs(8);
/// How long they chat before that at most. The log's ring and the caches of the embedded database fill up in calm times too:
/// memory is compared once it has stopped growing.
const WARM_UP: Duration = Duration::from_secs(120);
/// Memory has stopped growing if in this time it grew by less than so many MB.
const STEADY: (Duration, f64) = (Duration::from_secs(20), 0.3);
/// How long memory is given to settle.
const SETTLING: Duration = Duration::from_secs(5);

/// What happens, and for how long.
#[derive(Clone, Copy, PartialEq)]
enum Outage {
    /// SIGSTOP, SIGCONT.
    RedisHangs,
    /// kill -9; it comes back empty.
    RedisDies,
    /// kill -9.
    PostgresDies,
    /// They come later than the server.
    BothAbsent,
}

impl Outage {
    const ALL: [(Self, &'static str, u64); 4] = [
        (Self::RedisHangs, "Redis hangs", 20),
        (Self::RedisDies, "Redis dies, returns empty", 10),
        (Self::PostgresDies, "Postgres dies", 10),
        (Self::BothAbsent, "both absent at start", 10),
    ];
}

/// The services, each either there or what is needed to start it.
struct Services {
    redis: Option<RedisServer>,
    killed: Option<Killed>,
    redis_port: u16,
    postgres: Option<PostgresServer>,
    stopped: Option<Stopped>,
    dsn: String,
}

impl Services {
    fn prepare(outage: Outage) -> Self {
        let (redis_port, stopped) = (free_port(), Stopped::new());
        let dsn = stopped.url();
        let mut services = Self { redis: None, killed: None, redis_port, postgres: None, stopped: Some(stopped), dsn };
        if outage != Outage::BothAbsent {
            services.start();
        }
        services
    }

    /// Starts what is not there.
    fn start(&mut self) {
        let killed = self.killed.take();
        self.redis = self.redis.take().or_else(|| killed.map(Killed::start));
        let port = self.redis_port;
        self.redis.get_or_insert_with(|| RedisServer::at(port));
        if let Some(stopped) = self.stopped.take() {
            self.postgres = Some(stopped.start());
        }
    }

    fn begin(&mut self, outage: Outage) {
        match outage {
            Outage::RedisHangs => self.redis.as_ref().unwrap().signal("STOP"),
            Outage::RedisDies => self.killed = self.redis.take().map(RedisServer::kill),
            Outage::PostgresDies => self.stopped = self.postgres.take().map(PostgresServer::kill),
            Outage::BothAbsent => {}
        }
    }

    fn end(&mut self, outage: Outage) {
        if outage == Outage::RedisHangs {
            self.redis.as_ref().unwrap().signal("CONT");
        }
        self.start();
    }
}

/// The log, with and without the line that each request has in calm times too.
fn log_bytes(program: &Program) -> (usize, usize) {
    let log = program.log();
    let rest = log.lines().filter(|line| !line.contains(" served ") && !line.ends_with(" served"));
    (log.len(), rest.map(|line| line.len() + 1).sum())
}

/// Waits until the memory has stopped growing.
async fn warm_up(program: &Program) {
    let (begun, mut at, mut before) = (Instant::now(), Instant::now(), resident(program));
    while begun.elapsed() < WARM_UP && at.elapsed() < STEADY.0 {
        sleep(Duration::from_secs(1)).await;
        if resident(program) > before + STEADY.1 {
            (at, before) = (Instant::now(), resident(program));
        }
    }
}

/// Watches the memory for this long; its peak.
async fn peak_within(program: &Program, time: Duration) -> f64 {
    let (until, mut peak) = (Instant::now() + time, 0.0_f64);
    while Instant::now() < until {
        peak = peak.max(resident(program));
        sleep(Duration::from_millis(100)).await;
    }
    peak
}

async fn run(outage: Outage, name: &str, seconds: u64) {
    let llm = Upstream::start(|seen, _| openai(seen, "ok")).await;
    let (folder, mut services) = (TempDir::new().unwrap(), Services::prepare(outage));
    let (base, redis) = (llm.url(), RedisServer::url_at(services.redis_port));
    let variables = [
        ("LLM_BASE_URL", base.as_str()),
        ("LLM_DEFAULT_MODEL", "stub-model"),
        ("LLM_PROVIDER", "openai"),
        ("REDIS_URL", &redis),
        ("POSTGRES_DSN", &services.dsn),
        ("CACHE_ENABLED", "false"),
    ];
    let program = Program::start("serve", folder.path(), &variables).await;
    let users = Users::start(&program.client, USERS);
    let mut started = Instant::now();
    if outage != Outage::BothAbsent {
        warm_up(&program).await;
        started = Instant::now();
        sleep(CALM).await;
    }
    let begun = if outage == Outage::BothAbsent { started } else { Instant::now() };
    let (memory_before, log_before) = (resident(&program), log_bytes(&program));
    services.begin(outage);
    let peak = peak_within(&program, Duration::from_secs(seconds)).await;
    let (log_after, ended) = (log_bytes(&program), Instant::now());
    services.end(outage);
    for store in ["redis", "postgres"] {
        until(&program.client, store, "healthy").await;
    }
    let recovered = ended.elapsed();
    let peak = peak.max(peak_within(&program, CALM).await);
    let memory_after = resident(&program);
    let users = users.stop().await;
    let stopped = Instant::now();
    sleep(SETTLING).await;

    let during = Figures::of(&users, begun, ended);
    let (before, after) = (Figures::of(&users, started, begun), Figures::of(&users, ended, stopped));
    println!("\n{name} ({seconds} s)");
    println!("  {:8}{:>10}{:>10}{:>10}{:>10}{:>13}", "", "requests", "failed", "p50 ms", "p99 ms", "longest ms");
    for (phase, it) in [("before", before), ("during", during), ("after", after)] {
        println!("  {phase:8}{:>10}{:>10}{:>10.1}{:>10.1}{:>13.1}", it.count, it.failed, it.p50, it.p99, it.longest);
    }
    let calm = if outage == Outage::BothAbsent { after } else { before };
    println!("  p99 during / in calm times: {:.2}", during.p99 / calm.p99);
    println!("  in use again after {:.1} s", recovered.as_secs_f64());
    let per_minute = |bytes: usize| bytes as f64 * 60.0 / ended.duration_since(begun).as_secs_f64() / 1024.0;
    let (lines, rest) = (log_after.0 - log_before.0, log_after.1 - log_before.1);
    println!(
        "  log, KB per minute of outage: {:.1} beside the line of each request, {:.0} with it",
        per_minute(rest),
        per_minute(lines)
    );
    let idle = resident(&program);
    println!(
        "  memory, MB: {memory_before:.1} before, {peak:.1} at most, {memory_after:.1} after, {idle:.1} without users"
    );
    println!("  {}", compare(&program.client, services.redis.as_ref().unwrap(), &users).await);
}

/// Whether what was acknowledged is there, once and in order.
async fn compare(client: &Client, redis: &RedisServer, users: &[User]) -> String {
    let (mut turns, mut executions) = (0, 0);
    for conversation in users.iter().flat_map(|user| &user.conversations) {
        let name = &conversation.name;
        let lines = redis.cli(&["LRANGE", &format!("conversation:{name}"), "0", "-1"]);
        let messages = lines.lines().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let said: Vec<_> = messages.filter(|it| it["role"] == "user").map(|it| it["content"].clone()).collect();
        assert_eq!(said, conversation.prompts, "the turns of {name}");
        assert_eq!(completed(client, name).await, conversation.executions, "the executions of {name}");
        (turns, executions) = (turns + said.len(), executions + conversation.executions.len());
    }
    format!("all {turns} turns in Redis and {executions} executions in Postgres are there once, in order")
}

/// The completed executions of a user, oldest first; there are fewer than fit on a page.
async fn completed(client: &Client, user: &str) -> Vec<String> {
    let path = format!("/v1/executions?user_id={user}&status=completed&limit=200");
    let page = client.get(&path).await.expect(200);
    let ids = page["executions"].as_array().unwrap().iter().rev();
    ids.map(|it| it["execution_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::main]
async fn main() {
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!("{USERS} users who chat with a {build} build");
    // Those whose name has one of the words in it, or all.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    for (outage, name, seconds) in Outage::ALL {
        if words.is_empty() || words.iter().any(|word| name.contains(word)) {
            run(outage, name, seconds).await;
        }
    }
}

//! A hundred thousand stored executions: how much room they take, whether any page of the list costs the same, and what it
//! costs others when most of them are deleted. In the embedded database and in Postgres, with the program itself.

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
#[expect(dead_code, reason = "the other benchmark needs more of it")]
mod measure;

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tempfile::TempDir;
use tokio::time::sleep;

use common::postgres::PostgresServer;
use common::upstream::openai;
use common::{Client, Program, Upstream};
use measure::{Figures, Users, quantile};

const STORED: usize = 100_000;
const KEPT: i64 = 10_000;
const PAGE: usize = 100;
/// How long deleting may take: it makes pauses for those who chat.
const DELETE_TIMEOUT: Duration = Duration::from_secs(240);
/// How long the users chat while nothing is deleted.
const CALM: Duration = Duration::from_secs(5);

/// Columns of an execution and of a step but for id and times; `n` is a number that grows.
const EXECUTION: &str =
    "'user-' || (n % 100), 'completed', 'What did we sell in week ' || n || '?', 'data_query', 0.85,
    '{\"tasks\": [{\"id\": \"task_1\", \"action\": \"data_query\"}, {\"id\": \"task_2\", \"action\": \"llm_call\"}]}',
    TEXT, '{\"usage\": {\"input_tokens\": 100, \"output_tokens\": 200}}'";
const COLUMNS: &str = "user_id, status, prompt, intent, intent_confidence, plan, answer, metadata";

/// One of the two databases, reached past the server.
enum Store {
    Embedded(SqliteConnection),
    Postgres(PgConnection),
}

impl Store {
    async fn embedded(folder: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(folder.join("data/studio.db"));
        Self::Embedded(options.busy_timeout(Duration::from_secs(30)).connect().await.unwrap())
    }

    async fn fill(&mut self) {
        match self {
            Self::Embedded(connection) => {
                let numbers = format!(
                    "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {STORED})"
                );
                let now = "CAST(strftime('%s', 'now') AS INTEGER) * 1000";
                let execution = EXECUTION.replace("TEXT", "hex(randomblob(250))");
                let sql = format!(
                    "BEGIN;
                     INSERT INTO execution (id, {COLUMNS}, started_at, finished_at) {numbers}
                         SELECT 'e-' || n, {execution}, {now} - {STORED} + n, {now} FROM number;
                     INSERT INTO execution_event (execution_id, number, kind, at, id, action, status, output, duration_ms) {numbers}
                         SELECT 'e-' || n, o + 2, 'task_finished', {now}, 'task_' || o, 'data_query', 'completed', hex(randomblob(150)), 7
                         FROM number, (SELECT 1 AS o UNION SELECT 2);
                     COMMIT"
                );
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.unwrap();
            }
            Self::Postgres(connection) => {
                let now = "(extract(epoch FROM now()) * 1000)::bigint";
                let text = |times| {
                    format!(
                        "(SELECT string_agg(md5(random()::text || g || n), '') FROM generate_series(1, {times}) AS g)"
                    )
                };
                let (execution, output) = (EXECUTION.replace("TEXT", &text(16)), text(9));
                let sql = format!(
                    "INSERT INTO execution (id, server, {COLUMNS}, started_at, finished_at)
                         SELECT 'e-' || n, 'another', {execution}, {now} - {STORED} + n, {now}
                         FROM generate_series(1, {STORED}) AS n;
                     INSERT INTO execution_event (execution_id, number, kind, at, id, action, status, output, duration_ms)
                         SELECT 'e-' || n, o + 2, 'task_finished', {now}, 'task_' || o, 'data_query', 'completed', {output}, 7
                         FROM generate_series(1, {STORED}) AS n, generate_series(1, 2) AS o;
                     ANALYZE"
                );
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.unwrap();
            }
        }
    }

    async fn number(&mut self, sql: &'static str) -> i64 {
        match self {
            Self::Embedded(connection) => sqlx::query_scalar(sql).fetch_one(connection).await.unwrap(),
            Self::Postgres(connection) => sqlx::query_scalar(sql).fetch_one(connection).await.unwrap(),
        }
    }

    /// Size of the tables with their indexes, and how much of it is free to be used again where that is known.
    async fn size(&mut self) -> String {
        let mb = |bytes: i64| bytes as f64 / 1_048_576.0;
        if matches!(self, Self::Postgres(_)) {
            let sql =
                "SELECT (pg_total_relation_size('execution') + pg_total_relation_size('execution_event'))::bigint";
            return format!("{:.1} MB", mb(self.number(sql).await));
        }
        let page = self.number("PRAGMA page_size").await;
        let (all, free) = (self.number("PRAGMA page_count").await, self.number("PRAGMA freelist_count").await);
        format!("{:.1} MB, of which {:.1} MB are free", mb(all * page), mb(free * page))
    }
}

/// Reads the whole list page by page; the median time of the first, the middle and the last fifty pages, in ms.
async fn walk(client: &Client, filter: &str) -> (usize, [f64; 3]) {
    let (mut times, mut cursor, mut seen) = (Vec::new(), String::new(), 0);
    loop {
        let started = Instant::now();
        let answer = client.get(&format!("/v1/executions?limit={PAGE}{filter}{cursor}")).await;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
        let page = answer.expect(200);
        seen += page["executions"].as_array().unwrap().len();
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let sample = times.len().min(150) / 3;
    let middle = times.len() / 2 - sample / 2;
    let parts = [0, middle, times.len() - sample];
    (seen, parts.map(|from| quantile(&mut times[from..from + sample].to_vec(), 0.5)))
}

async fn run(name: &str, folder: &Path, variables: &[(&str, &str)], mut store: Store) {
    store.fill().await;
    println!("\n{name}: {STORED} executions with two steps each take {}", store.size().await);
    let program = Program::start("serve", folder, variables).await;
    let readied = Instant::now();
    for filter in ["", "&user_id=user-7", "&status=completed"] {
        let (seen, [first, middle, last]) = walk(&program.client, filter).await;
        let shown = if filter.is_empty() { "all" } else { &filter[1..] };
        println!(
            "  pages of {PAGE}, {shown} ({seen}): first {first:.2} ms, middle {middle:.2} ms, last {last:.2} ms, last / first {:.2}",
            last / first
        );
    }
    let users = Users::start(&program.client, 4);
    sleep(CALM).await;
    let calm = Figures::of(&users.stop().await, readied, Instant::now());
    program.kill();

    // Deleting begins with the server.
    let kept = KEPT.to_string();
    let variables = [variables, &[("EXECUTION_MAX_ROWS", kept.as_str())]].concat();
    let program = Program::start("serve", folder, &variables).await;
    let (began, users) = (Instant::now(), Users::start(&program.client, 4));
    while store.number("SELECT count(*) FROM execution").await > KEPT + 1000 {
        sleep(Duration::from_millis(50)).await;
        assert!(began.elapsed() < DELETE_TIMEOUT, "too little is deleted");
    }
    let done = Instant::now();
    let busy = Figures::of(&users.stop().await, began, done);
    println!(
        "  down to {KEPT} within {:.1} s of the start; then they take {}",
        (done - began).as_secs_f64(),
        store.size().await
    );
    for (phase, it) in [("calm", calm), ("deleting", busy)] {
        println!(
            "  {phase:9}{:>6} chats, {} failed, p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
            it.count, it.failed, it.p50, it.p99, it.longest
        );
    }
    let orphans = "SELECT count(*) FROM execution_event WHERE execution_id NOT IN (SELECT id FROM execution)";
    assert_eq!(store.number(orphans).await, 0, "steps go with their execution");
}

#[tokio::main]
async fn main() {
    println!("a {} build", if cfg!(debug_assertions) { "debug" } else { "release" });
    let llm = Upstream::start(|seen, _| openai(seen, "ok")).await;
    let base = llm.url();
    let common = [("LLM_BASE_URL", base.as_str()), ("LLM_DEFAULT_MODEL", "stub-model"), ("LLM_PROVIDER", "openai")];
    let common = [&common[..], &[("CACHE_ENABLED", "false"), ("LOG_LEVEL", "warn")]].concat();

    let folder = TempDir::new().unwrap();
    assert!(Program::run("migrate", folder.path(), &common).status.success());
    let store = Store::embedded(folder.path()).await;
    run("embedded database", folder.path(), &common, store).await;

    let (folder, postgres) = (TempDir::new().unwrap(), PostgresServer::start());
    let dsn = postgres.url();
    let variables = [&common[..], &[("POSTGRES_DSN", dsn.as_str())]].concat();
    assert!(Program::run("migrate", folder.path(), &variables).status.success());
    let store = Store::Postgres(PgConnection::connect(&dsn).await.unwrap());
    run("Postgres", folder.path(), &variables, store).await;
}

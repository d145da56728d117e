//! Stored executions in the embedded database: chats, which add some, and the list.

use std::path::Path;

use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

use crate::comparison::{Comparison, Side, show};
use crate::load::{Connection, Server, Talker, number};

/// More than there will be: nothing is to be deleted meanwhile.
const VARIABLES: [(&str, &str); 2] = [("EXECUTION_MAX_ROWS", "100000000"), ("LOG_LEVEL", "warn")];

/// Puts this many executions of two steps each into the database of a folder, past the server.
async fn fill(folder: &Path, count: usize) {
    Server::migrate(folder);
    let options = SqliteConnectOptions::new().filename(folder.join("data/studio.db"));
    let mut connection = options.connect().await.unwrap();
    let numbers =
        format!("WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {count})");
    let now = "CAST(strftime('%s', 'now') AS INTEGER) * 1000";
    let sql = format!(
        "BEGIN;
         INSERT INTO execution (id, user_id, status, prompt, intent, intent_confidence, plan, answer, metadata, started_at,
                finished_at) {numbers}
             SELECT 'e-' || n, 'user-' || (n % 1000), 'completed', 'What did we sell in week ' || n || '?', 'data_query', 0.85,
                '{{\"tasks\": [{{\"id\": \"task_1\", \"action\": \"data_query\"}}]}}', hex(randomblob(60)),
                '{{\"usage\": {{\"input_tokens\": 100, \"output_tokens\": 200}}}}', {now} - {count} + n, {now} FROM number;
         INSERT INTO execution_event (execution_id, number, kind, at, id, action, status, output, duration_ms) {numbers}
             SELECT 'e-' || n, o + 2, 'task_finished', {now}, 'task_' || o, 'data_query', 'completed', hex(randomblob(30)), 7
             FROM number, (SELECT 1 AS o UNION SELECT 2);
         COMMIT"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
}

pub async fn measure(llm: &str, rounds: usize) -> Value {
    let many = number("GROWTH_EXECUTIONS", 1_000_000);
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    fill(folders[1].path(), many).await;
    let [few, more] = folders;
    let servers = [Server::start(few, llm, &VARIABLES).await, Server::start(more, llm, &VARIABLES).await];
    let [a, b] = &servers;
    let mut found = Vec::new();
    let [mut few, mut more] = [a, b].map(|server| Talker::new(&server.address, "user", 20));
    found.push(Comparison::of("chat", rounds, 100, [Side::Chat(&mut few), Side::Chat(&mut more)]).await);
    let mut connections = [Connection::open(&a.address).await.unwrap(), Connection::open(&b.address).await.unwrap()];
    // By now both have a page of chats to show.
    for (what, path) in [
        ("list", "/v1/executions?limit=100"),
        ("list of a user", "/v1/executions?limit=20&user_id=user-7"),
        ("list of a status", "/v1/executions?limit=100&status=completed"),
    ] {
        let [few, more] = &mut connections;
        let side = |connection| Side::Request { connection, method: "GET", path, body: "", names: 1 };
        found.push(Comparison::of(what, rounds, 100, [side(few), side(more)]).await);
    }
    let shown = show("no executions", &format!("{many} executions"), &found);
    let start = [a, b].map(|server| server.start.as_secs_f64());
    println!("ready after {:.2} s and {:.2} s", start[0], start[1]);
    json!({"compared": shown, "start_seconds": start})
}

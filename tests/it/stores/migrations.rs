//! Whatever database the server finds, it serves: none, one of an earlier version, one that others are just setting up.

use std::path::Path;

use serde_json::{Value, json};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqlSafeStr};
use tempfile::TempDir;

use crate::common::databases::postgres;
use crate::common::{Client, Program, TestServer, Upstream};

/// Each schema of the embedded database, oldest first, as a list of changes.
const CHANGES: [&str; 6] = [
    include_str!("../../../migrations/sqlite/0001_initial.sql"),
    include_str!("../../../migrations/sqlite/0002_step_query.sql"),
    include_str!("../../../migrations/sqlite/0003_outside_services.sql"),
    include_str!("../../../migrations/sqlite/0004_table_names.sql"),
    include_str!("../../../migrations/sqlite/0005_transcripts.sql"),
    include_str!("../../../migrations/sqlite/0006_message_count.sql"),
];

/// A database as the first `version` changes made it, with what somebody said and was answered.
async fn left_by(version: usize, folder: &Path) {
    std::fs::create_dir(folder.join("data")).unwrap();
    let options = SqliteConnectOptions::new().filename(folder.join("data/studio.db")).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    let migration = |(nth, sql): (usize, &&'static str)| {
        let version = i64::try_from(nth + 1).unwrap();
        Migration::new(version, "x".into(), MigrationType::Simple, SqlSafeStr::into_sql_str(*sql), false)
    };
    let changes = CHANGES.iter().take(version).enumerate().map(migration).collect();
    Migrator::with_migrations(changes).run(&mut connection).await.unwrap();
    let data = "INSERT INTO conversation (user_id, summary, expires_at) VALUES ('ada', 'They met.', 9000000000000);
        INSERT INTO message (user_id, role, content, metadata, created_at)
            VALUES ('ada', 'user', 'What is it?', '{}', 5), ('ada', 'assistant', 'It is 42.', '{}', 6);
        INSERT INTO execution (id, user_id, status, prompt, answer, started_at, finished_at)
            VALUES ('old', 'ada', 'completed', 'What is it?', 'It is 42.', 5, 9000000000000),
                ('cut off', 'ada', 'running', 'And now?', NULL, 9000000000000, NULL);
        INSERT INTO execution_step (execution_id, ordinal, id, action, status, duration_ms)
            VALUES ('old', 0, 'task_1', 'llm_call', 'completed', 7);";
    sqlx::raw_sql(data).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn chat(client: &Client, user: &str) -> Value {
    let reply = client.post("/v1/chat", &json!({"prompt": "Hello", "user_id": user})).await.expect(200);
    assert_eq!((&reply["metadata"]["memory_saved"], &reply["metadata"]["degraded"]), (&json!(true), &json!(false)));
    reply
}

#[tokio::test]
async fn a_database_of_each_earlier_version_serves_with_all_that_was_in_it() {
    let llm = Upstream::saying("Hi.").await;
    let base = llm.url();
    let variables =
        [("LLM_BASE_URL", base.as_str()), ("LLM_DEFAULT_MODEL", "m"), ("EXECUTION_RETENTION_DAYS", "36500")];
    for version in 0..=CHANGES.len() {
        let folder = TempDir::new().unwrap();
        if version > 0 {
            left_by(version, folder.path()).await;
        }
        let program = Program::start("serve", folder.path(), &variables).await;
        let client = &program.client;
        let id = chat(client, "ada").await["execution_id"].clone();
        let told = client.get(&format!("/v1/executions/{}", id.as_str().unwrap())).await.expect(200);
        assert_eq!((&told["execution"]["answer"], &told["steps"][0]["action"]), (&json!("Hi."), &json!("llm_call")));
        let said = client.get("/api/memory/ada/history").await.expect(200)["messages"].clone();
        let listed = client.get("/v1/executions?user_id=ada").await.expect(200)["executions"].clone();
        let old = if version > 0 { 2 } else { 0 };
        assert_eq!((said.as_array().unwrap().len(), listed.as_array().unwrap().len()), (2 + old, 1 + old), "{version}");
        if version > 0 {
            assert_eq!(said[2]["content"], "It is 42.");
            assert_eq!(client.get("/api/memory/ada/summary").await.expect(200)["summary"], "They met.");
            let told = client.get("/v1/executions/old").await.expect(200);
            assert_eq!(
                (&told["execution"]["answer"], &told["steps"][0]["id"]),
                (&json!("It is 42."), &json!("task_1"))
            );
            let cut_off = client.get("/v1/executions/cut%20off").await.expect(200);
            assert_eq!(cut_off["execution"]["status"], "interrupted");
        }
        let asked = llm.chats().pop().unwrap().body["messages"].to_string();
        assert_eq!(asked.contains("It is 42."), version > 0, "{asked}");
    }
}

#[tokio::test]
async fn two_servers_that_start_at_once_on_an_empty_postgres_both_serve() {
    let (database, llm) = (postgres(&[]).await, Upstream::saying("Hi.").await);
    let variables = [("POSTGRES_DSN", database.url.as_str()), ("CACHE_ENABLED", "false")];
    let (one, two) = tokio::join!(TestServer::with_llm(&llm, &variables), TestServer::with_llm(&llm, &variables));
    let (first, second) = (chat(&one, "ada").await, chat(&two, "ada").await);
    assert_eq!(database.count("SELECT count(*) FROM _sqlx_migrations").await, 7);
    for server in [&one, &two] {
        let listed = server.get("/v1/executions?user_id=ada").await.expect(200)["executions"].clone();
        let ids: Vec<_> = listed.as_array().unwrap().iter().map(|execution| &execution["execution_id"]).collect();
        assert_eq!(ids, [&second["execution_id"], &first["execution_id"]]);
    }
}

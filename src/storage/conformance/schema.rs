//! Databases of any age, and whether every query has its index.

use futures_util::future::join_all;
use serde_json::json;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnection, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Row};
use tempfile::TempDir;

use super::executions::{finished, planned, step};
use super::{TestStores, new_database, settings, url};
use crate::kernel::{Clock, Secret, UserId, new_id};
use crate::storage::{ExecutionFilter, ExecutionStatus, StepStatus, Stores};

/// What has made the embedded database out of the one before, oldest first.
const CHANGES: [&str; 8] = [
    include_str!("../../../migrations/sqlite/0001_initial.sql"),
    include_str!("../../../migrations/sqlite/0002_step_query.sql"),
    include_str!("../../../migrations/sqlite/0003_outside_services.sql"),
    include_str!("../../../migrations/sqlite/0004_table_names.sql"),
    include_str!("../../../migrations/sqlite/0005_transcripts.sql"),
    include_str!("../../../migrations/sqlite/0006_message_count.sql"),
    include_str!("../../../migrations/sqlite/0007_execution_events.sql"),
    include_str!("../../../migrations/sqlite/0008_identity.sql"),
];
/// The last version that stored steps instead of events.
const WITH_STEPS: usize = 6;
const DATA: &str = "INSERT INTO conversation (user_id, summary, expires_at) VALUES ('ada', 'They met.', 9000000000000);
    INSERT INTO message (user_id, role, content, metadata, created_at) VALUES ('ada', 'user', 'Hello', '{}', 5);
    INSERT INTO execution (id, user_id, status, prompt, intent, intent_confidence, plan, started_at, finished_at)
        VALUES ('e', 'ada', 'running', 'Hello', NULL, NULL, NULL, 5, NULL),
            ('f', 'ada', 'completed', 'Hello', 'general_llm', 0.5, '[]', 6, 9);";
const STEPS: &str = "INSERT INTO execution_step (execution_id, ordinal, id, action, status, error, output, duration_ms)
    VALUES ('f', 0, 'task_1.1', 'tool_execution', 'failed', 'no', NULL, 4), ('f', 1, 'task_1', 'llm_call', 'completed', NULL, 'é', 7);";

#[tokio::test]
async fn an_embedded_database_of_each_earlier_version_is_brought_up_to_date() {
    for version in 1..=CHANGES.len() {
        let folder = TempDir::new().unwrap();
        let mut connection = as_left_by(&folder, version, DATA).await;
        if version <= WITH_STEPS {
            sqlx::raw_sql(STEPS).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
        let stores = Stores::open(&settings(&folder, None, None), Clock::system()).await.unwrap();
        assert_eq!(stores.database.migrated.from, i64::try_from(version).unwrap());
        let conversation = stores.conversations.recent(&UserId::parse("ada").unwrap(), 9).await.unwrap();
        assert_eq!((conversation.messages.len(), conversation.summary.as_deref()), (1, Some("They met.")));
        assert_eq!(stores.executions.list(&ExecutionFilter::default(), 9).await.unwrap().len(), 2);
        if version <= WITH_STEPS {
            assert_steps_are_events(&stores).await;
        }
        stores.close().await;
    }
}

/// Steps have become events at their place.
async fn assert_steps_are_events(stores: &Stores) {
    let log = stores.executions.log("f").await.unwrap().unwrap();
    let told: Vec<_> = log.events().iter().map(|event| (event.number, event.at_ms)).collect();
    assert_eq!(told, [(1, 6), (2, 6), (3, 9), (4, 9), (5, 9)]);
    let (_, steps) = log.into_steps();
    let told: Vec<_> = steps.iter().map(|it| (it.id.as_str(), it.error.as_deref(), it.output.as_deref())).collect();
    assert_eq!(told, [("task_1.1", Some("no"), None), ("task_1", None, Some("é"))]);
    assert_eq!(
        (steps[0].action.as_str(), steps[0].status, steps[1].duration_ms),
        ("tool_execution", StepStatus::Failed, 7)
    );
}

#[tokio::test]
async fn a_postgres_of_each_earlier_version_is_brought_up_to_date() {
    const CHANGES: [&str; 4] = [
        include_str!("../../../migrations/postgres/0001_initial.sql"),
        include_str!("../../../migrations/postgres/0002_transcripts.sql"),
        include_str!("../../../migrations/postgres/0003_execution_events.sql"),
        include_str!("../../../migrations/postgres/0004_identity.sql"),
    ];
    /// The last version that stored steps instead of events.
    const WITH_STEPS: usize = 2;
    for version in 1..=CHANGES.len() {
        let Some(dsn) = new_database().await else { return };
        let mut connection = PgConnection::connect(dsn.expose()).await.unwrap();
        migrator(CHANGES.iter().take(version)).run(&mut connection).await.unwrap();
        let execution = "INSERT INTO execution
                (id, server, user_id, status, prompt, intent, intent_confidence, plan, started_at, finished_at)
            VALUES ('f', 's', 'ada', 'completed', 'Hello', 'general_llm', 0.5, '[]', 6, 9);";
        sqlx::raw_sql(execution).execute(&mut connection).await.unwrap();
        if version <= WITH_STEPS {
            sqlx::raw_sql(STEPS).execute(&mut connection).await.unwrap();
        }
        let folder = TempDir::new().unwrap();
        let stores = Stores::open(&settings(&folder, None, Some(dsn)), Clock::system()).await.unwrap();
        assert!(stores.postgres().unwrap().connected, "{stores:?}");
        match version {
            1..=WITH_STEPS => assert_steps_are_events(&stores).await,
            _ => assert!(stores.executions.get("f").await.unwrap().is_some()),
        }
        assert_eq!(stores.identity.keys().await.unwrap(), []);
        stores.close().await;
    }
}

#[tokio::test]
async fn what_an_earlier_version_has_queued_and_knows_is_not_lost() {
    let Some(redis) = url("TEST_REDIS_URL") else { return };
    let (folder, ada, bob) = (TempDir::new().unwrap(), new_id(), new_id());
    let mut connection = as_left_by(&folder, 3, DATA).await;
    let message = r#"{"role":"user","content":"queued","timestamp":"2026-11-22T17:10:03.374000","metadata":{}}"#;
    let body = json!({"id": new_id(), "messages": [message], "most": 9}).to_string();
    for (sql, values) in [
        ("INSERT INTO note VALUES ('installation', ?1)", vec!["the first"]),
        ("INSERT INTO conversation VALUES (?1, NULL, 9000000000000)", vec![&ada]),
        ("INSERT INTO pending (service, owner, bytes, body) VALUES ('redis', ?1, 1, ?2)", vec![&ada, &body]),
        ("INSERT INTO cleared VALUES (?1, 'op', 9000000000000)", vec![&bob]),
    ] {
        let query = values.into_iter().fold(sqlx::query(sql), |query, value| query.bind(value.to_owned()));
        query.execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();

    let stores = Stores::open(&settings(&folder, Some(redis), None), Clock::system()).await.unwrap();
    assert_eq!(stores.database.installation().await.unwrap(), "the first");
    let status = stores.redis().unwrap();
    assert!(status.connected && status.pending == 0, "{status:?}");
    let found = stores.conversations.recent(&UserId::parse(&ada).unwrap(), 9).await.unwrap();
    assert_eq!(found.messages[0].content, "queued", "it has come to Redis");
    let mut connection = stores.redis.as_ref().unwrap().connection().unwrap();
    let key = format!("conversation_epoch:{bob}");
    let epoch: String = redis::cmd("GET").arg(key).query_async(&mut connection).await.unwrap();
    assert_eq!(epoch, "op", "what was cleared is told to Redis");
    stores.close().await;
}

/// The embedded database of a folder as this version made it, with some data.
async fn as_left_by(folder: &TempDir, version: usize, data: &'static str) -> sqlx::SqliteConnection {
    let url = format!("sqlite:{}?mode=rwc", folder.path().join("studio.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    migrator(CHANGES.iter().take(version)).run(&mut connection).await.unwrap();
    sqlx::raw_sql(data).execute(&mut connection).await.unwrap();
    connection
}

fn migrator<'a>(changes: impl Iterator<Item = &'a &'static str>) -> Migrator {
    let migration = |(number, sql): (usize, &&'static str)| {
        let version = i64::try_from(number + 1).unwrap();
        Migration::new(version, "x".into(), MigrationType::Simple, sqlx::SqlSafeStr::into_sql_str(*sql), false)
    };
    Migrator::with_migrations(changes.enumerate().map(migration).collect())
}

#[tokio::test]
async fn a_newer_embedded_database_is_refused() {
    let folder = TempDir::new().unwrap();
    Stores::open(&settings(&folder, None, None), Clock::system()).await.unwrap().close().await;
    let url = format!("sqlite:{}", folder.path().join("studio.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (99, 'future', TRUE, x'00', 0)";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    let error = Stores::open(&settings(&folder, None, None), Clock::system()).await.unwrap_err().to_string();
    assert!(error.contains("newer schema (it has migration 99)"), "{error}");
}

#[tokio::test]
async fn a_newer_postgres_is_refused() {
    let Some(dsn) = new_database().await else { return };
    let folder = TempDir::new().unwrap();
    let settings = settings(&folder, None, Some(dsn.clone()));
    assert_eq!(Stores::migrate(&settings).await.unwrap()[1], "Postgres: version 0 -> 7");
    assert_eq!(Stores::migrate(&settings).await.unwrap()[1], "Postgres is up to date at version 7");
    let mut connection = PgConnection::connect(dsn.expose()).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (99, 'future', TRUE, '', 0)";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    let error = Stores::open(&settings, Clock::system()).await.unwrap_err().to_string();
    assert!(error.contains("newer schema (it has migration 99)"), "{error}");
    let error = Stores::migrate(&settings).await.unwrap_err().to_string();
    assert!(error.contains("migration 99"), "{error}");
}

#[tokio::test]
async fn servers_that_start_at_once_on_an_empty_postgres_take_turns() {
    let Some(dsn) = new_database().await else { return };
    let starts = (0..4).map(|_| async {
        let folder = TempDir::new().unwrap();
        let stores = Stores::open(&settings(&folder, None, Some(dsn.clone())), Clock::system()).await.unwrap();
        let connected = stores.postgres().unwrap();
        stores.close().await;
        connected
    });
    for status in futures_util::future::join_all(starts).await {
        assert!(status.connected && status.failures == 0, "{status:?}");
    }
}

#[tokio::test]
async fn every_query_has_an_index() {
    let Some(bench) = TestStores::postgres().await else { return };
    let dsn = bench.dsn.clone().unwrap();
    let pool = PgPoolOptions::new().max_connections(1).connect(dsn.expose()).await.unwrap();
    // Small tables are read whole and sorted whatever there is.
    for setting in ["SET enable_seqscan = off", "SET enable_sort = off"] {
        sqlx::query(setting).execute(&pool).await.unwrap();
    }
    for sql in [
        "SELECT * FROM execution WHERE id = 'x'",
        "SELECT * FROM execution_event WHERE execution_id = 'x' ORDER BY number",
        "SELECT * FROM execution WHERE position < 9 ORDER BY position DESC LIMIT 5",
        "SELECT * FROM execution WHERE position < 9 AND user_id = 'x' ORDER BY position DESC LIMIT 5",
        "SELECT * FROM execution WHERE position < 9 AND status = 'x' ORDER BY position DESC LIMIT 5",
        "SELECT * FROM execution WHERE position < 9 AND user_id = 'x' AND status = 'x' ORDER BY position DESC LIMIT 5",
        "UPDATE execution SET status = 'x' WHERE id = 'x' AND status = 'running'",
        "UPDATE execution SET status = 'x' WHERE status = 'running' AND server = 'x' AND started_at < 5",
        "SELECT position FROM execution ORDER BY position DESC LIMIT 1 OFFSET 5",
        "DELETE FROM execution WHERE position IN (SELECT position FROM execution WHERE position = ANY (ARRAY(
             SELECT position FROM (SELECT position, started_at FROM execution WHERE status <> 'running'
                 ORDER BY position LIMIT 1000) AS oldest
             WHERE started_at < 5 OR position <= 5 LIMIT 20)) FOR UPDATE SKIP LOCKED)",
        "UPDATE execution SET status = 'interrupted' WHERE position IN (SELECT position FROM execution
             WHERE status = 'running' AND started_at < 5 LIMIT 20 FOR UPDATE SKIP LOCKED)",
        "SELECT * FROM transcript WHERE id = 'x'",
        "SELECT * FROM transcript ORDER BY updated_at DESC, id DESC LIMIT 5 OFFSET 5",
        "SELECT * FROM transcript WHERE user_id = 'x' ORDER BY updated_at DESC, id DESC LIMIT 5 OFFSET 5",
        "SELECT count(*) FROM transcript_message WHERE transcript_id = 'x'",
        "SELECT * FROM transcript_message WHERE transcript_id = 'x' ORDER BY position DESC LIMIT 5",
        "SELECT latency_ms FROM transcript_message WHERE succeeded IS NOT NULL AND created_at >= 5
             ORDER BY created_at DESC LIMIT 5",
        "SELECT count(*) FROM transcript",
        "SELECT * FROM api_key ORDER BY id",
        "SELECT revision FROM key_revision WHERE singleton = 1",
        "UPDATE api_key SET revoked_at = 5 WHERE id = 'x' AND revoked_at IS NULL",
        "SELECT id, revision FROM config_head WHERE singleton = 1 FOR UPDATE",
        "SELECT * FROM config_entry WHERE revision > 5",
        "SELECT * FROM config_change WHERE revision = 5",
        "SELECT * FROM config_revision WHERE number < 5 ORDER BY number DESC LIMIT 5",
        "SELECT * FROM audit_entry WHERE true ORDER BY at DESC, id DESC LIMIT 5",
        "SELECT * FROM audit_entry WHERE at >= 5 AND at < 9 AND (at, id) < (7, 'x') ORDER BY at DESC, id DESC LIMIT 5",
        "SELECT * FROM audit_entry WHERE actor_user = 'x' AND (at, id) < (7, 'x') ORDER BY at DESC, id DESC LIMIT 5",
        "SELECT * FROM audit_entry WHERE actor_key = 'x' ORDER BY at DESC, id DESC LIMIT 5",
        "SELECT * FROM audit_entry WHERE operation = 'x' ORDER BY at DESC, id DESC LIMIT 5",
        "SELECT * FROM audit_entry WHERE outcome = 'x' ORDER BY at DESC, id DESC LIMIT 5",
        "SELECT * FROM audit_entry WHERE target = 'x' ORDER BY at DESC, id DESC LIMIT 5",
        "DELETE FROM audit_entry WHERE id = ANY (ARRAY(
             SELECT id FROM audit_entry WHERE at < 5 ORDER BY at LIMIT 5 FOR UPDATE SKIP LOCKED))",
        "SELECT * FROM prompt_profile ORDER BY name LIMIT 5",
        "UPDATE prompt_profile SET is_active = FALSE WHERE is_active",
        "DELETE FROM transcript WHERE id = ANY (ARRAY(
             SELECT id FROM transcript WHERE updated_at < 5 ORDER BY updated_at LIMIT 5 FOR UPDATE SKIP LOCKED))",
    ] {
        let plan = sqlx::query(AssertSqlSafe(format!("EXPLAIN {sql}"))).fetch_all(&pool).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        assert!(!plan.contains("Seq Scan") && !plan.contains("Sort"), "{sql}\n{plan}");
    }
}

/// Postgres has no statistics yet, and remembers the plans that it makes without them.
#[tokio::test]
async fn a_new_table_is_read_by_its_indexes_from_the_start() {
    let Some(bench) = TestStores::postgres().await else { return };
    for _ in 0..30 {
        let id = new_id();
        let begun = bench.execution(&id);
        bench.stores.executions.begin(begun.clone()).await.unwrap();
        bench.stores.executions.plan(&id, planned("general_llm", 0.5, &json!({}))).await.unwrap();
        // What has begun is written before it ends.
        assert!(bench.stores.executions.get(&id).await.unwrap().is_some());
        bench.stores.executions.task(&id, finished(3, step("task_1"))).await.unwrap();
        bench.finish(&id, ExecutionStatus::Completed).await;
    }
    let pool = bench.stores.postgres.as_ref().unwrap().connection().unwrap().pool;
    for connection in join_all((0..4).map(|_| pool.acquire())).await {
        let mut connection = connection.unwrap();
        // Each tells what it has counted when it ends its next statement.
        sqlx::query("SELECT pg_stat_force_next_flush()").execute(&mut *connection).await.unwrap();
        sqlx::query("SELECT 1").execute(&mut *connection).await.unwrap();
    }
    let counts = "SELECT seq_scan, n_tup_upd FROM pg_stat_user_tables WHERE relname = 'execution'";
    let (whole, updated): (i64, i64) = sqlx::query_as(counts).fetch_one(&pool).await.unwrap();
    assert_eq!(updated, 30);
    assert!(whole < 10, "the table was read {whole} times as a whole; when its indexes were made, that was right");
}

#[tokio::test]
async fn an_account_that_may_only_read_and_write_rows_is_enough_once_the_schema_is_there() {
    let Some(dsn) = new_database().await else { return };
    let folder = TempDir::new().unwrap();
    Stores::migrate(&settings(&folder, None, Some(dsn.clone()))).await.unwrap();
    let mut connection = PgConnection::connect(dsn.expose()).await.unwrap();
    let account = format!("plain_{}", new_id().replace('-', ""));
    let granting = format!(
        "CREATE ROLE {account} LOGIN PASSWORD 'a plain password';
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {account}"
    );
    sqlx::raw_sql(AssertSqlSafe(granting)).execute(&mut connection).await.unwrap();
    let mut url: url::Url = dsn.expose().parse().unwrap();
    url.set_username("").unwrap();
    url.set_password(None).unwrap();
    url.query_pairs_mut().append_pair("user", &account).append_pair("password", "a plain password");
    let settings = settings(&folder, None, Some(Secret::new(String::from(url))));
    let stores = Stores::open(&settings, Clock::system()).await.unwrap();
    let status = stores.postgres().unwrap();
    assert!(status.connected && status.pending == 0, "{status:?}");
    stores.close().await;
}

#[tokio::test]
async fn a_server_that_hangs_while_it_migrates_keeps_nobody_from_a_schema_that_is_there() {
    use sqlx::migrate::Migrate;
    let Some(dsn) = new_database().await else { return };
    let folder = TempDir::new().unwrap();
    let settings = settings(&folder, None, Some(dsn.clone()));
    Stores::migrate(&settings).await.unwrap();
    let mut hanging = PgConnection::connect(dsn.expose()).await.unwrap();
    hanging.lock().await.unwrap();
    let stores = Stores::open(&settings, Clock::system()).await.unwrap();
    assert!(stores.postgres().unwrap().connected, "{stores:?}");
    stores.close().await;
}

#[tokio::test]
async fn a_dsn_with_parameters_that_would_lead_elsewhere_is_refused() {
    let folder = TempDir::new().unwrap();
    for (parameters, named) in
        [("hostaddr=1.2.3.4", "hostaddr"), ("user=u&service=d", "service"), ("options=x", "options")]
    {
        let dsn = Secret::new(format!("postgres://h/db?{parameters}"));
        let error = Stores::open(&settings(&folder, None, Some(dsn)), Clock::system()).await.unwrap_err().to_string();
        assert!(error.contains(&format!("parameter '{named}'")), "{error}");
    }
}

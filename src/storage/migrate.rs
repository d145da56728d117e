use sqlx::Executor;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;

/// Schema changes of one kind of database: version, name, SQL; oldest first. Never edit one that has been released: add the
/// next.
type MigrationList = [(i64, &'static str, &'static str)];

const SQLITE: &MigrationList = &[
    (1, "initial", include_str!("../../migrations/sqlite/0001_initial.sql")),
    (2, "step query", include_str!("../../migrations/sqlite/0002_step_query.sql")),
    (3, "outside services", include_str!("../../migrations/sqlite/0003_outside_services.sql")),
    (4, "table names", include_str!("../../migrations/sqlite/0004_table_names.sql")),
    (5, "transcripts", include_str!("../../migrations/sqlite/0005_transcripts.sql")),
    (6, "message count", include_str!("../../migrations/sqlite/0006_message_count.sql")),
    (7, "execution events", include_str!("../../migrations/sqlite/0007_execution_events.sql")),
    (8, "identity", include_str!("../../migrations/sqlite/0008_identity.sql")),
    (9, "limits", include_str!("../../migrations/sqlite/0009_limits.sql")),
    (10, "configuration", include_str!("../../migrations/sqlite/0010_configuration.sql")),
];

const POSTGRES: &MigrationList = &[
    (1, "initial", include_str!("../../migrations/postgres/0001_initial.sql")),
    (2, "transcripts", include_str!("../../migrations/postgres/0002_transcripts.sql")),
    (3, "execution events", include_str!("../../migrations/postgres/0003_execution_events.sql")),
    (4, "identity", include_str!("../../migrations/postgres/0004_identity.sql")),
    (5, "configuration", include_str!("../../migrations/postgres/0005_configuration.sql")),
    (6, "server leases", include_str!("../../migrations/postgres/0006_server_leases.sql")),
    (7, "conversations", include_str!("../../migrations/postgres/0007_conversations.sql")),
];

const NEWEST: &str = "SELECT MAX(version) FROM _sqlx_migrations";

/// From which version to which a schema was brought; 0 is an empty database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// What was found.
    pub from: i64,
    /// What is there now.
    pub to: i64,
}

/// Brings the embedded database up to date.
pub(super) async fn sqlite(connection: &mut SqliteConnection) -> Result<MigrationReport, MigrateError> {
    run(&migrator(SQLITE), connection).await
}

/// How the schema of a database compares with the one that this version makes; with the newest migration that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SchemaState {
    /// It has none yet.
    Empty,
    Older(i64),
    Current,
    Newer(i64),
}

impl SchemaState {
    fn of(newest: Option<i64>, known: i64) -> Self {
        match newest {
            None => Self::Empty,
            Some(newest) if newest < known => Self::Older(newest),
            Some(newest) if newest > known => Self::Newer(newest),
            Some(_) => Self::Current,
        }
    }
}

/// The state of the embedded database.
pub(super) async fn sqlite_state(connection: &mut SqliteConnection) -> Result<SchemaState, sqlx::Error> {
    let has_migrations = "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'";
    if sqlx::query_scalar::<_, i64>(has_migrations).fetch_one(&mut *connection).await? == 0 {
        return Ok(SchemaState::Empty);
    }
    let newest = sqlx::query_scalar(NEWEST).fetch_one(connection).await?;
    Ok(SchemaState::of(newest, last_known(&migrator(SQLITE))))
}

/// The state of Postgres.
pub(super) async fn postgres_state(connection: &mut PgConnection) -> Result<SchemaState, sqlx::Error> {
    let exists = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL");
    if !exists.fetch_one(&mut *connection).await? {
        return Ok(SchemaState::Empty);
    }
    let newest = sqlx::query_scalar(NEWEST).fetch_one(connection).await?;
    Ok(SchemaState::of(newest, last_known(&migrator(POSTGRES))))
}

/// Ends the wait for others, and, should this server be cut off, its own hold on the lock.
const LOCK_SETTINGS: &str = "SET lock_timeout = '10s'; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3";

/// Brings Postgres up to date, under a lock that others who want the same wait for. If nothing is missing, it takes no lock
/// and no right but to read.
pub(super) async fn postgres(connection: &mut PgConnection) -> Result<MigrationReport, MigrateError> {
    let migrator = migrator(POSTGRES);
    if is_up_to_date(connection, &migrator).await? {
        let version = last_known(&migrator);
        return Ok(MigrationReport { from: version, to: version });
    }
    connection.execute(LOCK_SETTINGS).await?;
    connection.lock().await?;
    let outcome = run(&migrator, connection).await;
    connection.unlock().await?;
    outcome
}

async fn run<C: Migrate>(migrator: &Migrator, connection: &mut C) -> Result<MigrationReport, MigrateError> {
    connection.ensure_migrations_table(&migrator.table_name).await?;
    let applied = connection.list_applied_migrations(&migrator.table_name).await?;
    let from = applied.iter().map(|migration| migration.version).max().unwrap_or(0);
    migrator.run_direct(None, connection, false).await?;
    Ok(MigrationReport { from, to: last_known(migrator) })
}

async fn is_up_to_date(connection: &mut PgConnection, migrator: &Migrator) -> Result<bool, MigrateError> {
    let exists = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(migrator.table_name.as_ref());
    let exists: bool = exists.fetch_one(&mut *connection).await?;
    if !exists {
        return Ok(false);
    }
    let applied = connection.list_applied_migrations(&migrator.table_name).await?;
    let applied: Vec<_> = applied.iter().map(|migration| (migration.version, migration.checksum.as_ref())).collect();
    let known: Vec<_> = migrator.iter().map(|migration| (migration.version, migration.checksum.as_ref())).collect();
    Ok(applied == known)
}

/// Says that `what` is from the future.
pub(super) fn newer_schema(what: &str, version: i64) -> String {
    format!(
        "{what} has a newer schema (it has migration {version}) than this version of the server knows: use a newer one"
    )
}

/// Says that `what` is from the past, and what is to be done about that.
pub(super) fn older_schema(what: &str, version: i64, remedy: &str) -> String {
    format!(
        "{what} has an older schema (its last migration is {version}) than this version of the program needs: {remedy}"
    )
}

fn last_known(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or(0)
}

fn migrator(changes: &MigrationList) -> Migrator {
    let migration = |(version, name, sql): &(i64, &'static str, &'static str)| {
        let sql = sqlx::SqlSafeStr::into_sql_str(*sql);
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations(changes.iter().map(migration).collect())
}

//! Databases on the real servers that `tests/run` starts, and SQLite files. Each operation has a connection of its own, so
//! that a database can be used from any runtime.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;
use tokio::time::Instant;
use uuid::Uuid;

/// Longest wait for a server to see that a session has nothing to do any more.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A database of the test's own, with two accounts that can reach nothing else. It goes when its server does.
pub struct TestDatabase {
    /// For the account that may do anything in the database.
    pub url: String,
    /// For the account that may only SELECT.
    pub reader_url: String,
    owner: String,
    reader: String,
    admin: Admin,
}

/// How the server's administrator connects to the database.
enum Admin {
    Postgres(PgConnectOptions),
    Mariadb(MySqlConnectOptions),
}

/// A new PostgreSQL database after these statements of its owner.
pub async fn postgres(schema_sql: &[&str]) -> TestDatabase {
    let server = variable("TEST_POSTGRES_URL");
    let Names { database, owner, reader, password } = Names::new();
    let admin = PgConnectOptions::from_str(&server).unwrap();
    let mut connection = admin.connect().await.unwrap();
    for sql in [
        format!("CREATE ROLE {owner} LOGIN PASSWORD '{password}'"),
        format!("CREATE ROLE {reader} LOGIN PASSWORD '{password}'"),
        format!("CREATE DATABASE {database} OWNER {owner}"),
        format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC"),
        format!("GRANT CONNECT ON DATABASE {database} TO {reader}"),
    ] {
        run_postgres(&mut connection, &sql).await;
    }
    connection.close().await.unwrap();

    let url = account_url(&server, &owner, &password, &database);
    let reader_url = account_url(&server, &reader, &password, &database);
    let admin = admin.database(&database);
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for sql in schema_sql {
        run_postgres(&mut connection, sql).await;
    }
    connection.close().await.unwrap();

    // Tables that come later belong to whoever makes them: the owner, or `execute`.
    let mut connection = admin.connect().await.unwrap();
    let grants = format!(
        "DO $$
         DECLARE name text;
         BEGIN
             FOR name IN SELECT quote_ident(nspname) FROM pg_namespace
                 WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
             LOOP
                 EXECUTE format('GRANT USAGE ON SCHEMA %s TO {reader}', name);
                 EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %s TO {reader}', name);
             END LOOP;
         END $$;
         ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {owner};
         ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO {owner};
         ALTER DEFAULT PRIVILEGES FOR ROLE CURRENT_USER, {owner} GRANT SELECT ON TABLES TO {reader};"
    );
    run_postgres(&mut connection, &grants).await;
    connection.close().await.unwrap();
    TestDatabase { url, reader_url, owner, reader, admin: Admin::Postgres(admin) }
}

/// A new MariaDB database after these statements of its owner.
pub async fn mariadb(schema_sql: &[&str]) -> TestDatabase {
    let server = variable("TEST_MARIADB_URL");
    let Names { database, owner, reader, password } = Names::new();
    let admin = MySqlConnectOptions::from_str(&server).unwrap();
    let mut connection = admin.connect().await.unwrap();
    // In a grant, `_` stands for any character.
    let granted = database.replace('_', "\\_");
    for sql in [
        format!("CREATE DATABASE {database}"),
        format!("CREATE USER {owner} IDENTIFIED BY '{password}'"),
        format!("CREATE USER {reader} IDENTIFIED BY '{password}'"),
        format!("GRANT ALL ON `{granted}`.* TO {owner}"),
        format!("GRANT SELECT ON `{granted}`.* TO {reader}"),
    ] {
        run_mariadb(&mut connection, &sql).await;
    }
    connection.close().await.unwrap();

    let url = account_url(&server, &owner, &password, &database);
    let reader_url = account_url(&server, &reader, &password, &database);
    let admin = admin.database(&database);
    let mut connection = MySqlConnection::connect(&url).await.unwrap();
    for sql in schema_sql {
        run_mariadb(&mut connection, sql).await;
    }
    connection.close().await.unwrap();
    TestDatabase { url, reader_url, owner, reader, admin: Admin::Mariadb(admin) }
}

impl TestDatabase {
    /// Runs one or more statements as the server's administrator.
    pub async fn execute(&self, sql: &str) {
        match &self.admin {
            Admin::Postgres(admin) => {
                let mut connection = admin.connect().await.unwrap();
                run_postgres(&mut connection, sql).await;
                connection.close().await.unwrap();
            }
            Admin::Mariadb(admin) => {
                let mut connection = admin.connect().await.unwrap();
                run_mariadb(&mut connection, sql).await;
                connection.close().await.unwrap();
            }
        }
    }

    /// The number that a `SELECT count(...)` finds as the server's administrator.
    pub async fn count(&self, sql: &str) -> i64 {
        let query = AssertSqlSafe(sql);
        match &self.admin {
            Admin::Postgres(admin) => {
                let mut connection = admin.connect().await.unwrap();
                let count = sqlx::query_scalar(query).fetch_one(&mut connection).await;
                connection.close().await.unwrap();
                count.unwrap_or_else(|error| panic!("{error} in: {sql}"))
            }
            Admin::Mariadb(admin) => {
                let mut connection = admin.connect().await.unwrap();
                let count = sqlx::query_scalar(query).fetch_one(&mut connection).await;
                connection.close().await.unwrap();
                count.unwrap_or_else(|error| panic!("{error} in: {sql}"))
            }
        }
    }

    /// How many sessions of the two accounts are running a statement right now.
    pub async fn running(&self) -> i64 {
        let Self { owner, reader, .. } = self;
        let (sessions, account, busy) = match self.admin {
            Admin::Postgres(_) => {
                ("pg_stat_activity", "usename", "state = 'active' AND backend_type = 'client backend'")
            }
            Admin::Mariadb(_) => ("information_schema.processlist", "user", "command <> 'Sleep'"),
        };
        let sql = format!("SELECT count(*) FROM {sessions} WHERE {account} IN ('{owner}', '{reader}') AND {busy}");
        self.count(&sql).await
    }
}

impl TestDatabase {
    /// Done when no session of the two accounts runs a statement; fails if one goes on.
    pub async fn idle(&self) {
        let until = Instant::now() + TIMEOUT;
        while self.running().await > 0 {
            assert!(Instant::now() < until, "a session stays busy");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Done when a session of the two accounts runs a statement.
    pub async fn busy(&self) {
        let until = Instant::now() + TIMEOUT;
        while self.running().await == 0 {
            assert!(Instant::now() < until, "no session gets busy");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sessions of the two accounts.
    pub async fn sessions(&self) -> i64 {
        let Self { owner, reader, .. } = self;
        let (sessions, account) = match self.admin {
            Admin::Postgres(_) => ("pg_stat_activity", "usename"),
            Admin::Mariadb(_) => ("information_schema.processlist", "user"),
        };
        self.count(&format!("SELECT count(*) FROM {sessions} WHERE {account} IN ('{owner}', '{reader}')")).await
    }

    /// All that a query could have changed, row by row, as a text to compare.
    pub async fn contents(&self) -> String {
        match &self.admin {
            Admin::Postgres(admin) => postgres_contents(&mut admin.connect().await.unwrap()).await,
            Admin::Mariadb(admin) => mariadb_contents(&mut admin.connect().await.unwrap()).await,
        }
    }

    /// The URL of the owner with something in it replaced.
    pub fn url_with(&self, old: &str, new: &str) -> String {
        assert!(self.url.contains(old), "{old}");
        self.url.replace(old, new)
    }

    /// The password of the two accounts.
    pub fn password(&self) -> &str {
        let (_, rest) = self.url.split_once("://").unwrap();
        rest.split([':', '@']).nth(1).unwrap()
    }

    /// The account that may do anything.
    pub fn account(&self) -> &str {
        &self.owner
    }

    /// The account that may only SELECT.
    pub fn reader(&self) -> &str {
        &self.reader
    }

    /// What the database is called.
    pub fn name(&self) -> &str {
        self.url.rsplit_once('/').unwrap().1
    }
}

async fn postgres_contents(connection: &mut PgConnection) -> String {
    let own = "nspname !~ '^pg_' AND nspname <> 'information_schema'";
    let tables = format!(
        "SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
         WHERE relkind = 'r' AND {own} ORDER BY 1"
    );
    let mut lists = vec![
        format!(
            "SELECT concat(relkind, ' ', nspname, '.', relname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
             WHERE {own} ORDER BY 1"
        ),
        "SELECT concat(schemaname, '.', sequencename, '=', last_value) FROM pg_sequences ORDER BY 1".to_owned(),
        "SELECT proname::text FROM pg_proc WHERE oid >= 16384 ORDER BY 1".to_owned(),
        "SELECT concat('large object ', oid) FROM pg_largeobject_metadata".to_owned(),
        "SELECT concat(setdatabase, setconfig) FROM pg_db_role_setting d JOIN pg_database b ON b.oid = setdatabase
         WHERE datname = current_database()"
            .to_owned(),
    ];
    let tables: Vec<String> = sqlx::query_scalar(AssertSqlSafe(tables)).fetch_all(&mut *connection).await.unwrap();
    lists.extend(tables.iter().map(|table| format!("SELECT concat('{table} ', t) FROM {table} t ORDER BY 1")));
    let mut all = Vec::new();
    for sql in lists {
        all.extend(sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).fetch_all(&mut *connection).await.unwrap());
    }
    all.join("\n")
}

async fn mariadb_contents(connection: &mut MySqlConnection) -> String {
    let lists = [
        "SELECT CONCAT(table_type, ' ', table_name) FROM information_schema.tables WHERE table_schema = DATABASE()",
        "SELECT CONCAT(routine_name) FROM information_schema.routines WHERE routine_schema = DATABASE()",
        "SELECT CONCAT(event_name) FROM information_schema.events WHERE event_schema = DATABASE()",
        "SELECT CONCAT(trigger_name) FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
    ];
    let mut all = Vec::new();
    for sql in lists {
        let mut found: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *connection).await.unwrap();
        found.sort();
        all.extend(found);
    }
    let tables = "SELECT CONCAT(table_name) FROM information_schema.tables
         WHERE table_schema = DATABASE() AND table_type IN ('BASE TABLE', 'SEQUENCE') ORDER BY 1";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut *connection).await.unwrap();
    for table in tables {
        let columns = format!(
            "SELECT GROUP_CONCAT(CONCAT('`', column_name, '`') ORDER BY ordinal_position) FROM information_schema.columns
             WHERE table_schema = DATABASE() AND table_name = '{table}'"
        );
        let columns: String = sqlx::query_scalar(AssertSqlSafe(columns)).fetch_one(&mut *connection).await.unwrap();
        let rows = format!("SELECT CONCAT_WS(' ', '{table}', {columns}) FROM `{table}` ORDER BY 1");
        all.extend(sqlx::query_scalar::<_, String>(AssertSqlSafe(rows)).fetch_all(&mut *connection).await.unwrap());
    }
    all.join("\n")
}

/// A SQLite file in a folder of its own. It goes when this does.
pub struct SqliteFile {
    folder: TempDir,
    pub path: PathBuf,
}

/// A new SQLite file after these statements.
pub async fn sqlite(schema_sql: &[&str]) -> SqliteFile {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sales.db");
    let file = SqliteFile { folder, path };
    let options = SqliteConnectOptions::new().filename(&file.path).create_if_missing(true);
    options.connect().await.unwrap().close().await.unwrap();
    for sql in schema_sql {
        file.execute(sql).await;
    }
    file
}

impl SqliteFile {
    /// A URL of the file.
    pub fn url(&self) -> String {
        format!("sqlite://{}", self.path.display())
    }

    /// A connection that may write.
    pub async fn open(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(&self.path).connect().await.unwrap()
    }

    /// Runs one or more statements.
    pub async fn execute(&self, sql: &str) {
        let mut connection = self.open().await;
        let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
        done.unwrap_or_else(|error| panic!("{error} in: {sql}"));
        connection.close().await.unwrap();
    }

    /// All files in the folder, byte by byte.
    pub fn contents(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    }
}

/// What a new database and its accounts are called; the accounts share a password.
struct Names {
    database: String,
    owner: String,
    reader: String,
    password: String,
}

impl Names {
    fn new() -> Self {
        let id = Uuid::new_v4().simple();
        Self {
            database: format!("t_{id}"),
            owner: format!("owner_{id}"),
            reader: format!("reader_{id}"),
            password: Uuid::new_v4().simple().to_string(),
        }
    }
}

/// Where a server is, for its administrator.
#[expect(clippy::disallowed_methods, reason = "where the servers are is no setting of the program")]
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is missing: please run the tests by tests/run, which brings the servers they need")
    })
}

/// The server's own URL with another account and database.
fn account_url(server: &str, account: &str, password: &str, database: &str) -> String {
    let (scheme, rest) = server.split_once("://").unwrap();
    let (_, place) = rest.rsplit_once('@').unwrap();
    let (address, _) = place.split_once('/').unwrap();
    format!("{scheme}://{account}:{password}@{address}/{database}")
}

async fn run_postgres(connection: &mut PgConnection, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    done.unwrap_or_else(|error| panic!("{error} in: {sql}"));
}

async fn run_mariadb(connection: &mut MySqlConnection, sql: &str) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await;
    done.unwrap_or_else(|error| panic!("{error} in: {sql}"));
}

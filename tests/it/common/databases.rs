//! Databases on the real servers that `tests/run` starts. Each operation has a connection of its own, so that a database
//! can be used from any runtime.

use std::str::FromStr;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use uuid::Uuid;

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

#[expect(clippy::disallowed_methods, reason = "where the servers are is no setting of the program")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is missing: please run the tests by tests/run, which starts database servers")
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

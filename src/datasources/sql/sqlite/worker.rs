//! What a process does that reads a SQLite file for the server: `orchestrator-studio read-sqlite FILE`.

use std::io::{self, BufRead, BufWriter, Write, stdin, stdout};
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::sqlite::{Sqlite, SqliteColumn, SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Column as _, ConnectOptions as _, Executor, Row, SqlSafeStr, Statement, TypeInfo, ValueRef};
use tokio::sync::mpsc;

use super::catalog;
use crate::datasources::health::FileReport;
use crate::datasources::query::QueryResult;
use crate::datasources::rows::RowCollector;
use crate::datasources::schema::TableCatalog;
use crate::datasources::sql::bind::arguments;
use crate::datasources::sql::engine::{collect, column_of};
use crate::datasources::values::{base64_text, float, integer, text_or_base64};
use crate::kernel::{Error, JsonReader};

/// Memory that a worker may have, in bytes: what the largest result takes, and half as much again. Sorting goes to files long before.
pub(super) const MAX_MEMORY: u64 = 400_000_000;
/// Size that each of its temporary files may have, in bytes.
const MAX_FILE_BYTES: u64 = 1_000_000_000;

/// What a worker is asked for, as a line of JSON. Its reply is one line too: a `Result` of what was found, or else why nothing was.
#[derive(Debug, Deserialize, Serialize)]
pub(in crate::datasources::sql) enum WorkerRequest {
    /// Answered by a `QueryResult`.
    Query { sql: String, values: Vec<Value>, max_rows: usize },
    /// Answered by a `TableCatalog`.
    Schema,
    /// Answered by a `FileReport`.
    Check,
}

/// Reads this file for the server that has started this process, in lines of JSON, and ends with it.
pub async fn read_sqlite(file: &Path) -> Result<(), Error> {
    for (resource, most) in [(Resource::Data, MAX_MEMORY), (Resource::Fsize, MAX_FILE_BYTES), (Resource::Core, 0)] {
        // The operator may have set a narrower one.
        let most = getrlimit(resource).maximum.map_or(most, |allowed| allowed.min(most));
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit).map_err(|error| Error::internal("a limit could not be set", error))?;
    }
    let (mut jobs, mut connection) = (jobs(), None);
    while let Some(job) = jobs.recv().await {
        let answer = tokio::select! {
            answer = handle(file, &mut connection, &job) => answer,
            // No second job comes before this one is answered: the server has gone.
            _ = jobs.recv() => return Ok(()),
        };
        write_reply(&answer.map_err(error_text))
            .map_err(|error| Error::internal("an answer could not be given", error))?;
    }
    Ok(())
}

/// What was found.
#[derive(Serialize)]
#[serde(untagged)]
enum WorkerReply {
    Rows(QueryResult),
    Tables(TableCatalog),
    File(FileReport),
}

fn write_reply(answer: &Result<WorkerReply, String>) -> io::Result<()> {
    let mut out = BufWriter::new(stdout().lock());
    serde_json::to_writer(&mut out, answer)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// The lines of standard input; it ends with them.
fn jobs() -> mpsc::Receiver<String> {
    let (sender, jobs) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut lines = stdin().lock().lines();
        while let Some(Ok(line)) = lines.next()
            && sender.blocking_send(line).is_ok()
        {}
    });
    jobs
}

fn error_text(error: sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(objection) => objection.message().to_owned(),
        other => other.to_string(),
    }
}

async fn handle(file: &Path, open: &mut Option<SqliteConnection>, job: &str) -> Result<WorkerReply, sqlx::Error> {
    // The server that has started this process may have any limits.
    let job = JsonReader::new(usize::MAX).read(job.as_bytes()).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let connection = match open {
        Some(connection) => connection,
        None => open.insert(connect_options(file).connect().await?),
    };
    match job {
        WorkerRequest::Query { sql, values, max_rows } => {
            query(connection, sql, values, max_rows).await.map(WorkerReply::Rows)
        }
        WorkerRequest::Schema => catalog::read(connection).await.map(WorkerReply::Tables),
        WorkerRequest::Check => check(connection).await.map(WorkerReply::File),
    }
}

fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .create_if_missing(false)
        .pragma("query_only", "ON")
        .pragma("trusted_schema", "OFF")
        .statement_cache_capacity(0)
}

async fn query(
    connection: &mut SqliteConnection,
    sql: String,
    values: Vec<Value>,
    max_rows: usize,
) -> Result<QueryResult, sqlx::Error> {
    let too_large = |value| Err(format!("SQLite has no integer as large as {value}").into());
    let arguments = arguments::<Sqlite>(values, |_, value| too_large(value))?;
    let mut collector = RowCollector::new(max_rows);
    let statement = sqlx::query_with::<Sqlite, _>(AssertSqlSafe(sql.clone()), arguments).persistent(false);
    collect(statement.fetch(&mut *connection), &mut collector, column_in, value).await?;
    if !collector.has_columns() {
        let described = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await?;
        collector.set_columns(described.columns().iter().map(column_of));
    }
    Ok(collector.finish())
}

/// An expression has no declared type; that of its first value tells more than nothing.
fn column_in(row: &SqliteRow, column: &SqliteColumn) -> (String, String) {
    let (name, declared) = column_of(column);
    let kind = match row.try_get_raw(column.ordinal()) {
        Ok(first) if declared == "null" => first.type_info().name().to_lowercase(),
        _ => declared,
    };
    (name, kind)
}

fn value(row: &SqliteRow, at: usize) -> Value {
    let Ok(raw) = row.try_get_raw(at) else { return Value::Null };
    if raw.is_null() {
        return Value::Null;
    }
    let kind = raw.type_info().name().to_owned();
    let declared = row.columns().get(at).map(|column| column.type_info().name().to_owned()).unwrap_or_default();
    let bytes = || row.try_get_unchecked::<&[u8], _>(at);
    match kind.as_str() {
        "INTEGER" | "BOOLEAN" | "INT8" | "INT4" => match row.try_get_unchecked::<i64, _>(at) {
            Ok(number @ (0 | 1)) if declared == "BOOLEAN" => (number == 1).into(),
            Ok(number) => integer(number.into()),
            Err(_) => Value::Null,
        },
        "REAL" => row.try_get_unchecked::<f64, _>(at).map_or(Value::Null, float),
        "BLOB" => bytes().map_or(Value::Null, base64_text),
        // Text may be no UTF-8.
        _ => bytes().map_or(Value::Null, text_or_base64),
    }
}

async fn check(connection: &mut SqliteConnection) -> Result<FileReport, sqlx::Error> {
    // Reads the file's head, which tells whether it is a database at all.
    let read = sqlx::query_as::<_, (String, bool, i64)>(
        "SELECT sqlite_version(), (SELECT query_only FROM pragma_query_only), count(*) FROM sqlite_master
            WHERE type IN ('table', 'view')",
    );
    let (version, read_only, tables) = read.persistent(false).fetch_one(connection).await?;
    Ok(FileReport { version: format!("SQLite {version}"), read_only, tables })
}

#[cfg(test)]
mod tests {
    use sqlx::raw_sql;

    use super::*;

    /// The guard lets none of these through; the connection itself must not either. (It would `VACUUM INTO` another file.)
    #[tokio::test]
    async fn a_connection_can_not_write() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let writer = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut writer = writer.connect().await.unwrap();
        raw_sql("CREATE TABLE t (id INTEGER); INSERT INTO t VALUES (1)").execute(&mut writer).await.unwrap();
        let before = std::fs::read(&path).unwrap();
        let mut connection = connect_options(&path).connect().await.unwrap();
        for sql in [
            "INSERT INTO t VALUES (2)",
            "UPDATE t SET id = 2",
            "DELETE FROM t",
            "DROP TABLE t",
            "CREATE TABLE u (id INTEGER)",
            "PRAGMA query_only = OFF; DELETE FROM t",
            "PRAGMA user_version = 7",
            "VACUUM",
            &format!("ATTACH '{}' AS b; CREATE TABLE b.t (id INTEGER)", other.display()),
            "CREATE TEMP TABLE x (id INTEGER)",
            "SELECT load_extension('x')",
        ] {
            // One after another, so that what the first statements change is there for the last.
            let done = raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
            raw_sql("PRAGMA query_only = ON").execute(&mut connection).await.unwrap();
            assert!(done.is_err(), "{sql}");
            assert!(std::fs::read(&path).unwrap() == before && !other.exists(), "{sql}");
        }
    }
}

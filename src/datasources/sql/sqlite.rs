//! SQLite files, opened for reading only.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::StreamExt;
use serde_json::{Value, json};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteColumn, SqliteConnectOptions, SqlitePool, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Column as _, Executor, Row, SqlSafeStr, Statement, TypeInfo, ValueRef};
use tokio::time::Instant;

use super::parameters::CheckedQuery;
use super::pools::{Lease, options};
use super::schema::{CatalogColumn, tables};
use super::{Scalar, column_of, expand, failed, who};
use crate::datasources::client::{Checked, Query, Source};
use crate::datasources::rows::{Collector, float, integer};
use crate::datasources::{DataError, QueryResult};
use crate::kernel::Deadline;

/// A subquery without rows.
const NOTHING: &str = "SELECT NULL WHERE 1 = 0";
/// SQLite's steps between two looks at the clock.
const STEPS: i32 = 1_000;

pub(super) fn open(source: &Source) -> Result<SqlitePool, DataError> {
    let path = path_of(source.effective.url.expose());
    let missing = |error| DataError::failed(format!("{}: can't open {}: {error}", who(source), path.display()));
    let found = std::fs::canonicalize(&path).map_err(missing)?;
    // Opening a pipe would block.
    if !found.is_file() {
        return Err(DataError::failed(format!("{}: {} is no file", who(source), path.display())));
    }
    if is_own_store(&found) {
        let text = format!("{}: {} is this server's own store", who(source), path.display());
        return Err(DataError::failed(text));
    }
    Ok(options(source).connect_lazy_with(connect_options(&found)))
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

/// `sqlite:a.db`, `sqlite://a.db`, `sqlite:///abs/a.db`; parameters are left aside.
fn path_of(url: &str) -> PathBuf {
    let rest = url.split_once(':').map_or(url, |(_, rest)| rest);
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    PathBuf::from(rest.split('?').next().unwrap_or_default())
}

/// Conversations are not for everybody who may query a data source.
fn is_own_store(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("studio.db")
}

pub(super) async fn query(
    pool: &SqlitePool,
    source: &Source,
    checked: &CheckedQuery,
    query: &Query<'_>,
) -> Result<QueryResult, DataError> {
    let failed = |error| failed(source, error);
    let (sql, values) = expand(checked, query.parameters, NOTHING)?;
    let mut arguments = SqliteArguments::default();
    for value in values {
        add(&mut arguments, value).map_err(|error| failed(sqlx::Error::Encode(error)))?;
    }
    let mut session = begin(pool, source, query.deadline).await?;
    let connection = session.lease.connection().map_err(failed)?;
    let mut collector = Collector::new(query.most_rows);
    let statement = sqlx::query_with::<Sqlite, _>(AssertSqlSafe(sql.clone()), arguments).persistent(false);
    let mut rows = statement.fetch(&mut *connection);
    while let Some(row) = rows.next().await {
        let row = row.map_err(failed)?;
        if !collector.has_columns() {
            collector.columns(row.columns().iter().map(|column| column_in(&row, column)));
        }
        if !collector.push((0..row.len()).map(|at| value(&row, at))) {
            break;
        }
    }
    drop(rows);
    if !collector.has_columns() {
        let described = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await.map_err(failed)?;
        collector.columns(described.columns().iter().map(column_of));
    }
    end(session).await;
    Ok(collector.finish())
}

fn add(arguments: &mut SqliteArguments, value: Scalar) -> Result<(), sqlx::error::BoxDynError> {
    match value {
        Scalar::Null => arguments.add(Option::<String>::None),
        Scalar::Bool(value) => arguments.add(value),
        Scalar::Int(value) => arguments.add(value),
        Scalar::Unsigned(value) => Err(format!("SQLite has no integer as large as {value}").into()),
        Scalar::Float(value) => arguments.add(value),
        Scalar::Text(value) => arguments.add(value),
    }
}

/// A connection whose statements end when the deadline does, or when this is dropped. SQLite works on a thread of its own,
/// which a dropped future alone would not stop.
struct Session {
    lease: Lease<Sqlite>,
    /// There as long as somebody waits.
    _caller: Arc<()>,
}

async fn begin(pool: &SqlitePool, source: &Source, deadline: Deadline) -> Result<Session, DataError> {
    let failed = |error| failed(source, error);
    let mut lease = Lease::new(pool.acquire().await.map_err(failed)?);
    let until = Instant::now() + super::statement_limit(deadline);
    let caller = Arc::new(());
    let waiting = Arc::downgrade(&caller);
    let mut handle = lease.connection().map_err(failed)?.lock_handle().await.map_err(failed)?;
    handle.set_progress_handler(STEPS, move || Instant::now() < until && waiting.strong_count() > 0);
    drop(handle);
    Ok(Session { lease, _caller: caller })
}

async fn end(mut session: Session) {
    let Ok(connection) = session.lease.connection() else { return };
    match connection.lock_handle().await {
        Ok(mut handle) => handle.remove_progress_handler(),
        Err(_) => return,
    }
    session.lease.done();
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
    match kind.as_str() {
        "INTEGER" | "BOOLEAN" | "INT8" | "INT4" => match row.try_get_unchecked::<i64, _>(at) {
            Ok(number @ (0 | 1)) if declared == "BOOLEAN" => json!(number == 1),
            Ok(number) => integer(number.into()),
            Err(_) => Value::Null,
        },
        "REAL" => row.try_get_unchecked::<f64, _>(at).map_or(Value::Null, float),
        "BLOB" => row.try_get_unchecked::<&[u8], _>(at).map_or(Value::Null, |bytes| BASE64.encode(bytes).into()),
        _ => match row.try_get_unchecked::<&str, _>(at) {
            Ok(text) => text.into(),
            Err(_) => row.try_get_unchecked::<&[u8], _>(at).map_or(Value::Null, |bytes| BASE64.encode(bytes).into()),
        },
    }
}

const CATALOG: &str = "
    SELECT name, type FROM sqlite_master
    WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    ORDER BY name";

const COLUMNS: &str = "
    SELECT c.name, coalesce(c.type, ''), c.\"notnull\" = 0 AND c.pk = 0, c.dflt_value, c.pk > 0,
        (SELECT f.\"table\" || '.' || coalesce(f.\"to\", k.name, 'rowid') FROM pragma_foreign_key_list(?1) f
            LEFT JOIN pragma_table_info(f.\"table\") k ON k.pk = f.seq + 1 WHERE f.\"from\" = c.name)
    FROM pragma_table_xinfo(?1) c WHERE c.hidden <> 1
    ORDER BY c.cid";

/// Most columns that are told.
const MOST_COLUMNS: usize = 20_000;

pub(super) async fn schema(pool: &SqlitePool, source: &Source, deadline: Deadline) -> Result<Vec<Value>, DataError> {
    let failed = |error| failed(source, error);
    let mut session = begin(pool, source, deadline).await?;
    let connection = session.lease.connection().map_err(failed)?;
    let catalog = sqlx::query_as::<_, (String, String)>(CATALOG).persistent(false);
    let mut columns = Vec::new();
    for (table, kind) in catalog.fetch_all(&mut *connection).await.map_err(failed)? {
        match sqlx::query(COLUMNS).bind(&table).persistent(false).fetch_all(&mut *connection).await {
            // A view of what is no longer there can't be read, but the others can.
            Err(sqlx::Error::Database(error)) if kind == "view" && error.code().as_deref() == Some("1") => {}
            rows => {
                for row in rows.map_err(failed)? {
                    columns.push(column_of_table(&table, &kind, &row).map_err(failed)?);
                }
            }
        }
        if columns.len() >= MOST_COLUMNS {
            break;
        }
    }
    end(session).await;
    Ok(tables(columns))
}

fn column_of_table(table: &str, kind: &str, row: &SqliteRow) -> Result<CatalogColumn, sqlx::Error> {
    Ok(CatalogColumn {
        schema: None,
        table: table.to_owned(),
        kind: kind.to_owned(),
        table_comment: None,
        name: row.try_get_unchecked(0)?,
        data_type: row.try_get_unchecked(1)?,
        nullable: row.try_get_unchecked::<i64, _>(2)? != 0,
        default: row.try_get_unchecked(3)?,
        primary_key: row.try_get_unchecked::<i64, _>(4)? != 0,
        references: row.try_get_unchecked(5)?,
        comment: None,
    })
}

pub(super) async fn check(pool: &SqlitePool, source: &Source, deadline: Deadline) -> Result<Checked, DataError> {
    let failed = |error| failed(source, error);
    let mut session = begin(pool, source, deadline).await?;
    let connection = session.lease.connection().map_err(failed)?;
    // Reads the file's head, which tells whether it is a database at all.
    let read = sqlx::query_as::<_, (String, bool, i64)>(
        "SELECT sqlite_version(), (SELECT query_only FROM pragma_query_only), count(*) FROM sqlite_master
            WHERE type IN ('table', 'view')",
    );
    let (version, read_only, tables) = read.persistent(false).fetch_one(connection).await.map_err(failed)?;
    end(session).await;
    let findings = json!({"reached": true, "authenticated": null, "version": format!("SQLite {version}"),
        "read_only": read_only, "tables": tables});
    Ok(Checked { status: None, ok: read_only, findings: findings.as_object().cloned().unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions as _, raw_sql};

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

    #[test]
    fn a_url_names_a_file() {
        for (url, path) in [
            ("sqlite:a b.db", "a b.db"),
            ("sqlite://data/a.db?mode=rwc", "data/a.db"),
            ("sqlite:///abs/a.db", "/abs/a.db"),
            ("sqlite:/abs/a.db", "/abs/a.db"),
        ] {
            assert_eq!(path_of(url), Path::new(path), "{url}");
        }
        assert!(is_own_store(Path::new("/x/studio.db-wal")) && !is_own_store(Path::new("/x/sales.db")));
    }
}

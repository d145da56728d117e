//! SQLite files, opened for reading only.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::StreamExt;
use serde_json::{Value, json};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnectOptions, SqlitePool, SqliteRow};
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

/// SQLite's steps between two looks at the clock.
const STEPS: i32 = 1_000;

pub(super) fn open(source: &Source) -> Result<SqlitePool, DataError> {
    let path = path_of(source.effective.url.expose());
    let missing = |error| DataError::failed(format!("{}: can't open {}: {error}", who(source), path.display()));
    let found = std::fs::canonicalize(&path).map_err(missing)?;
    if is_own_store(&found) {
        let text = format!("{}: {} is this server's own store", who(source), path.display());
        return Err(DataError::failed(text));
    }
    let connect = SqliteConnectOptions::new()
        .filename(found)
        .read_only(true)
        .create_if_missing(false)
        .pragma("query_only", "ON")
        .pragma("trusted_schema", "OFF")
        .statement_cache_capacity(0);
    Ok(options(source).connect_lazy_with(connect))
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
    let (sql, values) = expand(checked, query.parameters)?;
    let mut arguments = SqliteArguments::default();
    for value in values {
        add(&mut arguments, value).map_err(|error| failed(sqlx::Error::Encode(error)))?;
    }
    let mut lease = begin(pool, source, query.deadline).await?;
    let connection = lease.connection().map_err(failed)?;
    let mut collector = Collector::new(query.most_rows);
    let statement = sqlx::query_with::<Sqlite, _>(AssertSqlSafe(sql.clone()), arguments).persistent(false);
    let mut rows = statement.fetch(&mut *connection);
    while let Some(row) = rows.next().await {
        let row = row.map_err(failed)?;
        if !collector.has_columns() {
            collector.columns(row.columns().iter().map(column_of));
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
    end(lease).await;
    Ok(collector.finish())
}

fn add(arguments: &mut SqliteArguments, value: Scalar) -> Result<(), sqlx::error::BoxDynError> {
    match value {
        Scalar::Null => arguments.add(Option::<String>::None),
        Scalar::Bool(value) => arguments.add(value),
        Scalar::Int(value) => arguments.add(value),
        Scalar::Float(value) => arguments.add(value),
        Scalar::Text(value) => arguments.add(value),
    }
}

/// A connection whose statements end when the deadline does. SQLite works on a thread of its own, which a dropped future
/// would not stop.
async fn begin(pool: &SqlitePool, source: &Source, deadline: Deadline) -> Result<Lease<Sqlite>, DataError> {
    let failed = |error| failed(source, error);
    let mut lease = Lease::new(pool.acquire().await.map_err(failed)?);
    let until = deadline.instant();
    let mut handle = lease.connection().map_err(failed)?.lock_handle().await.map_err(failed)?;
    handle.set_progress_handler(STEPS, move || Instant::now() < until);
    drop(handle);
    Ok(lease)
}

async fn end(mut lease: Lease<Sqlite>) {
    let Ok(connection) = lease.connection() else { return };
    match connection.lock_handle().await {
        Ok(mut handle) => handle.remove_progress_handler(),
        Err(_) => return,
    }
    lease.done();
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
    SELECT m.name, m.type, c.name, c.type, c.\"notnull\" = 0 AND c.pk = 0, c.dflt_value, c.pk > 0,
        (SELECT f.\"table\" || '.' || coalesce(f.\"to\", 'rowid') FROM pragma_foreign_key_list(m.name) f WHERE f.\"from\" = c.name)
    FROM sqlite_master m JOIN pragma_table_info(m.name) c
    WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    ORDER BY m.name, c.cid
    LIMIT 20000";

pub(super) async fn schema(pool: &SqlitePool, source: &Source, deadline: Deadline) -> Result<Vec<Value>, DataError> {
    let mut lease = begin(pool, source, deadline).await?;
    let connection = lease.connection().map_err(|error| failed(source, error))?;
    let rows = sqlx::query(CATALOG).persistent(false).fetch_all(connection).await;
    let rows = rows.map_err(|error| failed(source, error))?;
    end(lease).await;
    let column = |row: &SqliteRow| {
        Ok(CatalogColumn {
            schema: None,
            table: row.try_get_unchecked(0)?,
            kind: row.try_get_unchecked(1)?,
            table_comment: None,
            name: row.try_get_unchecked(2)?,
            data_type: row.try_get_unchecked(3)?,
            nullable: row.try_get_unchecked::<i64, _>(4)? != 0,
            default: row.try_get_unchecked(5)?,
            primary_key: row.try_get_unchecked::<i64, _>(6)? != 0,
            references: row.try_get_unchecked(7)?,
            comment: None,
        })
    };
    let columns: Result<Vec<_>, sqlx::Error> = rows.iter().map(column).collect();
    Ok(tables(columns.map_err(|error| failed(source, error))?))
}

pub(super) async fn check(pool: &SqlitePool, source: &Source, deadline: Deadline) -> Result<Checked, DataError> {
    let failed = |error| failed(source, error);
    let mut lease = begin(pool, source, deadline).await?;
    let connection = lease.connection().map_err(failed)?;
    // Reads the file's head, which tells whether it is a database at all.
    let read = sqlx::query_as::<_, (String, i64)>("SELECT sqlite_version(), count(*) FROM sqlite_master");
    let (version, tables) = read.persistent(false).fetch_one(connection).await.map_err(failed)?;
    end(lease).await;
    let findings = json!({"reached": true, "authenticated": null, "version": format!("SQLite {version}"), "read_only": true,
        "objects": tables});
    Ok(Checked { status: None, ok: true, findings: findings.as_object().cloned().unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! SQLite files, opened for reading only, and never in this process: nothing interrupts SQLite while it works on one value, and
//! what it needs of memory it takes before a row can be looked at. `readers` are processes that are killed when they are late,
//! when they ask for too much or when the caller leaves; `reader` is what such a process does.

mod worker;
mod worker_pool;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

pub use self::worker::read_sqlite;
pub(super) use self::worker_pool::{MAX_WORKERS, WorkerPool};
use super::parameters::CheckedQuery;
use super::{BindValue, expand_parameters, source_label};
use crate::datasources::client::{CheckReport, Query, Source};
use crate::datasources::{DataError, QueryResult};
use crate::kernel::Deadline;

/// A subquery without rows.
const EMPTY_SUBQUERY: &str = "SELECT NULL WHERE 1 = 0";

/// What a reader is asked for, as a line of JSON. Its answer is one line too: what was found, or else why nothing was.
#[derive(Debug, Deserialize, Serialize)]
enum WorkerRequest {
    Query { sql: String, values: Vec<BindValue>, max_rows: usize },
    Schema,
    Check,
}

/// `places` is shared by all files.
pub(super) fn open(source: &Source, program: &Path, places: Arc<Semaphore>) -> Result<WorkerPool, DataError> {
    let path = path_of(source.effective.url.expose());
    let missing =
        |error| DataError::failed(format!("{}: can't open {}: {error}", source_label(source), path.display()));
    let found = std::fs::canonicalize(&path).map_err(missing)?;
    // Opening a pipe would block.
    if !found.is_file() {
        return Err(DataError::failed(format!("{}: {} is no file", source_label(source), path.display())));
    }
    if is_own_store(&found) {
        let text = format!("{}: {} is this server's own store", source_label(source), path.display());
        return Err(DataError::failed(text));
    }
    Ok(WorkerPool::new(program.to_owned(), found, places))
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
    readers: &WorkerPool,
    source: &Source,
    checked: &CheckedQuery,
    query: &Query<'_>,
) -> Result<QueryResult, DataError> {
    let (sql, values) = expand_parameters(checked, query.parameters, EMPTY_SUBQUERY)?;
    let job = WorkerRequest::Query { sql, values, max_rows: query.max_rows };
    readers.request(source, &job, query.deadline).await
}

pub(super) async fn schema(readers: &WorkerPool, source: &Source, deadline: Deadline) -> Result<Vec<Value>, DataError> {
    readers.request(source, &WorkerRequest::Schema, deadline).await
}

pub(super) async fn check(readers: &WorkerPool, source: &Source, deadline: Deadline) -> Result<CheckReport, DataError> {
    let mut findings: Map<String, Value> = readers.request(source, &WorkerRequest::Check, deadline).await?;
    findings.extend([("reached".to_owned(), json!(true)), ("authenticated".to_owned(), Value::Null)]);
    Ok(CheckReport { status: None, ok: findings.get("read_only") == Some(&json!(true)), findings })
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

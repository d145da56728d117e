use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::worker::WorkerRequest;
use super::worker_pool::WorkerPool;
use crate::datasources::DataError;
use crate::datasources::query::{Query, QueryResult};
use crate::datasources::source::{Source, source_error};
use crate::datasources::sql::bind::expand_parameters;
use crate::datasources::sql::engine::EngineError;
use crate::datasources::sql::guard::CheckedQuery;

/// A subquery without rows.
const EMPTY_SUBQUERY: &str = "SELECT NULL WHERE 1 = 0";

/// Workers on the file of this source; `permits` are shared by all files.
pub(crate) fn open(source: &Source, program: &Path, permits: Arc<Semaphore>) -> Result<WorkerPool, DataError> {
    let path = path_of(source.effective.url.expose());
    let shown = path.display();
    let missing = |error| source_error(source, format_args!("can't open {shown}: {error}"));
    let found = std::fs::canonicalize(&path).map_err(missing)?;
    // Opening a pipe would block.
    if !found.is_file() {
        return Err(source_error(source, format_args!("{shown} is no file")));
    }
    if is_own_store(&found) {
        return Err(source_error(source, format_args!("{shown} is this server's own store")));
    }
    Ok(WorkerPool::new(source.clone(), program.to_owned(), found, permits))
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

/// Runs a query.
pub(crate) async fn query(
    workers: &WorkerPool,
    checked: &CheckedQuery,
    query: &Query<'_>,
) -> Result<QueryResult, EngineError> {
    let (sql, values) = expand_parameters(checked, query.parameters, EMPTY_SUBQUERY)?;
    let request = WorkerRequest::Query { sql, values, max_rows: query.max_rows };
    Ok(workers.request(&request, query.deadline).await?)
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

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::worker::WorkerRequest;
use super::worker_pool::WorkerPool;
use crate::datasources::DataError;
use crate::datasources::query::{Query, QueryResult};
use crate::datasources::source::{Source, source_error};
use crate::datasources::sql::bind::expand_parameters;
use crate::datasources::sql::guard::CheckedQuery;
use crate::settings::DatabaseEngine;

/// A subquery without rows.
const EMPTY_SUBQUERY: &str = "SELECT NULL WHERE 1 = 0";

/// Workers on the file of this source; `permits` are shared by all files.
pub(crate) fn open(source: &Source, program: &Path, permits: Arc<Semaphore>) -> Result<WorkerPool, DataError> {
    let path = PathBuf::from(DatabaseEngine::sqlite_file(source.effective.url.expose()));
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
) -> Result<QueryResult, DataError> {
    let (sql, values) = expand_parameters(checked, query.parameters, EMPTY_SUBQUERY)?;
    let request = WorkerRequest::Query { sql, values, max_rows: query.max_rows };
    workers.request(&request, query.deadline).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_of_the_server_is_known_by_its_name() {
        assert!(is_own_store(Path::new("/x/studio.db-wal")) && !is_own_store(Path::new("/x/sales.db")));
    }
}

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a worker is asked for, as a line of JSON. Its reply is one line too: a `Result` of what was found, or else why nothing was.
#[derive(Debug, Deserialize, Serialize)]
pub(super) enum WorkerRequest {
    /// Answered by a `QueryResult`.
    Query { sql: String, values: Vec<Value>, max_rows: usize },
    /// Answered by a list of `TableSchema`.
    Schema,
    /// Answered by a `FileReport`.
    Check,
}

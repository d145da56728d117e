use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kernel::Deadline;

/// A query of a caller.
#[derive(Clone, Debug, Default)]
pub struct QueryRequest {
    /// In the source's language: SQL, a Cube query, or what its service understands.
    pub query: String,
    /// Values of its `:name` parameters.
    pub parameters: Map<String, Value>,
    /// Rows wanted at most.
    pub max_rows: Option<usize>,
}

/// A query, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Query<'a> {
    pub(super) text: &'a str,
    pub(super) parameters: &'a Map<String, Value>,
    pub(super) max_rows: usize,
    pub(super) deadline: Deadline,
}

/// One column of a result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// Its name; made unique where the query gave one name twice.
    pub name: String,
    /// Its type, in the words of the source.
    #[serde(rename = "type")]
    pub kind: String,
}

/// What a query gave.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct QueryResult {
    /// One JSON object per row.
    pub rows: Vec<Value>,
    /// Rows, as the source counts them.
    pub row_count: u64,
    /// `columns`, `truncated`, and what the source adds.
    pub metadata: Map<String, Value>,
}

impl QueryResult {
    /// Rows whose columns are known.
    pub(super) fn described(rows: Vec<Value>, columns: &impl Serialize, truncated: bool) -> Self {
        let columns = serde_json::to_value(columns).unwrap_or_default();
        let metadata = [("columns".to_owned(), columns), ("truncated".to_owned(), truncated.into())];
        Self { row_count: rows.len() as u64, rows, metadata: Map::from_iter(metadata) }
    }

    /// The names of the columns, in their order.
    pub fn columns(&self) -> Vec<String> {
        let named = self.metadata.get("columns").and_then(Value::as_array);
        let named = named.map(|columns| {
            columns.iter().filter_map(|column| column.get("name")?.as_str().map(str::to_owned)).collect::<Vec<_>>()
        });
        let first = || Some(self.rows.first()?.as_object()?.keys().cloned().collect());
        named.filter(|names| !names.is_empty()).or_else(first).unwrap_or_default()
    }

    /// Whether there was more than the limits let through.
    pub fn truncated(&self) -> bool {
        self.metadata.get("truncated") == Some(&Value::Bool(true))
    }
}

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kernel::{Caller, Deadline};

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
    /// Who asks.
    pub(super) caller: &'a Caller,
    pub(super) parameters: &'a Map<String, Value>,
    pub(super) max_rows: usize,
    pub(super) deadline: Deadline,
}

/// What a query gave.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct QueryResult {
    /// One JSON object per row.
    pub rows: Vec<Value>,
    /// Rows, as the source counts them.
    pub row_count: u64,
    /// What is said of the rows.
    pub metadata: ResultMetadata,
}

/// What is said of the rows of a result.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum ResultMetadata {
    /// By this server.
    Known {
        /// In their order.
        columns: Vec<Column>,
        /// Whether there was more than the limits let through.
        truncated: bool,
    },
    /// By a service, which may say anything.
    Service(Map<String, Value>),
}

/// One column of a result.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Column {
    /// Its name; made unique where the query gave one name twice.
    pub name: String,
    /// Its type, in the words of the source.
    #[serde(rename = "type")]
    pub kind: String,
}

impl QueryResult {
    /// The names of the columns, in their order.
    pub fn columns(&self) -> Vec<String> {
        let names: Vec<String> = match &self.metadata {
            ResultMetadata::Known { columns, .. } => columns.iter().map(|column| column.name.clone()).collect(),
            ResultMetadata::Service(said) => {
                let columns = said.get("columns").and_then(Value::as_array).into_iter().flatten();
                columns.filter_map(|column| column.get("name")?.as_str().map(str::to_owned)).collect()
            }
        };
        let first = || self.rows.first().and_then(Value::as_object).map(|row| row.keys().cloned().collect());
        Some(names).filter(|names| !names.is_empty()).or_else(first).unwrap_or_default()
    }

    /// The columns as the source describes them, or else their names.
    pub fn described_columns(&self) -> Value {
        match &self.metadata {
            ResultMetadata::Known { columns, .. } => serde_json::to_value(columns).unwrap_or_default(),
            ResultMetadata::Service(said) => said.get("columns").cloned().unwrap_or_else(|| self.columns().into()),
        }
    }

    /// Whether there was more than the limits let through.
    pub fn truncated(&self) -> bool {
        match &self.metadata {
            ResultMetadata::Known { truncated, .. } => *truncated,
            ResultMetadata::Service(said) => said.get("truncated") == Some(&Value::Bool(true)),
        }
    }
}

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::kernel::JsonReader;

/// Most rows that one query may ask for.
pub(super) const MAX_ROWS: usize = 100_000;
/// Rows of a query that doesn't say how many it wants.
pub(super) const DEFAULT_ROWS: usize = 1_000;
/// Largest result, in bytes of JSON, roughly.
pub(super) const MAX_RESULT_BYTES: usize = 10_000_000;
/// What a list or object counts besides its members.
const CONTAINER_BYTES: usize = 60;

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

/// Collects rows until a limit is reached.
pub(super) struct RowCollector {
    max_rows: usize,
    bytes: usize,
    rows: Vec<Value>,
    columns: Vec<Column>,
    truncated: bool,
}

impl RowCollector {
    pub(super) fn new(max_rows: usize) -> Self {
        Self { max_rows, bytes: 0, rows: Vec::new(), columns: Vec::new(), truncated: false }
    }

    /// Sets the columns, once they are known.
    pub(super) fn set_columns(&mut self, columns: impl Iterator<Item = (String, String)>) {
        let (mut seen, mut used, mut next): (Vec<Column>, HashSet<String>, HashMap<String, usize>) = Default::default();
        for (name, kind) in columns {
            let nth = next.entry(name.clone()).or_insert(1);
            let mut unique = name.clone();
            while !used.insert(unique.clone()) {
                *nth += 1;
                unique = format!("{name}_{nth}");
            }
            seen.push(Column { name: unique, kind });
        }
        self.columns = seen;
    }

    /// Whether the columns are known.
    pub(super) fn has_columns(&self) -> bool {
        !self.columns.is_empty()
    }

    /// Adds a row; false once there is no place for more.
    pub(super) fn push(&mut self, values: impl Iterator<Item = Value>) -> bool {
        if self.rows.len() >= self.max_rows {
            self.truncated = true;
            return false;
        }
        let row: Map<_, _> = self.columns.iter().map(|column| column.name.clone()).zip(values).collect();
        self.bytes += member_bytes(&row);
        if self.bytes > MAX_RESULT_BYTES {
            self.truncated = true;
            return false;
        }
        self.rows.push(Value::Object(row));
        true
    }

    /// The result.
    pub(super) fn finish(self) -> QueryResult {
        let metadata = json!({"columns": self.columns, "truncated": self.truncated});
        QueryResult {
            row_count: self.rows.len() as u64,
            rows: self.rows,
            metadata: metadata.as_object().cloned().unwrap_or_default(),
        }
    }
}

/// Roughly the length of the JSON text. A list counts for the memory that it takes, which is much more.
pub(super) fn json_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| json_bytes(item) + 1).sum::<usize>() + CONTAINER_BYTES,
        Value::Object(map) => member_bytes(map) + CONTAINER_BYTES,
        _ => 8,
    }
}

fn member_bytes(map: &Map<String, Value>) -> usize {
    map.iter().map(|(key, value)| key.len() + json_bytes(value) + 4).sum()
}

/// JSON in a cell; that of very many values stays a text.
pub(super) fn json_cell(text: &[u8]) -> Value {
    JsonReader::embedded().read(text).unwrap_or_else(|_| String::from_utf8_lossy(text).into())
}

/// An integer as JSON: a number where every client reads it exactly, else a text.
pub(super) fn integer(number: i128) -> Value {
    const EXACT: i128 = 1 << 53;
    match i64::try_from(number) {
        Ok(small) if (-EXACT..=EXACT).contains(&number) => json!(small),
        _ => Value::String(number.to_string()),
    }
}

/// A float as JSON; what JSON has no number for is a text.
pub(super) fn float(number: f64) -> Value {
    match serde_json::Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => "NaN".into(),
        None if number > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stop_at_the_limit_and_names_stay_unique() {
        let mut collector = RowCollector::new(2);
        let columns = ["id", "id", "id_2"].map(|name| (name.to_owned(), "INT4".to_owned()));
        collector.set_columns(columns.into_iter());
        assert!(collector.push([json!(1), json!(2), json!(3)].into_iter()));
        assert!(collector.push([json!(4), json!(5), json!(6)].into_iter()));
        assert!(!collector.push([json!(7), json!(8), json!(9)].into_iter()));
        let result = collector.finish();
        assert_eq!(result.rows, [json!({"id": 1, "id_2": 2, "id_2_2": 3}), json!({"id": 4, "id_2": 5, "id_2_2": 6})]);
        assert_eq!(result.columns(), ["id", "id_2", "id_2_2"]);
        assert!(result.truncated());
    }

    #[test]
    fn thousands_of_columns_of_one_name_are_named_in_no_time() {
        let mut collector = RowCollector::new(1);
        collector.set_columns((0..100_000).map(|_| ("a".to_owned(), String::new())));
        assert_eq!(collector.columns.last().unwrap().name, "a_100000");
    }

    #[test]
    fn numbers_that_a_client_would_round_are_texts() {
        assert_eq!(integer(9_007_199_254_740_992), json!(9_007_199_254_740_992_i64));
        assert_eq!(integer(9_007_199_254_740_993), json!("9007199254740993"));
        assert_eq!(integer(i128::from(u64::MAX)), json!("18446744073709551615"));
        assert_eq!((float(0.5), float(f64::NEG_INFINITY)), (json!(0.5), json!("-Infinity")));
    }
}

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::query::{Column, QueryResult, ResultMetadata};
use crate::settings::bounds::MAX_RESULT_ROWS;

/// Most rows that one query may ask for.
pub(super) const MAX_ROWS: usize = *MAX_RESULT_ROWS.end() as usize;
/// Rows of a query that doesn't say how many it wants.
pub(super) const DEFAULT_ROWS: usize = 1_000;
/// Largest result, in bytes of JSON, roughly.
pub(super) const MAX_RESULT_BYTES: usize = 10_000_000;
/// What a list or object counts besides its members.
const CONTAINER_BYTES: usize = 60;

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
        self.truncated = self.rows.len() >= self.max_rows;
        if !self.truncated {
            let row: Map<_, _> = self.columns.iter().map(|column| column.name.clone()).zip(values).collect();
            self.bytes += member_bytes(&row);
            self.truncated = self.bytes > MAX_RESULT_BYTES;
            self.rows.extend((!self.truncated).then_some(Value::Object(row)));
        }
        !self.truncated
    }

    /// The result.
    pub(super) fn finish(self) -> QueryResult {
        let metadata = ResultMetadata::Known { columns: self.columns, truncated: self.truncated };
        QueryResult { row_count: self.rows.len() as u64, rows: self.rows, metadata }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

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
}

use indexmap::IndexMap;
use serde_json::{Value, json};

/// One column of one table, as a catalog lists it.
pub(super) struct CatalogColumn {
    /// Schema or database; none where there is only one.
    pub(super) schema: Option<String>,
    pub(super) table: String,
    /// `table` or `view`.
    pub(super) kind: String,
    pub(super) table_comment: Option<String>,
    pub(super) name: String,
    pub(super) data_type: String,
    pub(super) nullable: bool,
    pub(super) default: Option<String>,
    pub(super) primary_key: bool,
    /// `table.column` or `schema.table.column` that it refers to.
    pub(super) references: Option<String>,
    pub(super) comment: Option<String>,
}

/// Columns grouped into tables, in the order of the catalog.
pub(super) fn group_by_table(columns: impl IntoIterator<Item = CatalogColumn>) -> Vec<Value> {
    let mut tables: IndexMap<(Option<String>, String), Value> = IndexMap::new();
    for column in columns {
        let key = (column.schema.clone(), column.table.clone());
        let table = tables.entry(key).or_insert_with(|| {
            json!({"schema": column.schema, "name": column.table, "type": column.kind,
                "comment": column.table_comment.filter(|comment| !comment.is_empty()), "columns": []})
        });
        let entry = json!({
            "name": column.name, "type": column.data_type, "nullable": column.nullable, "default": column.default,
            "primary_key": column.primary_key, "references": column.references,
            "comment": column.comment.filter(|comment| !comment.is_empty()),
        });
        if let Some(columns) = table.get_mut("columns").and_then(Value::as_array_mut) {
            columns.push(entry);
        }
    }
    tables.into_values().collect()
}

/// A table without its columns.
pub(super) fn without_columns(mut table: Value) -> Value {
    if let Some(table) = table.as_object_mut() {
        table.shift_remove("columns");
    }
    table
}

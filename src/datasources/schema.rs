use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{ColumnIndex, Decode, Row};

/// The schema of a source.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum SourceSchema {
    /// What a database's catalogs say.
    Database {
        /// Tables and views, in the order of the catalog.
        tables: Vec<TableSchema>,
    },
    /// What a service says of itself.
    Service(Value),
}

/// One table in a list of tables.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum SourceTable {
    /// Of a database; without its columns.
    Database(TableSchema),
    /// In the words of a service.
    Service(Value),
}

/// A table or view of a database.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct TableSchema {
    /// Schema or database; none where there is only one.
    pub schema: Option<String>,
    pub name: String,
    /// `table` or `view`.
    #[serde(rename = "type")]
    pub kind: String,
    pub comment: Option<String>,
    /// Empty in a list of tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnSchema>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ColumnSchema {
    pub name: String,
    /// Its type, in the words of the database.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it may be null.
    pub nullable: bool,
    /// Its default, as an expression.
    pub default: Option<String>,
    /// Whether it is part of the primary key.
    pub primary_key: bool,
    /// `table.column` or `schema.table.column` that it refers to.
    pub references: Option<String>,
    pub comment: Option<String>,
}

impl TableSchema {
    /// The tables of a catalog that lists columns, in its order. A row has schema, table, kind and comment of the table, then
    /// name, type, nullability, default, primary key, reference and comment of the column.
    pub(super) fn group<R: Row>(rows: &[R]) -> Result<Vec<Self>, sqlx::Error>
    where
        usize: ColumnIndex<R>,
        for<'r> String: Decode<'r, R::Database>,
        for<'r> bool: Decode<'r, R::Database>,
    {
        let text = |row: &R, at: usize| {
            let text: Result<Option<String>, _> = row.try_get_unchecked(at);
            text.map(|text| text.filter(|text| !text.is_empty()))
        };
        let mut tables: IndexMap<(Option<String>, String), Self> = IndexMap::new();
        for row in rows {
            let (schema, name): (Option<String>, String) = (row.try_get_unchecked(0)?, row.try_get_unchecked(1)?);
            let (kind, comment) = (row.try_get_unchecked(2)?, text(row, 3)?);
            let column = ColumnSchema {
                name: row.try_get_unchecked(4)?,
                kind: row.try_get_unchecked(5)?,
                nullable: row.try_get_unchecked(6)?,
                default: row.try_get_unchecked(7)?,
                primary_key: row.try_get_unchecked(8)?,
                references: text(row, 9)?,
                comment: text(row, 10)?,
            };
            let table = || Self { schema: schema.clone(), name: name.clone(), kind, comment, columns: Vec::new() };
            tables.entry((schema.clone(), name.clone())).or_insert_with(table).columns.push(column);
        }
        Ok(tables.into_values().collect())
    }
}

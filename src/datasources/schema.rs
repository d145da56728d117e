use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The schema of a source.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum SourceSchema {
    /// What a database's catalogs say.
    Database(TableCatalog),
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

/// A list of tables.
#[derive(Clone, Debug, Default)]
pub struct SourceTables {
    pub tables: Vec<SourceTable>,
    /// What is left out, in sentences.
    pub warnings: Vec<String>,
}

/// A table or view of a database.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct TableSchema {
    /// Schema or database; none where there is only one.
    pub schema: Option<String>,
    pub name: String,
    /// `table`, `view` or `partition`.
    #[serde(rename = "type")]
    pub kind: String,
    pub comment: Option<String>,
    /// The table that this one is a partition or an heir of, or else the extension that brings it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<String>,
    /// Empty in a list of tables, and of a partition, which has those of its table.
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
    /// The values that it may have, if its type lists them, or some that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// The tables of a source, as its catalog lists them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct TableCatalog {
    /// Tables and views in the order of the catalog; those that are part of something stand behind all others.
    pub tables: Vec<TableSchema>,
    /// Whether there are more than these.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// What is left out, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl TableCatalog {
    /// Whether a table that is not listed is not there.
    pub(super) fn is_complete(&self) -> bool {
        !self.truncated
    }
}

impl TableSchema {
    /// Whether its rows are those of another table, too.
    pub fn is_partition(&self) -> bool {
        self.kind == "partition"
    }
}

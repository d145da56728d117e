//! Drift of a schema: whether what a verified query used is still there, and of the same type.

use std::collections::BTreeMap;

use super::query_outline::QueryOutline;
use super::schema::{ColumnSchema, TableCatalog, TableSchema};
use crate::settings::UsedTables;

/// Tables that are watched for one query.
const MAX_USED_TABLES: usize = 64;

/// The tables and columns that a query uses, as far as these tables have them.
pub(super) fn used_tables(outline: &QueryOutline, tables: &[TableSchema]) -> UsedTables {
    let is_used = |column: &&ColumnSchema| outline.reads_all || outline.columns.contains(&short(&column.name));
    let known = outline.tables.iter().filter_map(|name| Some((name, find(name, tables)?)));
    let used = known.map(|(name, table)| {
        let columns = table.columns.iter().filter(is_used);
        (name.clone(), columns.map(|column| (column.name.clone(), column.kind.clone())).collect())
    });
    used.take(MAX_USED_TABLES).collect()
}

/// A table of a query that is not among these, if they are all that there are. The catalogs of the database itself are not listed.
pub(super) fn unknown_table<'a>(outline: &'a QueryOutline, catalog: &TableCatalog) -> Option<&'a String> {
    const CATALOGS: [&str; 6] = ["pg_", "information_schema.", "mysql.", "sys.", "performance_schema.", "sqlite_"];
    let is_catalog = |name: &str| CATALOGS.iter().any(|catalog| name.to_ascii_lowercase().starts_with(catalog));
    let unknown = outline.tables.iter().find(|name| find(name, &catalog.tables).is_none() && !is_catalog(name));
    unknown.filter(|_| catalog.is_complete())
}

/// What has changed since a query was verified, in a sentence; `None` if nothing has that it uses.
pub(super) fn drift(used: &UsedTables, catalog: &TableCatalog) -> Option<String> {
    used.iter().find_map(|(name, columns)| match find(name, &catalog.tables) {
        None if catalog.is_complete() => Some(format!("The table '{name}' is no longer there")),
        // A list without columns tells of tables only.
        Some(table) if !table.columns.is_empty() => drift_of_table(name, columns, table),
        _ => None,
    })
}

fn drift_of_table(name: &str, columns: &BTreeMap<String, String>, table: &TableSchema) -> Option<String> {
    columns.iter().find_map(|(column, kind)| match table.columns.iter().find(|found| found.name == *column) {
        None => Some(format!("The table '{name}' has no column '{column}' any more")),
        Some(found) if !found.kind.eq_ignore_ascii_case(kind) => Some(format!(
            "The column '{column}' of table '{name}' is of type {} now, and was of type {kind}",
            found.kind
        )),
        Some(_) => None,
    })
}

/// The table that a query means by this name.
fn find<'a>(name: &str, tables: &'a [TableSchema]) -> Option<&'a TableSchema> {
    let (schema, table) = name.rsplit_once('.').map_or((None, name), |(schema, table)| (Some(schema), table));
    let is_meant = |found: &&TableSchema| {
        let in_schema = schema
            .is_none_or(|schema| found.schema.as_deref().is_none_or(|of_table| of_table.eq_ignore_ascii_case(schema)));
        in_schema && found.name.eq_ignore_ascii_case(table)
    };
    // The one on the usual search path, if there are several.
    let usual = |found: &&TableSchema| found.schema.as_deref().is_none_or(|schema| schema == "public");
    tables.iter().filter(is_meant).find(usual).or_else(|| tables.iter().find(is_meant))
}

/// A column as a query names it: a cube's member without its cube.
fn short(column: &str) -> String {
    column.rsplit('.').next().unwrap_or(column).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(schema: &str, name: &str, columns: &[(&str, &str)]) -> TableSchema {
        let column = |(name, kind): &(&str, &str)| ColumnSchema {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            nullable: true,
            default: None,
            primary_key: false,
            references: None,
            comment: None,
            values: Vec::new(),
        };
        let (schema, columns) = (Some(schema.to_owned()), columns.iter().map(column).collect());
        TableSchema { schema, name: name.to_owned(), kind: "table".to_owned(), comment: None, part_of: None, columns }
    }

    #[test]
    fn only_what_a_query_uses_counts_and_a_change_is_told_by_name() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let outline =
            QueryOutline { tables: names(&["orders"]), columns: names(&["amount", "id"]), ..QueryOutline::default() };
        let before =
            [table("other", "orders", &[]), table("public", "orders", &[("Amount", "numeric"), ("note", "text")])];
        let used = used_tables(&outline, &before);
        assert_eq!(used["orders"].keys().collect::<Vec<_>>(), ["Amount"]);
        let catalog = |tables: Vec<TableSchema>| TableCatalog { tables, ..TableCatalog::default() };
        let drift_to = |columns: &[(&str, &str)]| drift(&used, &catalog(vec![table("public", "orders", columns)]));
        assert_eq!(drift_to(&[("Amount", "NUMERIC"), ("more", "text")]), None);
        assert_eq!(drift_to(&[("total", "numeric")]).unwrap(), "The table 'orders' has no column 'Amount' any more");
        assert_eq!(
            drift_to(&[("Amount", "text")]).unwrap(),
            "The column 'Amount' of table 'orders' is of type text now, and was of type numeric"
        );
        let without = catalog(vec![table("public", "bills", &[])]);
        assert_eq!(drift(&used, &without).unwrap(), "The table 'orders' is no longer there");
        assert_eq!(drift(&used, &TableCatalog { truncated: true, ..without }), None, "it may be among the others");
        let all = QueryOutline { reads_all: true, ..outline };
        assert_eq!(used_tables(&all, &before)["orders"].len(), 2);
    }
}

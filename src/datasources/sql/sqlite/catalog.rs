//! What a SQLite file says of its tables. What a virtual table keeps its rows in is no table of its own.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Executor, Row};

use crate::datasources::schema::TableCatalog;
use crate::datasources::table_collector::TableCollector;

/// Names, kinds, and the virtual tables that others belong to by their names: SQLite knows itself which tables are shadows, unless it
/// lacks the module that made them.
const CATALOG_SQL: &str = "
    SELECT t.name, CASE t.type WHEN 'view' THEN 'view' ELSE 'table' END,
        (SELECT v.name FROM sqlite_master v WHERE t.type = 'table' AND v.type = 'table' AND v.sql LIKE 'CREATE VIRTUAL TABLE%'
            AND substr(t.name, 1, length(v.name) + 1) = v.name || '_' COLLATE NOCASE LIMIT 1) AS part_of
    FROM pragma_table_list t
    WHERE t.schema = 'main' AND t.type <> 'shadow' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    ORDER BY part_of IS NOT NULL, t.name";

/// The columns of table ?1 of kind ?2 that is part of ?3, as [`TableCollector::add_row`] takes them.
const COLUMNS_SQL: &str = "
    SELECT NULL, ?1, ?2, NULL, ?3, c.name, coalesce(c.type, ''), c.\"notnull\" = 0 AND c.pk = 0, c.dflt_value, c.pk > 0,
        (SELECT f.\"table\" || '.' || coalesce(f.\"to\", k.name, 'rowid') FROM pragma_foreign_key_list(?1) f
            LEFT JOIN pragma_table_info(f.\"table\") k ON k.pk = f.seq + 1 WHERE f.\"from\" = c.name), NULL, NULL
    FROM pragma_table_xinfo(?1) c WHERE c.hidden <> 1
    ORDER BY c.cid";

/// The tables; one that can't be read is left out and named.
pub(super) async fn read(connection: &mut SqliteConnection) -> Result<TableCatalog, sqlx::Error> {
    let (mut collector, mut warnings) = (TableCollector::default(), Vec::new());
    let tables = connection.fetch_all(sqlx::query(CATALOG_SQL).persistent(false)).await?;
    for table in &tables {
        let (name, kind, part_of): (String, String, Option<String>) =
            (table.try_get(0)?, table.try_get(1)?, table.try_get(2)?);
        let columns = sqlx::query(COLUMNS_SQL).bind(&name).bind(&kind).bind(&part_of).persistent(false);
        let columns = match connection.fetch_all(columns).await {
            Ok(columns) => columns,
            // Such as a view of what is no longer there, or a virtual table of a module that is not there.
            Err(sqlx::Error::Database(error)) => {
                warnings.push(format!("The {kind} '{name}' is left out: {}", error.message()));
                continue;
            }
            Err(error) => return Err(error),
        };
        let mut is_full = false;
        for column in &columns {
            is_full |= !collector.add_row(column)?;
        }
        if is_full {
            break;
        }
    }
    let mut catalog = collector.finish(tables.len() - warnings.len());
    catalog.warnings.extend(warnings);
    Ok(catalog)
}

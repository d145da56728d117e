//! What the catalog of MySQL and MariaDB says of tables. Partitions are no tables there.

use futures_util::TryStreamExt;
use sqlx::MySqlConnection;

use crate::datasources::schema::TableCatalog;
use crate::datasources::table_collector::{TableCollector, labels_in};

/// The tables of users: of the connection's database, or else of all.
macro_rules! user_tables {
    () => {
        "t.table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
            AND (DATABASE() IS NULL OR t.table_schema = DATABASE()) AND t.table_type <> 'SEQUENCE'"
    };
}

const COUNT_SQL: &str = concat!("SELECT count(*) FROM information_schema.tables t WHERE ", user_tables!());

const CATALOG_SQL: &str = concat!(
    "SELECT CAST(c.table_schema AS CHAR), CAST(c.table_name AS CHAR),
        CASE WHEN t.table_type LIKE '%VIEW%' THEN 'view' ELSE 'table' END,
        CASE WHEN t.table_type LIKE '%VIEW%' THEN NULL ELSE CAST(t.table_comment AS CHAR) END, NULL,
        CAST(c.column_name AS CHAR), CAST(c.column_type AS CHAR), c.is_nullable = 'YES', CAST(c.column_default AS CHAR),
        c.column_key = 'PRI', CAST(MIN(CONCAT_WS('.', NULLIF(k.referenced_table_schema, c.table_schema),
            k.referenced_table_name, k.referenced_column_name)) AS CHAR), CAST(c.column_comment AS CHAR), NULL
    FROM information_schema.columns c
    JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
    LEFT JOIN information_schema.key_column_usage k ON k.table_schema = c.table_schema AND k.table_name = c.table_name
        AND k.column_name = c.column_name AND k.referenced_table_name IS NOT NULL
    WHERE ",
    user_tables!(),
    "
    GROUP BY c.table_schema, c.table_name, t.table_type, t.table_comment, c.column_name, c.column_type, c.is_nullable,
        c.column_default, c.column_key, c.column_comment, c.ordinal_position
    ORDER BY c.table_schema, c.table_name, c.ordinal_position"
);

/// The tables. The rest of a catalog that is too large is left unread.
pub(super) async fn read(connection: &mut MySqlConnection) -> Result<TableCatalog, sqlx::Error> {
    let total: i64 = sqlx::query_scalar(COUNT_SQL).persistent(false).fetch_one(&mut *connection).await?;
    let mut rows = sqlx::query(CATALOG_SQL).persistent(false).fetch(connection);
    let mut collector = TableCollector::default();
    while let Some(row) = rows.try_next().await? {
        if !collector.add_row(&row)? {
            break;
        }
    }
    let mut catalog = collector.finish(usize::try_from(total).unwrap_or_default());
    for column in catalog.tables.iter_mut().flat_map(|table| &mut table.columns) {
        column.values = labels_in(&column.kind);
    }
    Ok(catalog)
}

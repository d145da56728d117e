//! What PostgreSQL's catalog says of tables. Partitions, heirs and the tables of extensions stand behind all others.

use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use crate::datasources::schema::TableCatalog;
use crate::datasources::table_collector::TableCollector;

/// The tables that the account may read something of.
macro_rules! readable_tables {
    () => {
        "FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
            AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT LIKE '\\_timescaledb\\_%' AND has_schema_privilege(n.oid, 'USAGE')
            AND has_any_column_privilege(c.oid, 'SELECT')"
    };
}

/// How many tables there are.
pub(super) const COUNT_SQL: &str = concat!("SELECT count(*) ", readable_tables!());

/// Their columns, but for those of partitions, which are their tables'. Labels are those of an enum, be it in an array or a domain.
const CATALOG_SQL: &str = concat!(
    "WITH relation AS (SELECT c.oid, c.relname, c.relkind, c.relispartition, n.nspname ",
    readable_tables!(),
    ")
    SELECT c.nspname::text, c.relname::text,
        CASE WHEN c.relispartition THEN 'partition' WHEN c.relkind IN ('v', 'm') THEN 'view' ELSE 'table' END,
        obj_description(c.oid, 'pg_class'), coalesce(parent.name, 'extension ' || extension.name), a.attname::text,
        format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
        EXISTS (SELECT 1 FROM pg_constraint p WHERE p.conrelid = c.oid AND p.contype = 'p' AND a.attnum = ANY (p.conkey)),
        (SELECT concat_ws('.', nullif(fn.nspname, c.nspname), fc.relname, fa.attname)
            FROM pg_constraint f
            JOIN pg_class fc ON fc.oid = f.confrelid
            JOIN pg_namespace fn ON fn.oid = fc.relnamespace
            JOIN pg_attribute fa ON fa.attrelid = f.confrelid AND fa.attnum = f.confkey[array_position(f.conkey, a.attnum)]
            WHERE f.conrelid = c.oid AND f.contype = 'f' AND a.attnum = ANY (f.conkey) LIMIT 1),
        col_description(c.oid, a.attnum),
        CASE WHEN a.atttypid >= 16384 THEN (
            WITH RECURSIVE part(oid) AS (
                SELECT a.atttypid
                UNION
                SELECT inner_type.oid FROM part JOIN pg_type y ON y.oid = part.oid,
                    LATERAL (VALUES (y.typbasetype), (y.typelem)) AS inner_type(oid)
                WHERE inner_type.oid <> 0 AND y.typtype IN ('b', 'd'))
            SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder)::text FROM pg_enum e JOIN part ON part.oid = e.enumtypid) END
    FROM relation c
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND NOT c.relispartition
        AND has_column_privilege(c.oid, a.attnum, 'SELECT')
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    LEFT JOIN LATERAL (SELECT concat_ws('.', nullif(pn.nspname, c.nspname), pc.relname) AS name
        FROM pg_inherits i JOIN pg_class pc ON pc.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = pc.relnamespace
        WHERE i.inhrelid = c.oid ORDER BY i.inhseqno LIMIT 1) AS parent ON true
    LEFT JOIN LATERAL (SELECT x.extname AS name FROM pg_depend s JOIN pg_extension x ON x.oid = s.refobjid
        WHERE s.classid = 'pg_class'::regclass AND s.objid = c.oid AND s.refclassid = 'pg_extension'::regclass
            AND s.deptype = 'e' LIMIT 1) AS extension ON true
    ORDER BY c.relispartition, parent.name IS NOT NULL, extension.name IS NOT NULL, c.nspname, c.relname, a.attnum"
);

/// The tables. `counted` is what [`COUNT_SQL`] gave. The rest of a catalog that is too large is left unread.
pub(super) async fn read(connection: &mut PgConnection, counted: &[PgRow]) -> Result<TableCatalog, sqlx::Error> {
    let total = counted.first().map(|row| row.try_get::<i64, _>(0)).transpose()?.unwrap_or_default();
    let mut rows = sqlx::query(CATALOG_SQL).persistent(false).fetch(connection);
    let mut collector = TableCollector::default();
    while let Some(row) = rows.try_next().await? {
        if !collector.add_row(&row)? {
            break;
        }
    }
    Ok(collector.finish(usize::try_from(total).unwrap_or_default()))
}

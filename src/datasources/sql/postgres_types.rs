//! Types that the driver does not know a kind of, such as multiranges: it then knows nothing of the statement at all. The server is asked
//! in the simple protocol instead, whose replies the driver takes without looking up types.

use std::collections::HashMap;

use sqlx::postgres::{PgColumn, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Column, Executor, Row, TypeInfo, raw_sql};

use super::postgres_value::is_decodable;

/// What is known of a statement before it runs.
pub(super) struct Described {
    /// The types of its parameters, as SQL takes them.
    pub(super) parameters: Vec<String>,
    pub(super) columns: Vec<DescribedColumn>,
}

/// A column of a statement's result.
pub(super) struct DescribedColumn {
    pub(super) name: String,
    /// Its type.
    pub(super) kind: String,
    /// Whether its binary form can be read here; else it is shown as text.
    pub(super) is_decodable: bool,
}

/// Whether the driver failed at what the catalog says of a type, rather than the server at the statement.
pub(super) fn is_lookup_failure(error: &sqlx::Error) -> bool {
    use sqlx::Error::{ColumnDecode, ColumnNotFound, Decode, Protocol, TypeNotFound};
    matches!(error, ColumnDecode { .. } | ColumnNotFound(_) | Decode(_) | TypeNotFound { .. } | Protocol(_))
}

/// Describes a statement that was prepared as `numbered`. `with_types` is the same with nulls of these types for its parameters.
pub(super) async fn describe(
    connection: &mut PgConnection,
    numbered: &str,
    with_types: impl Fn(&[String]) -> String,
) -> Result<Described, sqlx::Error> {
    let parameters = parameters(connection, numbered).await?;
    // One row of nulls: it has the columns, and nothing is computed for it.
    let sql = format!("SELECT q.* FROM (SELECT 1) AS one LEFT JOIN ({}\n) AS q ON false", with_types(&parameters));
    let row = connection.fetch_one(raw_sql(AssertSqlSafe(sql))).await?;
    let names = type_names(connection, row.columns()).await?;
    Ok(Described { parameters, columns: row.columns().iter().map(|column| described(column, &names)).collect() })
}

/// The types of a prepared statement's parameters.
async fn parameters(connection: &mut PgConnection, numbered: &str) -> Result<Vec<String>, sqlx::Error> {
    let text = numbered.replace('\\', "\\\\").replace('\'', "''");
    let sql = format!(
        "SELECT kind::text FROM (SELECT parameter_types FROM pg_catalog.pg_prepared_statements WHERE statement = E'{text}' LIMIT 1) p,
            unnest(p.parameter_types) WITH ORDINALITY AS t(kind, nth) ORDER BY nth"
    );
    let rows = connection.fetch_all(raw_sql(AssertSqlSafe(sql))).await?;
    let kind = |row: &PgRow| row.try_get::<String, _>(0).map(|kind| unbounded(&kind));
    rows.iter().map(kind).collect()
}

/// The type without the length of one that it has when none is told.
fn unbounded(kind: &str) -> String {
    let (element, list) = kind.strip_suffix("[]").map_or((kind, ""), |element| (element, "[]"));
    let element = match element {
        "character" => "bpchar",
        "bit" => "varbit",
        other => other,
    };
    format!("{element}{list}")
}

/// The names of the types that the driver does not know by itself, by their numbers.
async fn type_names(connection: &mut PgConnection, columns: &[PgColumn]) -> Result<HashMap<u32, String>, sqlx::Error> {
    let unknown = columns.iter().filter(|column| !is_known(column)).filter_map(|column| column.type_info().oid());
    let list: Vec<String> = unknown.map(|oid| oid.0.to_string()).collect();
    if list.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!(
        "SELECT oid::text, pg_catalog.format_type(oid, NULL) FROM pg_catalog.pg_type WHERE oid IN ({})",
        list.join(", ")
    );
    let rows = connection.fetch_all(raw_sql(AssertSqlSafe(sql))).await?;
    let name = |row: &PgRow| Ok((row.try_get::<&str, _>(0)?.parse().unwrap_or_default(), row.try_get(1)?));
    rows.iter().map(name).collect()
}

/// Whether the driver knows the type of a column by itself.
fn is_known(column: &PgColumn) -> bool {
    column.type_info().name() != "?"
}

fn described(column: &PgColumn, names: &HashMap<u32, String>) -> DescribedColumn {
    let (info, is_known) = (column.type_info(), is_known(column));
    let looked_up = || info.oid().and_then(|oid| names.get(&oid.0).cloned());
    DescribedColumn {
        name: column.name().to_owned(),
        kind: if is_known { info.name().to_lowercase() } else { looked_up().unwrap_or_else(|| "unknown".to_owned()) },
        is_decodable: is_known && is_decodable(info),
    }
}

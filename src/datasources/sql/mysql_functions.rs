//! Stored functions of MySQL and MariaDB, which are called like the engine's own: they run with the rights of whoever made them,
//! and may read files, wait and set variables of the session. A query calls those that the source's configuration names.

use sqlx::mysql::MySqlRow;
use sqlx::{AssertSqlSafe, Executor, MySqlConnection, Row, raw_sql};

use super::functions::{PossibleCall, is_named};
use super::guard::CheckedQuery;
use super::keywords::has_word;
use super::refusal::Refusal;

/// Built-in functions, and words before a bracket that call nothing. Most queries have no others, and need no question.
const BUILT_IN: &str = "all and any as avg between by case cast char coalesce concat convert count date date_format \
    decimal distinct else exists floor from greatest group_concat having if ifnull in interval join least left \
    length like lower max min month not now nullif on or over rank replace right round row_number select substring \
    sum then trim union upper using values varchar when where with year";

/// Why a query is refused: it may call a stored function that it is not allowed.
pub(super) async fn refusal(
    connection: &mut MySqlConnection,
    query: &CheckedQuery,
) -> Result<Option<Refusal>, sqlx::Error> {
    let is_own = |call: &PossibleCall| call.schema.is_none() && has_word(BUILT_IN, &call.name);
    let calls: Vec<&PossibleCall> = query.calls().iter().filter(|call| !is_own(call)).collect();
    if calls.is_empty() {
        return Ok(None);
    }
    let rows = connection.fetch_all(raw_sql(AssertSqlSafe(catalog_query(&calls)))).await?;
    let stored = rows.iter().map(stored_function).collect::<Result<Vec<_>, _>>()?;
    let is_called = |function: &&StoredFunction| calls.iter().any(|call| function.is_called_by(call));
    let is_named = |function: &&StoredFunction| is_named(query.named(), Some(&function.schema), &function.name);
    let refused = stored.iter().filter(is_called).find(|function| !is_named(function));
    Ok(refused.map(|StoredFunction { schema, name, .. }| {
        Refusal::new(format!(
            "The function {schema}.{name} is a stored one; it may be called once config.functions of the data source names it."
        ))
    }))
}

struct StoredFunction {
    schema: String,
    name: String,
    /// Whether its schema is the one that queries need not name.
    is_in_default: bool,
}

impl StoredFunction {
    /// Names of functions are the same in any case, and those of schemas on some machines.
    fn is_called_by(&self, call: &PossibleCall) -> bool {
        let in_schema = match &call.schema {
            Some(schema) => schema.to_lowercase() == self.schema.to_lowercase(),
            None => self.is_in_default,
        };
        in_schema && call.name.to_lowercase() == self.name.to_lowercase()
    }
}

fn stored_function(row: &MySqlRow) -> Result<StoredFunction, sqlx::Error> {
    Ok(StoredFunction { schema: row.try_get(0)?, name: row.try_get(1)?, is_in_default: row.try_get::<i64, _>(2)? == 1 })
}

/// Asks for the stored functions of these names that the account may call.
fn catalog_query(calls: &[&PossibleCall]) -> String {
    let hex = |call: &&PossibleCall| call.name.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let names: Vec<String> = calls.iter().map(|call| format!("_utf8mb4 X'{}'", hex(call))).collect();
    format!(
        "SELECT CAST(ROUTINE_SCHEMA AS CHAR), CAST(ROUTINE_NAME AS CHAR), COALESCE(ROUTINE_SCHEMA = DATABASE(), 0)
        FROM information_schema.ROUTINES WHERE ROUTINE_TYPE <> 'PROCEDURE' AND ROUTINE_NAME IN ({})",
        names.join(", ")
    )
}

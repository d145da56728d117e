//! PostgreSQL. Queries run in read-only transactions with timeouts; the extended protocol takes one statement at a time.

use serde_json::{Map, Value};
use sqlx::postgres::{PgColumn, PgConnectOptions, PgConnection, PgRow, PgSslMode, PgTypeInfo, Postgres};
use sqlx::{AssertSqlSafe, Column as _, Either, Executor, Row, SqlSafeStr, Statement, TypeInfo, raw_sql};

use super::bind::required_parameter;
use super::database_pool::{DatabasePool, LeasedConnection, open_bridge};
use super::engine::{EngineError, ServerUrl, collect, column_of, statement_timeout, url_error};
use super::guard::CheckedQuery;
use super::parameters::Piece;
use super::postgres_functions;
use super::postgres_value::{is_decodable, value};
use crate::datasources::DataError;
use crate::datasources::health::AccountReport;
use crate::datasources::query::{Query, QueryResult};
use crate::datasources::rows::RowCollector;
use crate::datasources::schema::TableSchema;
use crate::datasources::source::Source;
use crate::kernel::Deadline;
use crate::outbound::AddressGuard;

const PORT: u16 = 5432;

/// A pool for the server of this source.
pub(super) fn open(source: &Source, guard: &AddressGuard) -> Result<DatabasePool<Postgres>, DataError> {
    let url = ServerUrl::of(source, PORT)?;
    let bridge = open_bridge(source, guard, url.port, &format!(".s.PGSQL.{}", url.port))?;
    let folder = bridge.socket().parent().unwrap_or(bridge.socket());
    // Only what the source says: the driver would also take host, user and password from this server's environment.
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&url.host)
        .port(url.port)
        .socket(folder)
        .username(&url.user)
        .password(&url.password)
        .database(if url.database.is_empty() { &url.user } else { &url.database })
        .ssl_mode(PgSslMode::Prefer)
        .application_name("orchestrator-studio")
        // A plan that outlives a change of the table is an error.
        .statement_cache_capacity(0);
    for mode in url.ssl_modes {
        options = options.ssl_mode(mode.parse().map_err(|_| url_error(source, "has an unknown sslmode"))?);
    }
    Ok(DatabasePool::new(source, bridge, options))
}

/// Runs a query, once the catalog has shown what it may call.
pub(super) async fn query(
    pool: &DatabasePool<Postgres>,
    checked: &CheckedQuery,
    query: &Query<'_>,
) -> Result<QueryResult, EngineError> {
    for name in checked.names() {
        required_parameter(query.parameters, name)?;
    }
    let catalog_query = postgres_functions::catalog_query(checked);
    let (mut lease, functions) = begin(pool, query.deadline, &catalog_query).await?;
    let functions = postgres_functions::functions(&functions)?;
    if let Err(refusal) = postgres_functions::check(checked, &functions) {
        end(lease).await?;
        return Err(DataError::invalid_query(refusal.to_string()).into());
    }
    let connection = lease.connection()?;
    let PreparedQuery { sql, arguments, columns } = prepare(connection, checked, query.parameters).await?;
    let mut statement = sqlx::query::<Postgres>(AssertSqlSafe(sql)).persistent(false);
    for argument in arguments {
        statement = statement.bind(argument);
    }
    let mut collector = RowCollector::new(query.max_rows);
    collector.set_columns(columns.into_iter());
    let cell = |row: &PgRow, at: usize| row.try_get_raw(at).map_or(Value::Null, |raw| value(&raw));
    let is_complete = collect(statement.fetch(connection), &mut collector, |_, column| column_of(column), cell).await?;
    if is_complete {
        end(lease).await?;
    }
    Ok(collector.finish())
}

/// A connection in a read-only transaction, and the rows of a first statement in it, which may be empty. The limits are set in the same round
/// trip; those of the session would be lost behind a pooler.
async fn begin(
    pool: &DatabasePool<Postgres>,
    deadline: Deadline,
    first: &str,
) -> Result<(LeasedConnection<Postgres>, Vec<PgRow>), EngineError> {
    let mut lease = pool.acquire(deadline).await?;
    let limit = statement_timeout(deadline).as_millis().max(1);
    let sql = format!(
        "BEGIN TRANSACTION READ ONLY; SET LOCAL statement_timeout = {limit}; SET LOCAL lock_timeout = {limit}; \
         SET LOCAL idle_in_transaction_session_timeout = {limit}; SET LOCAL timezone = 'UTC'; {first}"
    );
    let connection = lease.connection()?;
    let rows = connection.fetch_all(raw_sql(AssertSqlSafe(sql))).await?;
    // From PostgreSQL 14 on: a query whose caller has left ends within a second.
    if connection.server_version_num().is_some_and(|version| version >= 140_000) {
        connection.execute(raw_sql("SET LOCAL client_connection_check_interval = 1000")).await?;
    }
    Ok((lease, rows))
}

/// Leaves no statement behind either: the driver forgets the names of those it has prepared.
async fn end(mut lease: LeasedConnection<Postgres>) -> Result<(), sqlx::Error> {
    lease.connection()?.execute(raw_sql("ROLLBACK; DEALLOCATE ALL")).await?;
    lease.release();
    Ok(())
}

/// A query as it is sent, the values of its parameters, and names and types of its columns.
struct PreparedQuery {
    sql: String,
    arguments: Vec<Option<String>>,
    columns: Vec<(String, String)>,
}

/// Asks the server for the types of the query, whose values it then takes as text and casts itself: exact for every type. What can't
/// be decoded here it casts to text. (A statement without a name would be lost when the driver looks up a type.)
async fn prepare(
    connection: &mut PgConnection,
    checked: &CheckedQuery,
    parameters: &Map<String, Value>,
) -> Result<PreparedQuery, EngineError> {
    let names: Vec<&str> = checked.names().collect();
    let numbered = with_parameters(checked, &names, |number| format!("${number}"));
    let statement = connection.prepare(AssertSqlSafe(numbered).into_sql_str()).await?;
    let types: Vec<String> = match statement.parameters() {
        Some(Either::Left(types)) => types.iter().map(type_name).collect(),
        _ => Vec::new(),
    };
    let mut arguments = Vec::new();
    for (name, kind) in names.iter().zip(&types) {
        arguments.push(parameter_text(name, required_parameter(parameters, name)?, kind)?);
    }
    let cast = |number: usize| {
        let kind = types.get(number - 1).map_or("text", String::as_str);
        format!("CAST(${number}::text AS {kind})")
    };
    let sql = cast_undecodable(with_parameters(checked, &names, cast), statement.columns());
    Ok(PreparedQuery { sql, arguments, columns: statement.columns().iter().map(column_of).collect() })
}

/// The query with something in the place of each parameter, which is told by its number, from 1.
fn with_parameters(checked: &CheckedQuery, names: &[&str], place: impl Fn(usize) -> String) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Parameter(name) => place(names.iter().position(|known| known == name).unwrap_or_default() + 1),
    };
    checked.pieces().iter().map(text).collect()
}

/// The query with the columns as text that can't be read in binary form.
fn cast_undecodable(sql: String, columns: &[PgColumn]) -> String {
    if columns.iter().all(|column| is_decodable(column.type_info())) {
        return sql;
    }
    let names: Vec<String> = (1..=columns.len()).map(|number| format!("c{number}")).collect();
    let shown: Vec<String> = names
        .iter()
        .zip(columns)
        .map(|(name, column)| if is_decodable(column.type_info()) { name.clone() } else { format!("{name}::text") })
        .collect();
    format!("SELECT {} FROM ({sql}\n) AS q({})", shown.join(", "), names.join(", "))
}

/// The name of a type as SQL takes it. Without a length, `char` and `bit` would cut their values to one place.
fn type_name(kind: &PgTypeInfo) -> String {
    let name = kind.name();
    let (element, list) = name.strip_suffix("[]").map_or((name, ""), |element| (element, "[]"));
    let element = match element {
        "UNKNOWN" | "VOID" => "text".to_owned(),
        "CHAR" => "bpchar".to_owned(),
        "BIT" => "varbit".to_owned(),
        "\"CHAR\"" => "\"char\"".to_owned(),
        // What a user has defined is quoted already where it needs to be.
        defined if defined.contains(['"', '.']) => defined.to_owned(),
        builtin => builtin.to_lowercase(),
    };
    element + list
}

/// A value in the form in which PostgreSQL reads its type from text.
fn parameter_text(name: &str, value: &Value, kind: &str) -> Result<Option<String>, DataError> {
    match value {
        Value::Null => Ok(None),
        _ if matches!(kind, "json" | "jsonb") => Ok(Some(value.to_string())),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Array(items) if kind.ends_with("[]") => Ok(Some(array_text(items))),
        Value::Array(_) => Err(DataError::invalid_parameter(format!(
            "Parameter '{name}' is a list where the query needs one {kind}; compare with = ANY(:{name})"
        ))),
        Value::Object(_) => {
            Err(DataError::invalid_parameter(format!("Parameter '{name}' is an object where the query needs {kind}")))
        }
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
    }
}

/// `{1,"a \"b\"",NULL}`; lists in lists are further dimensions.
fn array_text(items: &[Value]) -> String {
    let item = |item: &Value| match item {
        Value::Null => "NULL".to_owned(),
        Value::Array(items) => array_text(items),
        other => {
            let text = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
    };
    format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(","))
}

const CATALOG_SQL: &str = "
    SELECT n.nspname::text, c.relname::text,
        CASE WHEN c.relkind IN ('v', 'm') THEN 'view' ELSE 'table' END,
        obj_description(c.oid, 'pg_class'), a.attname::text, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
        pg_get_expr(d.adbin, d.adrelid),
        EXISTS (SELECT 1 FROM pg_constraint p WHERE p.conrelid = c.oid AND p.contype = 'p' AND a.attnum = ANY (p.conkey)),
        (SELECT concat_ws('.', nullif(fn.nspname, n.nspname), fc.relname, fa.attname)
            FROM pg_constraint f
            JOIN pg_class fc ON fc.oid = f.confrelid
            JOIN pg_namespace fn ON fn.oid = fc.relnamespace
            JOIN pg_attribute fa ON fa.attrelid = f.confrelid AND fa.attnum = f.confkey[array_position(f.conkey, a.attnum)]
            WHERE f.conrelid = c.oid AND f.contype = 'f' AND a.attnum = ANY (f.conkey) LIMIT 1),
        col_description(c.oid, a.attnum)
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND n.nspname NOT LIKE 'pg\\_%' AND has_schema_privilege(n.oid, 'USAGE')
        AND has_column_privilege(c.oid, a.attnum, 'SELECT')
    ORDER BY n.nspname, c.relname, a.attnum
    LIMIT 20000";

/// The tables with the columns that the account may read.
pub(super) async fn schema(pool: &DatabasePool<Postgres>, deadline: Deadline) -> Result<Vec<TableSchema>, EngineError> {
    let (mut lease, _) = begin(pool, deadline, "").await?;
    let rows = sqlx::query(CATALOG_SQL).persistent(false).fetch_all(lease.connection()?).await?;
    end(lease).await?;
    Ok(TableSchema::group(&rows)?)
}

const ACCOUNT_SQL: &str = "
    SELECT current_setting('server_version'), current_user::text, rolsuper,
        has_database_privilege(current_database(), 'CREATE') OR EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
            AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')),
        current_setting('transaction_read_only') = 'on'
    FROM pg_roles WHERE rolname = current_user";

/// What the server says of the account.
pub(super) async fn check(pool: &DatabasePool<Postgres>, deadline: Deadline) -> Result<AccountReport, EngineError> {
    let (mut lease, _) = begin(pool, deadline, "").await?;
    let row = sqlx::query(ACCOUNT_SQL).persistent(false).fetch_one(lease.connection()?).await?;
    end(lease).await?;
    Ok(AccountReport {
        version: format!("PostgreSQL {}", row.try_get::<String, _>(0)?),
        user: row.try_get(1)?,
        is_superuser: row.try_get(2)?,
        may_write: row.try_get(3)?,
        read_only: row.try_get(4)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_takes_the_form_of_its_type() {
        let cases = [
            (json!(null), "int8", None),
            (json!(9_007_199_254_740_993_i64), "int8", Some("9007199254740993")),
            (json!("9007199254740993"), "int8", Some("9007199254740993")),
            (json!(true), "bool", Some("true")),
            (json!([1, null, "a\"b\\", [2]]), "text[]", Some(r#"{"1",NULL,"a\"b\\",{"2"}}"#)),
            (json!({"a": [1]}), "jsonb", Some(r#"{"a":[1]}"#)),
            (json!("x"), "json", Some("\"x\"")),
        ];
        for (value, kind, expected) in cases {
            assert_eq!(parameter_text("p", &value, kind).unwrap().as_deref(), expected, "{value} as {kind}");
        }
        assert!(parameter_text("p", &json!([1]), "int4").unwrap_err().text().contains("= ANY(:p)"));
    }
}

//! PostgreSQL. Every query runs in a transaction that is read only and has timeouts, over the extended protocol, which takes
//! one statement at a time.

use futures_util::StreamExt;
use serde_json::{Map, Value};
use sqlx::postgres::{PgColumn, PgConnectOptions, PgConnection, PgRow, PgSslMode, PgTypeInfo, Postgres};
use sqlx::{AssertSqlSafe, Column as _, Either, Executor, Row, SqlSafeStr, Statement, TypeInfo, raw_sql};

use super::parameters::{CheckedQuery, Piece};
use super::pools::{LeasedConnection, ServerPool, open_bridge};
use super::postgres_value::{is_decodable, value};
use super::schema::{CatalogColumn, group_by_table};
use super::{column_of, driver_error, postgres_functions, source_label};
use crate::datasources::client::{CheckReport, Query, Source};
use crate::datasources::rows::RowCollector;
use crate::datasources::{DataError, QueryResult};
use crate::kernel::Deadline;
use crate::outbound::AddressGuard;

pub(super) fn open(source: &Source, guard: &AddressGuard) -> Result<ServerPool<Postgres>, DataError> {
    let options = connect_options(source)?;
    let port = options.get_port();
    let bridge = open_bridge(source, guard, port, &format!(".s.PGSQL.{port}"))?;
    let folder = bridge.socket().parent().unwrap_or(bridge.socket());
    let options = options.socket(folder);
    Ok(ServerPool::new(source, bridge, options))
}

const PORT: u16 = 5432;

/// Only what the source says: the driver would also take host, user and password from this server's environment.
fn connect_options(source: &Source) -> Result<PgConnectOptions, DataError> {
    let settings = &source.effective;
    let wrong = |what: &str| DataError::failed(format!("{}: its URL {what}", source_label(source)));
    let url = settings.url.parse().ok_or_else(|| wrong("is not valid"))?;
    let token = settings.auth_token.as_ref().map(|token| token.expose().to_owned());
    let account = super::login_of(&url, token);
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(url.host_str().unwrap_or_default().trim_matches(['[', ']']))
        .port(url.port().unwrap_or(PORT))
        .username(&account.user)
        .password(&account.password)
        .database(if account.database.is_empty() { &account.user } else { &account.database })
        .ssl_mode(PgSslMode::Prefer)
        .application_name("orchestrator-studio")
        // A plan that outlives a change of the table is an error.
        .statement_cache_capacity(0);
    for (key, value) in url.query_pairs() {
        if matches!(key.as_ref(), "sslmode" | "ssl-mode") {
            options = options.ssl_mode(value.parse().map_err(|_| wrong("has an unknown sslmode"))?);
        }
    }
    Ok(options)
}

pub(super) async fn query(
    pool: &ServerPool<Postgres>,
    source: &Source,
    checked: &CheckedQuery,
    query: &Query<'_>,
) -> Result<QueryResult, DataError> {
    let failed = |error| driver_error(source, &error);
    for name in checked.names() {
        super::required_parameter(query.parameters, name)?;
    }
    let (mut lease, answers) =
        begin_with(pool, source, query.deadline, &postgres_functions::catalog_query(checked)).await?;
    let functions = postgres_functions::functions(&answers).map_err(failed)?;
    if let Err(refusal) = postgres_functions::check(checked, &functions, &source.effective.functions()) {
        end(lease, source).await?;
        return Err(DataError::invalid_query(refusal.to_string()));
    }
    let connection = lease.connection().map_err(failed)?;
    let PreparedQuery { sql, arguments, columns } = prepare(connection, source, checked, query.parameters).await?;
    let mut statement = sqlx::query::<Postgres>(AssertSqlSafe(sql)).persistent(false);
    for argument in arguments {
        statement = statement.bind(argument);
    }
    let mut collector = RowCollector::new(query.max_rows);
    collector.set_columns(columns.into_iter());
    let mut rows = statement.fetch(&mut *connection);
    let mut complete = true;
    while let Some(row) = rows.next().await {
        if !collector.push(values(&row.map_err(failed)?)) {
            complete = false;
            break;
        }
    }
    drop(rows);
    if complete {
        end(lease, source).await?;
    }
    Ok(collector.finish())
}

fn values(row: &PgRow) -> impl Iterator<Item = Value> {
    (0..row.len()).map(|at| row.try_get_raw(at).map_or(Value::Null, |raw| value(&raw)))
}

/// A connection in a read-only transaction.
async fn begin(
    pool: &ServerPool<Postgres>,
    source: &Source,
    deadline: Deadline,
) -> Result<LeasedConnection<Postgres>, DataError> {
    begin_with(pool, source, deadline, "").await.map(|(lease, _)| lease)
}

/// A connection in a read-only transaction, and the rows of a first statement in it. The limits are set in the same round
/// trip; those of the session would be lost behind a pooler.
async fn begin_with(
    pool: &ServerPool<Postgres>,
    source: &Source,
    deadline: Deadline,
    question: &str,
) -> Result<(LeasedConnection<Postgres>, Vec<PgRow>), DataError> {
    let mut lease = pool.acquire(source, deadline).await?;
    let limit = super::statement_timeout(deadline).as_millis().max(1);
    let sql = format!(
        "BEGIN TRANSACTION READ ONLY; SET LOCAL statement_timeout = {limit}; SET LOCAL lock_timeout = {limit}; \
         SET LOCAL idle_in_transaction_session_timeout = {limit}; SET LOCAL timezone = 'UTC'; {question}"
    );
    let begun = async {
        let connection = lease.connection()?;
        let rows = connection.fetch_all(raw_sql(AssertSqlSafe(sql))).await?;
        // From PostgreSQL 14 on: a query whose caller has left ends within a second.
        if connection.server_version_num().is_some_and(|version| version >= 140_000) {
            connection.execute(raw_sql("SET LOCAL client_connection_check_interval = 1000")).await?;
        }
        Ok(rows)
    };
    let rows = begun.await.map_err(|error| driver_error(source, &error))?;
    Ok((lease, rows))
}

/// Leaves no statement behind either: the driver forgets the names of those it has prepared.
async fn end(mut lease: LeasedConnection<Postgres>, source: &Source) -> Result<(), DataError> {
    let connection = lease.connection().map_err(|error| driver_error(source, &error))?;
    let ended = connection.execute(raw_sql("ROLLBACK; DEALLOCATE ALL")).await;
    ended.map_err(|error| driver_error(source, &error))?;
    lease.release();
    Ok(())
}

/// A query as it is sent, the values of its parameters, and names and types of its columns.
struct PreparedQuery {
    sql: String,
    arguments: Vec<Option<String>>,
    columns: Vec<(String, String)>,
}

/// Asks the server which types the query has; the driver loses a statement without a name if it only then looks up a type
/// that it does not know. Every value is handed over as text that the server itself turns into the type
/// of its parameter: exact for every type there is. Likewise it turns into text what this server can't read in binary form.
async fn prepare(
    connection: &mut PgConnection,
    source: &Source,
    checked: &CheckedQuery,
    parameters: &Map<String, Value>,
) -> Result<PreparedQuery, DataError> {
    let names: Vec<&str> = checked.names().collect();
    let numbered = with_parameters(checked, &names, |number| format!("${number}"));
    let statement = connection.prepare(AssertSqlSafe(numbered).into_sql_str()).await;
    let statement = statement.map_err(|error| driver_error(source, &error))?;
    let types: Vec<String> = match statement.parameters() {
        Some(Either::Left(types)) => types.iter().map(type_name).collect(),
        _ => Vec::new(),
    };
    let mut arguments = Vec::new();
    for (name, kind) in names.iter().zip(&types) {
        arguments.push(parameter_text(name, super::required_parameter(parameters, name)?, kind)?);
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

/// The columns that the account may read.
pub(super) async fn schema(
    pool: &ServerPool<Postgres>,
    source: &Source,
    deadline: Deadline,
) -> Result<Vec<Value>, DataError> {
    let mut lease = begin(pool, source, deadline).await?;
    let connection = lease.connection().map_err(|error| driver_error(source, &error))?;
    let rows = sqlx::query(CATALOG_SQL).persistent(false).fetch_all(connection).await;
    let rows = rows.map_err(|error| driver_error(source, &error))?;
    end(lease, source).await?;
    let column = |row: &PgRow| {
        Ok(CatalogColumn {
            schema: row.try_get(0)?,
            table: row.try_get(1)?,
            kind: row.try_get(2)?,
            table_comment: row.try_get(3)?,
            name: row.try_get(4)?,
            data_type: row.try_get(5)?,
            nullable: row.try_get(6)?,
            default: row.try_get(7)?,
            primary_key: row.try_get(8)?,
            references: row.try_get(9)?,
            comment: row.try_get(10)?,
        })
    };
    let columns: Result<Vec<_>, sqlx::Error> = rows.iter().map(column).collect();
    Ok(group_by_table(columns.map_err(|error| driver_error(source, &error))?))
}

const ACCOUNT_SQL: &str = "
    SELECT current_setting('server_version'), current_user::text, rolsuper,
        has_database_privilege(current_database(), 'CREATE') OR EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
            AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')),
        current_setting('transaction_read_only') = 'on'
    FROM pg_roles WHERE rolname = current_user";

pub(super) async fn check(
    pool: &ServerPool<Postgres>,
    source: &Source,
    deadline: Deadline,
) -> Result<CheckReport, DataError> {
    let failed = |error| driver_error(source, &error);
    let mut lease = begin(pool, source, deadline).await?;
    let row = sqlx::query(ACCOUNT_SQL).persistent(false).fetch_one(lease.connection().map_err(failed)?).await;
    let row = row.map_err(failed)?;
    end(lease, source).await?;
    let read = || -> Result<_, sqlx::Error> {
        Ok(super::AccountInfo {
            version: format!("PostgreSQL {}", row.try_get::<String, _>(0)?),
            user: row.try_get(1)?,
            superuser: row.try_get(2)?,
            may_write: row.try_get(3)?,
            read_only: row.try_get(4)?,
        })
    };
    Ok(super::account_report(read().map_err(failed)?))
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

//! SQL databases: a guard that lets only queries through, a pool per source, and one file per engine that connects, binds,
//! decodes and reads the catalogs. SQLite, which is no server, works in processes of its own: `sqlite`.
//!
//! To add an engine: a file like `mysql.rs`, a variant of [`pools::SourcePool`], its arms in [`SqlClient`].

mod functions;
mod guard;
mod keywords;
mod mysql;
mod mysql_functions;
mod parameters;
mod pools;
mod postgres;
mod postgres_functions;
mod postgres_value;
mod relations;
mod rewrite;
mod schema;
mod sqlite;
mod statements;
mod tokens;
mod visitor;

#[cfg(test)]
mod function_attacks;
#[cfg(test)]
mod guard_attacks;
#[cfg(test)]
mod guard_tests;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sqlx::TypeInfo as _;

use self::guard::Dialect;
use self::parameters::{CheckedQuery, Piece};
use self::pools::{Pools, SourcePool};
pub use self::sqlite::read_sqlite;
use super::client::{CheckReport, Query, Source, protocol_of, source_label};
use super::rows::json_bytes;
use super::{DataError, Outage, QueryResult};
use crate::kernel::Deadline;
use crate::outbound::AddressGuard;
use crate::settings::Protocol;

/// Asks SQL databases. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct SqlClient {
    pools: Pools,
}

impl SqlClient {
    /// `guard` watches the connections; `program` is this program's own file.
    pub(super) fn new(guard: AddressGuard, program: PathBuf) -> Self {
        Self { pools: Pools::new(guard, program) }
    }

    pub(super) async fn query(&self, source: &Source, query: &Query<'_>) -> Result<QueryResult, DataError> {
        let checked = check_sql(query.text, protocol_of(source)?, source.effective.functions()).await?;
        let (pool, _place) = self.pools.checkout(source, query.deadline).await?;
        match pool {
            SourcePool::Postgres(pool) => postgres::query(&pool, source, &checked, query).await,
            SourcePool::MySql(pool) => mysql::query(&pool, source, &checked, query).await,
            SourcePool::Sqlite(readers) => sqlite::query(&readers, source, &checked, query).await,
        }
    }

    pub(super) fn evict(&self, name: &str) {
        self.pools.evict(name);
    }

    /// Tables with their columns, types, nullability, keys and comments.
    pub(super) async fn schema(&self, source: &Source, deadline: Deadline) -> Result<Vec<Value>, DataError> {
        let (pool, _place) = self.pools.checkout(source, deadline).await?;
        match pool {
            SourcePool::Postgres(pool) => postgres::schema(&pool, source, deadline).await,
            SourcePool::MySql(pool) => mysql::schema(&pool, source, deadline).await,
            SourcePool::Sqlite(readers) => sqlite::schema(&readers, source, deadline).await,
        }
    }

    /// Tables without their columns.
    pub(super) async fn tables(&self, source: &Source, deadline: Deadline) -> Result<Vec<Value>, DataError> {
        Ok(self.schema(source, deadline).await?.into_iter().map(schema::without_columns).collect())
    }

    pub(super) async fn check(&self, source: &Source, deadline: Deadline) -> Result<CheckReport, DataError> {
        let (pool, _place) = self.pools.checkout(source, deadline).await?;
        match pool {
            SourcePool::Postgres(pool) => postgres::check(&pool, source, deadline).await,
            SourcePool::MySql(pool) => mysql::check(&pool, source, deadline).await,
            SourcePool::Sqlite(readers) => sqlite::check(&readers, source, deadline).await,
        }
    }
}

/// Lets a query through, or says why not; `named` are functions that it may call because the source names them. A long one
/// takes a while to look at, so this leaves the runtime's threads.
pub(super) async fn check_sql(text: &str, protocol: Protocol, named: Vec<String>) -> Result<CheckedQuery, DataError> {
    let dialect = match protocol {
        Protocol::MySql => Dialect::MySql,
        Protocol::Sqlite => Dialect::Sqlite,
        Protocol::Postgres | Protocol::Cube | Protocol::Rest => Dialect::Postgres,
    };
    let text = text.to_owned();
    let checking = tokio::task::spawn_blocking(move || guard::check(&text, dialect, &named));
    match checking.await {
        Ok(outcome) => outcome.map_err(|refusal| DataError::invalid_query(refusal.to_string())),
        Err(_) => Err(DataError::invalid_query("The query could not be checked")),
    }
}

/// What a driver reports, as ours. A connection that breaks may have met an outage, or a query that was too much.
fn driver_error(source: &Source, error: &sqlx::Error) -> DataError {
    const TIMEOUT_MESSAGES: [&str; 3] = ["statement timeout", "max_statement_time", "maximum statement execution time"];
    let (text, outage) = match error {
        sqlx::Error::Database(objection) if objection.code().is_some_and(|code| SHUTDOWN_CODES.contains(&&*code)) => {
            (objection.message().to_owned(), Outage::Perhaps)
        }
        sqlx::Error::Database(objection) => (objection.message().to_owned(), Outage::No),
        sqlx::Error::Io(cause) => (format!("the connection failed: {cause}"), Outage::Perhaps),
        sqlx::Error::Tls(cause) => (format!("TLS failed: {cause}"), Outage::Perhaps),
        sqlx::Error::Protocol(_) => (error.to_string(), Outage::Perhaps),
        other => (other.to_string(), Outage::No),
    };
    let timed_out = TIMEOUT_MESSAGES.iter().any(|sign| text.contains(sign));
    DataError::Failed { text: format!("{}: {text}", source_label(source)), timed_out, outage }
}

/// Codes with which a server turns clients away that starts or stops: PostgreSQL's, and that of MySQL for all of these.
const SHUTDOWN_CODES: &[&str] = &["57P01", "57P02", "57P03", "08S01"];

/// How long a database may work on one statement: so much less than the deadline allows that its own objection arrives, which
/// is no outage and costs no connection.
fn statement_timeout(deadline: Deadline) -> Duration {
    let left = deadline.remaining();
    left - (left / 5).min(Duration::from_secs(1))
}

/// Name and type of a column, as a driver describes it.
fn column_of<C: sqlx::Column>(column: &C) -> (String, String) {
    (column.name().to_owned(), column.type_info().name().to_lowercase())
}

/// User, password and database of a connection string.
struct Login {
    user: String,
    password: String,
    database: String,
}

/// A password in the URL counts; the token is the password where the URL has none.
fn login_of(url: &url::Url, token: Option<String>) -> Login {
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    Login {
        user: decode(url.username()),
        password: url.password().map(decode).or(token).unwrap_or_default(),
        database: decode(url.path().trim_start_matches('/')),
    }
}

/// What a database says about the account that it is asked with.
struct AccountInfo {
    version: String,
    user: String,
    superuser: bool,
    may_write: bool,
    /// Whether the session is.
    read_only: bool,
}

/// The findings of a test, with a warning where only this server stands between a query and a write.
fn account_report(account: AccountInfo) -> CheckReport {
    let AccountInfo { version, user, superuser, may_write, read_only } = account;
    let warning = match (superuser, may_write) {
        (true, _) => Some("The account is a superuser; give this source an account that may only SELECT"),
        (_, true) => Some("The account may write; give this source an account that may only SELECT"),
        _ => None,
    };
    let findings = json!({
        "reached": true, "authenticated": true, "version": version, "account": user, "read_only": read_only,
        "account_may_write": may_write, "account_is_superuser": superuser, "warning": warning,
    });
    CheckReport { status: None, ok: read_only, findings: findings.as_object().cloned().unwrap_or_default() }
}

/// A parameter's value, which must be given.
fn required_parameter<'a>(parameters: &'a Map<String, Value>, name: &str) -> Result<&'a Value, DataError> {
    parameters.get(name).ok_or_else(|| DataError::invalid_parameter(format!("The query needs a value for :{name}")))
}

/// A value bound to an engine that takes the type from the value.
#[derive(Debug, Deserialize, Serialize)]
enum BindValue {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond the signed range.
    Unsigned(u64),
    Float(f64),
    Text(String),
}

impl From<&Value> for BindValue {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(int), _) => Self::Int(int),
                _ if number.is_u64() => Self::Unsigned(number.as_u64().unwrap_or_default()),
                (None, Some(float)) => Self::Float(float),
                (None, None) => Self::Text(number.to_string()),
            },
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(_) | Value::Object(_) => Self::Text(value.to_string()),
        }
    }
}

/// Most values of one query: SQLite takes no more placeholders.
const MAX_BOUND_VALUES: usize = 32_000;
/// Most bytes of all values of one query.
const MAX_BOUND_BYTES: usize = 10_000_000;

/// The query with `?` in the place of its parameters, and their values in order. A list stands for as many places, so that
/// `IN (:ids)` works; an empty one stands for `nothing`, a subquery without rows.
fn expand_parameters(
    checked: &CheckedQuery,
    parameters: &Map<String, Value>,
    nothing: &str,
) -> Result<(String, Vec<BindValue>), DataError> {
    let (mut sql, mut values, mut bytes) = (String::new(), Vec::new(), 0);
    for piece in checked.pieces() {
        match piece {
            Piece::Text(text) => sql.push_str(text),
            Piece::Parameter(name) => match required_parameter(parameters, name)? {
                Value::Array(items) if items.is_empty() => sql.push_str(nothing),
                value => {
                    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                    bytes += items.iter().map(json_bytes).sum::<usize>();
                    if values.len() + items.len() > MAX_BOUND_VALUES || bytes > MAX_BOUND_BYTES {
                        let text = format!(
                            "The parameters of one query should come to at most {MAX_BOUND_VALUES} values and {MAX_BOUND_BYTES} bytes; \
                             a list counts wherever it stands"
                        );
                        return Err(DataError::invalid_parameter(text));
                    }
                    sql.push_str(&vec!["?"; items.len()].join(", "));
                    values.extend(items.iter().map(BindValue::from));
                }
            },
        }
    }
    Ok((sql, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(sql: &str, parameters: &Value) -> Result<(String, usize), DataError> {
        let checked = guard::check(sql, Dialect::Sqlite, &[]).unwrap();
        let (sql, values) = expand_parameters(&checked, parameters.as_object().unwrap(), "SELECT NULL WHERE 1 = 0")?;
        Ok((sql, values.len()))
    }

    #[test]
    fn a_list_stands_for_as_many_places_and_an_empty_one_for_none() {
        let given = json!({"ids": [1, 2], "none": [], "n": 3});
        let expected = ("SELECT 1 WHERE a IN (?, ?) AND b NOT IN (SELECT NULL WHERE 1 = 0) AND c = ?".to_owned(), 3);
        assert_eq!(expanded("SELECT 1 WHERE a IN (:ids) AND b NOT IN (:none) AND c = :n", &given).unwrap(), expected);
    }

    #[test]
    fn lists_that_multiply_are_refused_before_they_do() {
        let sql = format!("SELECT 1 WHERE 1 IN ({})", vec![":i"; 1000].join(", "));
        let many = json!({"i": vec!["x"; 10_000]});
        let long = json!({"i": "x".repeat(100_000)});
        for given in [many, long] {
            assert!(expanded(&sql, &given).unwrap_err().text().contains("at most 32000 values"));
        }
    }
}

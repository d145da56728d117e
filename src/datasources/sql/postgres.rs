//! PostgreSQL. Queries run in read-only transactions with timeouts; the extended protocol takes one statement at a time.

use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgRow, PgSslMode, Postgres};
use sqlx::{AssertSqlSafe, Executor, Row, raw_sql};

use super::bind::required_parameter;
use super::database_pool::{DatabasePool, LeasedConnection, open_bridge};
use super::engine::{EngineError, collect, column_of, server_url, statement_timeout, url_error};
use super::guard::CheckedQuery;
use super::postgres_statement::prepare;
use super::postgres_value::value;
use super::{postgres_catalog, postgres_functions, postgres_session};
use crate::datasources::DataError;
use crate::datasources::health::AccountReport;
use crate::datasources::identifier::quoted;
use crate::datasources::query::{Query, QueryResult};
use crate::datasources::rows::RowCollector;
use crate::datasources::schema::TableCatalog;
use crate::datasources::source::Source;
use crate::kernel::{Caller, Deadline};
use crate::outbound::AddressGuard;
use crate::settings::Protocol;

const PORT: u16 = 5432;

/// A pool for the server of this source.
pub(super) fn open(source: &Source, guard: &AddressGuard) -> Result<DatabasePool<Postgres>, DataError> {
    let url = server_url(source)?;
    let port = url.port.unwrap_or(PORT);
    let bridge = open_bridge(source, guard, (&url.host, port), &format!(".s.PGSQL.{port}"))?;
    let folder = bridge.socket().parent().unwrap_or(bridge.socket());
    // Only what the source says: the driver would also take host, user and password from this server's environment.
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&url.host)
        .port(port)
        .socket(folder)
        .username(&url.user)
        .password(url.password.as_deref().unwrap_or_default())
        .database(if url.database.is_empty() { &url.user } else { &url.database })
        .ssl_mode(PgSslMode::Prefer)
        .application_name(url.application_name.as_deref().unwrap_or("orchestrator-studio"))
        // A plan that outlives a change of the table is an error.
        .statement_cache_capacity(0);
    if let Some(mode) = url.ssl_mode {
        let mode = mode.postgres_word().parse().map_err(|_| url_error(source, "has an unknown sslmode"))?;
        options = options.ssl_mode(mode);
    }
    Ok(DatabasePool::new(source, bridge, options, set_search_path(&url.search_path)))
}

/// The statement that sets the search path for a transaction; empty for the account's own.
fn set_search_path(schemas: &[String]) -> String {
    let quoted: Vec<_> = schemas.iter().map(|name| quoted(Protocol::Postgres, name)).collect();
    if quoted.is_empty() { String::new() } else { format!("SET LOCAL search_path = {}; ", quoted.join(", ")) }
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
    let (mut lease, functions) = begin(pool, query.caller, query.deadline, &catalog_query).await?;
    let functions = postgres_functions::functions(&functions)?;
    if let Err(refusal) = postgres_functions::check(checked, &functions) {
        end(lease).await?;
        return Err(DataError::invalid_query(refusal.to_string()).into());
    }
    let connection = lease.connection()?;
    let (statement, columns) = prepare(connection, checked, query.parameters).await?;
    let mut collector = RowCollector::new(query.max_rows);
    collector.set_columns(columns.into_iter());
    let cell = |row: &PgRow, at: usize| row.try_get_raw(at).map_or(Value::Null, |raw| value(&raw));
    let is_complete = collect(statement.fetch(connection), &mut collector, |_, column| column_of(column), cell).await?;
    if is_complete {
        end(lease).await?;
    }
    Ok(collector.finish())
}

/// A connection in a read-only transaction that is told who asks, and the rows of a first statement in it, which may be empty. All is set
/// in the same round trip, and for the transaction: what is the session's would be lost behind a pooler, or meet the next caller.
async fn begin(
    pool: &DatabasePool<Postgres>,
    caller: &Caller,
    deadline: Deadline,
    first: &str,
) -> Result<(LeasedConnection<Postgres>, Vec<PgRow>), EngineError> {
    let session = postgres_session::statements(pool.source(), caller)?;
    let mut lease = pool.acquire(deadline).await?;
    let limit = statement_timeout(deadline).as_millis().max(1);
    let sql = format!(
        "BEGIN TRANSACTION READ ONLY; SET LOCAL statement_timeout = {limit}; SET LOCAL lock_timeout = {limit}; \
         SET LOCAL idle_in_transaction_session_timeout = {limit}; SET LOCAL timezone = 'UTC'; {}{session}{first}",
        pool.preamble()
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

/// The tables with the columns that the account may read.
pub(super) async fn schema(
    pool: &DatabasePool<Postgres>,
    caller: &Caller,
    deadline: Deadline,
) -> Result<TableCatalog, EngineError> {
    let (mut lease, counted) = begin(pool, caller, deadline, postgres_catalog::COUNT_SQL).await?;
    let catalog = postgres_catalog::read(lease.connection()?, &counted).await?;
    if !catalog.truncated {
        end(lease).await?;
    }
    Ok(catalog)
}

const ACCOUNT_SQL: &str = "
    SELECT current_setting('server_version'), current_user::text, rolsuper,
        has_database_privilege(current_database(), 'CREATE') OR EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
            AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')),
        current_setting('transaction_read_only') = 'on',
        rolsuper OR rolbypassrls OR EXISTS (SELECT 1 FROM pg_class c
            WHERE c.relrowsecurity AND has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid))
    FROM pg_roles WHERE rolname = current_user";

/// What the server says of the account.
pub(super) async fn check(pool: &DatabasePool<Postgres>, deadline: Deadline) -> Result<AccountReport, EngineError> {
    let (mut lease, _) = begin(pool, &Caller::unrestricted(), deadline, "").await?;
    let row = sqlx::query(ACCOUNT_SQL).persistent(false).fetch_one(lease.connection()?).await?;
    end(lease).await?;
    Ok(AccountReport {
        version: format!("PostgreSQL {}", row.try_get::<String, _>(0)?),
        user: row.try_get(1)?,
        is_superuser: row.try_get(2)?,
        may_write: row.try_get(3)?,
        read_only: row.try_get(4)?,
        bypasses_row_security: row.try_get::<bool, _>(5)? && !pool.source().effective.session().is_empty(),
    })
}

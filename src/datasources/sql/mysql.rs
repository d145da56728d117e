//! MySQL and MariaDB. Queries run in read-only transactions with timeouts; prepared statements are one statement at a time.

use serde_json::Value;
use sqlx::mysql::{
    MySql, MySqlColumn, MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlSslMode, MySqlTypeInfo, MySqlValueRef,
};
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, Decode, Executor, Row, SqlSafeStr, Statement, Type, TypeInfo, ValueRef,
    raw_sql,
};

use super::bind::{arguments, expand_parameters};
use super::database_pool::{DatabasePool, LeasedConnection, open_bridge};
use super::engine::{EngineError, collect, server_url, statement_timeout, url_error};
use super::guard::CheckedQuery;
use super::{mysql_catalog, mysql_functions, relations};
use crate::datasources::DataError;
use crate::datasources::health::AccountReport;
use crate::datasources::query::{Query, QueryResult};
use crate::datasources::rows::RowCollector;
use crate::datasources::schema::TableCatalog;
use crate::datasources::source::Source;
use crate::datasources::values::{base64_text, float, fraction, integer, json_cell, short_float, text_or_base64};
use crate::kernel::Deadline;
use crate::outbound::AddressGuard;

const PORT: u16 = 3306;
/// A subquery without rows.
const EMPTY_SUBQUERY: &str = "SELECT NULL FROM DUAL WHERE 1 = 0";

/// A pool for the server of this source.
pub(super) fn open(source: &Source, guard: &AddressGuard) -> Result<DatabasePool<MySql>, DataError> {
    let url = server_url(source)?;
    // The guard knows the server's own tables by their schema, which a query need not name there.
    if relations::is_mysql_schema(&url.database) {
        return Err(url_error(source, "names a database of the server's own"));
    }
    let port = url.port.unwrap_or(PORT);
    let bridge = open_bridge(source, guard, (&url.host, port), "mysql")?;
    let mut options = MySqlConnectOptions::new()
        .host(&url.host)
        .port(port)
        .socket(bridge.socket())
        .username(&url.user)
        .password(url.password.as_deref().unwrap_or_default())
        .timezone(Some("+00:00".to_owned()))
        .statement_cache_capacity(0);
    if !url.database.is_empty() {
        options = options.database(&url.database);
    }
    if let Some(mode) = url.ssl_mode {
        let mode: MySqlSslMode = mode.mysql_word().parse().map_err(|_| url_error(source, "has an unknown ssl-mode"))?;
        options = options.ssl_mode(mode);
    }
    Ok(DatabasePool::new(source, bridge, options, String::new()))
}

/// Runs a query, unless it may call a stored function that it may not.
pub(super) async fn query(
    pool: &DatabasePool<MySql>,
    checked: &CheckedQuery,
    query: &Query<'_>,
) -> Result<QueryResult, EngineError> {
    let (sql, values) = expand_parameters(checked, query.parameters, EMPTY_SUBQUERY)?;
    let arguments = arguments::<MySql>(values, |arguments, value| arguments.add(value))?;
    let mut lease = begin(pool, query.deadline).await?;
    let connection = lease.connection()?;
    if let Some(refusal) = mysql_functions::refusal(connection, checked).await? {
        end(lease).await?;
        return Err(DataError::invalid_query(refusal.to_string()).into());
    }
    let mut collector = RowCollector::new(query.max_rows);
    let statement = sqlx::query_with::<MySql, _>(AssertSqlSafe(sql.clone()), arguments).persistent(false);
    let cell = |row: &MySqlRow, at: usize| row.try_get_raw(at).map_or(Value::Null, value);
    let rows = statement.fetch(&mut *connection);
    if collect(rows, &mut collector, |_, column| column_of(column), cell).await? {
        if !collector.has_columns() {
            let described = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await?;
            collector.set_columns(described.columns().iter().map(column_of));
        }
        end(lease).await?;
    }
    Ok(collector.finish())
}

/// A connection in a read-only transaction, within limits, after one round trip. MariaDB and MySQL have different names for what a
/// session is limited to, and each refuses the other's.
async fn begin(pool: &DatabasePool<MySql>, deadline: Deadline) -> Result<LeasedConnection<MySql>, EngineError> {
    let mut lease = pool.acquire(deadline).await?;
    let limit = statement_timeout(deadline);
    let (milliseconds, seconds) = (limit.as_millis().max(1), limit.as_secs().max(1));
    let precise = limit.as_secs_f64().max(0.001);
    // In comments of a kind that only one of the two runs: no question which of them this is has to go ahead. The guard reads
    // strings as they are where a backslash escapes.
    let sql = format!(
        "SET SESSION /*M! tx_read_only = 1, max_statement_time = {precise:.3}, */ \
         /*!50720 transaction_read_only = 1, max_execution_time = {milliseconds}, */ \
         lock_wait_timeout = {seconds}, innodb_lock_wait_timeout = {seconds}, time_zone = '+00:00', \
         sql_mode = REPLACE(@@sql_mode, 'NO_BACKSLASH_ESCAPES', ''); START TRANSACTION READ ONLY"
    );
    lease.connection()?.execute(raw_sql(AssertSqlSafe(sql))).await?;
    Ok(lease)
}

fn is_mariadb(version: &str) -> bool {
    version.contains("MariaDB")
}

async fn version(connection: &mut MySqlConnection) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("SELECT CAST(VERSION() AS CHAR)").persistent(false).fetch_one(connection).await
}

async fn end(mut lease: LeasedConnection<MySql>) -> Result<(), sqlx::Error> {
    lease.connection()?.execute(raw_sql("ROLLBACK")).await?;
    lease.release();
    Ok(())
}

/// The name of a type. The driver calls text binary that is only compared byte by byte, as MariaDB's JSON is.
fn type_name(info: &MySqlTypeInfo) -> String {
    match <str as Type<MySql>>::compatible(info) {
        true => info.name().replace("BLOB", "TEXT").replace("BINARY", "CHAR"),
        false => info.name().to_owned(),
    }
}

/// Name and type of a column.
fn column_of(column: &MySqlColumn) -> (String, String) {
    (column.name().to_owned(), type_name(column.type_info()).to_lowercase())
}

/// A value of the binary protocol as JSON.
fn value(raw: MySqlValueRef<'_>) -> Value {
    if raw.is_null() {
        return Value::Null;
    }
    let (kind, unsigned) = (type_name(&raw.type_info()), <u64 as Type<MySql>>::compatible(&raw.type_info()));
    let Ok(bytes) = <&[u8] as Decode<MySql>>::decode(raw) else { return Value::Null };
    decode(&kind, unsigned, bytes).unwrap_or_else(|| text_or_base64(bytes))
}

fn decode(kind: &str, unsigned: bool, bytes: &[u8]) -> Option<Value> {
    Some(match kind.split(' ').next().unwrap_or_default() {
        // Clients show TINYINT(1) as a truth value; it may hold other numbers.
        "BOOLEAN" => match little_endian(bytes, unsigned)? {
            0 => false.into(),
            1 => true.into(),
            other => integer(other),
        },
        "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" | "YEAR" => integer(little_endian(bytes, unsigned)?),
        "BIT" => integer(bytes.iter().fold(0_i128, |number, byte| number << 8 | i128::from(*byte))),
        "FLOAT" => short_float(f32::from_le_bytes(bytes.try_into().ok()?)),
        "DOUBLE" => float(f64::from_le_bytes(bytes.try_into().ok()?)),
        "DATE" => moment(bytes, false)?.into(),
        "DATETIME" => moment(bytes, true)?.into(),
        // The session's zone is UTC.
        "TIMESTAMP" => format!("{}Z", moment(bytes, true)?).into(),
        "TIME" => time(bytes)?.into(),
        "JSON" => json_cell(bytes),
        "BINARY" | "VARBINARY" | "TINYBLOB" | "BLOB" | "MEDIUMBLOB" | "LONGBLOB" | "GEOMETRY" => base64_text(bytes),
        _ => return None,
    })
}

fn little_endian(bytes: &[u8], unsigned: bool) -> Option<i128> {
    let is_negative = !unsigned && bytes.last()? >= &0x80;
    let mut wide = if is_negative { [0xff; 16] } else { [0; 16] };
    wide.get_mut(..bytes.len()).filter(|_| matches!(bytes.len(), 1 | 2 | 4 | 8))?.copy_from_slice(bytes);
    Some(i128::from_le_bytes(wide))
}

/// Length, year, month, day, hour, minute, second, microseconds; what is zero at the end is left out.
fn moment(bytes: &[u8], with_time: bool) -> Option<String> {
    let at = |index: usize| u32::from(bytes.get(index).copied().unwrap_or(0));
    let (year, month, day) = (at(1) | at(2) << 8, at(3), at(4));
    let date = format!("{year:04}-{month:02}-{day:02}");
    if !with_time {
        return Some(date);
    }
    let micros = at(8) | at(9) << 8 | at(10) << 16 | at(11) << 24;
    Some(format!("{date}T{:02}:{:02}:{:02}{}", at(5), at(6), at(7), fraction(micros.into())))
}

/// Length, sign, days, hour, minute, second, microseconds: up to 838 hours.
fn time(bytes: &[u8]) -> Option<String> {
    let at = |index: usize| u32::from(bytes.get(index).copied().unwrap_or(0));
    let sign = if at(1) == 1 { "-" } else { "" };
    let days = at(2) | at(3) << 8 | at(4) << 16 | at(5) << 24;
    let micros = at(9) | at(10) << 8 | at(11) << 16 | at(12) << 24;
    let hours = days.checked_mul(24)?.checked_add(at(6))?;
    Some(format!("{sign}{hours:02}:{:02}:{:02}{}", at(7), at(8), fraction(micros.into())))
}

/// The tables that the account may read.
pub(super) async fn schema(pool: &DatabasePool<MySql>, deadline: Deadline) -> Result<TableCatalog, EngineError> {
    let mut lease = begin(pool, deadline).await?;
    let catalog = mysql_catalog::read(lease.connection()?).await?;
    if !catalog.truncated {
        end(lease).await?;
    }
    Ok(catalog)
}

/// What the server says of the account.
pub(super) async fn check(pool: &DatabasePool<MySql>, deadline: Deadline) -> Result<AccountReport, EngineError> {
    let mut lease = begin(pool, deadline).await?;
    let connection = lease.connection()?;
    let version = version(connection).await?;
    let (name, read_only) = match is_mariadb(&version) {
        true => ("MariaDB", "@@session.tx_read_only"),
        false => ("MySQL", "@@session.transaction_read_only"),
    };
    let session = format!("SELECT CAST(CURRENT_USER() AS CHAR), CAST({read_only} AS SIGNED)");
    let session = sqlx::query_as::<_, (String, i64)>(AssertSqlSafe(session)).persistent(false);
    let (user, read_only) = session.fetch_one(&mut *connection).await?;
    let grants = sqlx::query("SHOW GRANTS").persistent(false).fetch_all(connection).await?;
    end(lease).await?;
    let grants: Vec<String> = grants.iter().filter_map(|row| row.try_get_unchecked::<String, _>(0).ok()).collect();
    Ok(AccountReport {
        version: format!("{name} {version}"),
        user,
        is_superuser: grants.iter().any(|grant| is_superuser(grant)),
        may_write: grants.iter().any(|grant| may_write(grant)),
        read_only: read_only == 1,
        bypasses_row_security: false,
    })
}

/// What a line such as ``GRANT SELECT, INSERT ON `a`.* TO `b`@`%` `` grants, in upper case, and on what.
fn granted(grant: &str) -> (String, &str) {
    let (rights, rest) = grant.split_once(" ON ").unwrap_or_default();
    (rights.to_uppercase(), rest)
}

fn may_write(grant: &str) -> bool {
    const WRITING: &[&str] =
        &["ALL PRIVILEGES", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "FILE", "SUPER"];
    let (rights, _) = granted(grant);
    WRITING.iter().any(|right| rights.contains(right))
}

fn is_superuser(grant: &str) -> bool {
    let (rights, place) = granted(grant);
    place.starts_with("*.*") && (rights.contains("ALL PRIVILEGES") || rights.contains("SUPER"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn grants_tell_what_an_account_may() {
        for (grant, writes, superuser) in [
            ("GRANT ALL PRIVILEGES ON *.* TO `a`@`%` WITH GRANT OPTION", true, true),
            ("GRANT ALL PRIVILEGES ON `sales`.* TO `a`@`%`", true, false),
            ("GRANT SELECT, INSERT ON `sales`.`x` TO `a`@`%`", true, false),
            ("GRANT USAGE ON *.* TO `superupdater`@`%` IDENTIFIED BY PASSWORD '*INSERT'", false, false),
            ("GRANT SELECT ON `SUPER`.* TO `a`@`%`", false, false),
            ("GRANT `writers` TO `a`@`%`", false, false),
        ] {
            assert_eq!((may_write(grant), is_superuser(grant)), (writes, superuser), "{grant}");
        }
    }

    #[test]
    fn binary_values_are_exact() {
        let cases = [
            (decode("BIGINT UNSIGNED", true, &u64::MAX.to_le_bytes()), json!("18446744073709551615")),
            (decode("INT", false, &(-5_i32).to_le_bytes()), json!(-5)),
            (decode("BOOLEAN", false, &[1]), json!(true)),
            (decode("BOOLEAN", false, &[7]), json!(7)),
            (decode("BOOLEAN", true, &[200]), json!(200)),
            (decode("FLOAT", false, &0.1_f32.to_le_bytes()), json!(0.1)),
            (decode("BIT", false, &[1, 0]), json!(256)),
            (decode("DATE", false, &[4, 0xe8, 7, 2, 29]), json!("2024-02-29")),
            (
                decode("DATETIME", false, &[11, 0xe8, 7, 2, 29, 1, 2, 3, 0x20, 0xa1, 7, 0]),
                json!("2024-02-29T01:02:03.5"),
            ),
            (decode("TIMESTAMP", false, &[4, 0xe8, 7, 1, 1]), json!("2024-01-01T00:00:00Z")),
            (decode("TIME", false, &[8, 1, 1, 0, 0, 0, 2, 3, 4]), json!("-26:03:04")),
            (decode("TIME", false, &[0]), json!("00:00:00")),
        ];
        for (found, expected) in cases {
            assert_eq!(found, Some(expected));
        }
    }
}

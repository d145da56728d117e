use sqlx::{AssertSqlSafe, Postgres};
use tokio::time::sleep;

use super::audit_query::{AuditQuery, AuditValue};
use super::audit_record::{AuditFilter, AuditRecord};
use super::audit_rows::{AuditRow, audit_columns, json, record};
use super::embedded_audit::{DELETE_BATCH, DELETE_PAUSE};
use crate::storage::failover::{Failure, timeout_for};
use crate::storage::postgres::{BACKGROUND_TIMEOUT, PostgresConnection, REQUEST_TIMEOUT, call};

/// In the order of their ids, so that two who move the same records can't wait for each other.
const APPEND: &str = concat!(
    "INSERT INTO audit_entry (",
    audit_columns!(),
    ") SELECT id, at_ms, actor_user, actor_key, actor_role, address, method, path, operation, outcome, status, target, before,
        after, request_id
    FROM json_to_recordset($1::json) AS given (id text, at_ms bigint, actor_user text, actor_key text, actor_role text,
        address text, method text, path text, operation text, outcome text, status bigint, target text, before text,
        after text, request_id text)
    ORDER BY id ON CONFLICT (id) DO NOTHING"
);

/// Takes records down that are not there yet.
pub(super) async fn append(connection: PostgresConnection, records: &[&AuditRecord]) -> Result<(), Failure> {
    let rows = json(records.iter().copied());
    let bytes = rows.as_ref().map_or(0, String::len);
    let appending = async { sqlx::query(APPEND).bind(rows?).execute(&connection.pool).await };
    call(timeout_for(REQUEST_TIMEOUT, bytes), appending).await.map(|_| ())
}

pub(super) async fn page(
    connection: PostgresConnection,
    filter: &AuditFilter,
    limit: usize,
) -> Result<Vec<AuditRecord>, Failure> {
    let AuditQuery { sql, values } = AuditQuery::page(filter, limit);
    let query =
        values.into_iter().fold(sqlx::query_as::<Postgres, AuditRow>(AssertSqlSafe(sql)), |query, value| match value {
            AuditValue::Text(text) => query.bind(text),
            AuditValue::Number(number) => query.bind(number),
        });
    let rows = call(BACKGROUND_TIMEOUT, query.fetch_all(&connection.pool)).await?;
    Ok(rows.into_iter().map(record).collect())
}

/// A few at a time with pauses. What another server is deleting is left to it.
pub(super) async fn retain(connection: &PostgresConnection, before_ms: i64) -> Result<(), Failure> {
    loop {
        let deleting = sqlx::query(
            "DELETE FROM audit_entry WHERE id = ANY (ARRAY(
                 SELECT id FROM audit_entry WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        );
        let deleting = deleting.bind(before_ms).bind(DELETE_BATCH).execute(&connection.pool);
        if call(BACKGROUND_TIMEOUT, deleting).await?.rows_affected() == 0 {
            return Ok(());
        }
        sleep(DELETE_PAUSE).await;
    }
}

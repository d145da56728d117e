use std::time::Duration;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Sqlite};
use tokio::time::sleep;

use super::audit_query::{AuditQuery, AuditValue};
use super::audit_record::{AuditCursor, AuditFilter, AuditRecord};
use super::audit_rows::{AuditRow, audit_columns, json, record};
use super::embedded::EmbeddedIdentity;
use crate::kernel::Error;
use crate::storage::failover::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES};
use crate::storage::sqlite::{failed, int};

/// Old records that are deleted in one go: in the time that takes, nobody else can write.
pub(super) const DELETE_BATCH: i64 = 100;
/// Pause after that, for those who wait.
pub(super) const DELETE_PAUSE: Duration = Duration::from_millis(10);

const APPEND: &str = concat!(
    "INSERT INTO audit_entry (",
    audit_columns!(),
    ") SELECT value ->> 'id', value ->> 'at_ms', value ->> 'actor_user', value ->> 'actor_key', value ->> 'actor_role',
        value ->> 'address', value ->> 'method', value ->> 'path', value ->> 'operation', value ->> 'outcome',
        value ->> 'status', value ->> 'target', value ->> 'before', value ->> 'after', value ->> 'request_id'
    FROM jsonb_each(?1) WHERE true ON CONFLICT (id) DO NOTHING"
);

/// The oldest after a place: at most so many, and none beyond so many bytes, but at least one.
const OLDEST: &str = concat!(
    "SELECT ",
    audit_columns!(),
    " FROM audit_entry JOIN (SELECT id, SUM(bytes) OVER (ORDER BY at, id) - bytes AS earlier FROM
            (SELECT id, at, 500 + COALESCE(length(before), 0) + COALESCE(length(after), 0) AS bytes FROM audit_entry
                WHERE (at, id) > (?1, ?2) ORDER BY at, id LIMIT ?3)) USING (id)
    WHERE earlier < ?4 ORDER BY at, id"
);

impl EmbeddedIdentity {
    pub(in crate::storage) async fn append(&self, records: &[AuditRecord]) -> Result<(), Error> {
        let work = async { sqlx::query(APPEND).bind(json(records)?).execute(self.database.writer()).await };
        work.await.map(|_| ()).map_err(failed("could not write to the audit log"))
    }

    pub(super) async fn page(&self, filter: &AuditFilter, limit: usize) -> Result<Vec<AuditRecord>, Error> {
        let AuditQuery { sql, values } = AuditQuery::page(filter, limit);
        let query =
            values.into_iter().fold(
                sqlx::query_as::<Sqlite, AuditRow>(AssertSqlSafe(sql)),
                |query, value| match value {
                    AuditValue::Text(text) => query.bind(text),
                    AuditValue::Number(number) => query.bind(number),
                },
            );
        let rows = query.fetch_all(self.database.read()).await.map_err(failed("could not read the audit log"))?;
        Ok(rows.into_iter().map(record).collect())
    }

    /// Some of the oldest records behind this place.
    pub(in crate::storage) async fn oldest(&self, after: Option<&AuditCursor>) -> Result<Vec<AuditRecord>, Error> {
        let (at_ms, id) = after.map_or((i64::MIN, ""), |cursor| (cursor.at_ms, cursor.id.as_str()));
        let query = sqlx::query_as::<_, AuditRow>(OLDEST)
            .bind(at_ms)
            .bind(id)
            .bind(int(MAX_PAGE_ENTRIES))
            .bind(int(MAX_PAGE_BYTES));
        let rows = query.fetch_all(self.database.read()).await.map_err(failed("could not read the audit log"))?;
        Ok(rows.into_iter().map(record).collect())
    }

    /// Forgets records that are in Postgres now.
    pub(super) async fn forget(&self, ids: Vec<&str>) -> Result<(), Error> {
        let deleting = sqlx::query("DELETE FROM audit_entry WHERE id IN (SELECT value FROM json_each(?1))");
        let deleting = deleting.bind(Value::from(ids).to_string()).execute(self.database.writer()).await;
        deleting.map(|_| ()).map_err(failed("could not remove audit records that were moved"))
    }

    /// A few at a time with pauses, so that other writers are not kept waiting.
    pub(super) async fn retain(&self, before_ms: i64) -> Result<(), Error> {
        let deleting = "DELETE FROM audit_entry WHERE rowid IN
            (SELECT rowid FROM audit_entry WHERE at < ?1 ORDER BY at LIMIT ?2)";
        let work = async {
            loop {
                let deleting = sqlx::query(deleting).bind(before_ms).bind(DELETE_BATCH);
                if deleting.execute(self.database.writer()).await?.rows_affected() == 0 {
                    return Ok(());
                }
                sleep(DELETE_PAUSE).await;
            }
        };
        work.await.map_err(failed("could not delete old audit records"))
    }
}

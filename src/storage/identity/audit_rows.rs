//! How audit records become rows of either database and back.

use super::audit_record::AuditRecord;
use crate::storage::postgres::replace_nul;

/// The columns of a record, in the order of [`AuditRow`].
macro_rules! audit_columns {
    () => {
        "id, at, actor_user, actor_key, actor_role, address, method, path, operation, outcome, status, target, before, after, request_id"
    };
}
pub(super) use audit_columns;

type AuditText = Option<String>;
pub(super) type AuditRow = (
    String,
    i64,
    AuditText,
    AuditText,
    String,
    AuditText,
    String,
    String,
    String,
    String,
    i64,
    AuditText,
    AuditText,
    AuditText,
    AuditText,
);

pub(super) fn record(row: AuditRow) -> AuditRecord {
    let (id, at_ms, actor_user, actor_key, actor_role, address, method, path, operation, outcome, status, ..) = row;
    let (.., target, before, after, request_id) = row;
    AuditRecord {
        id,
        at_ms,
        actor_user,
        actor_key,
        actor_role,
        address,
        method,
        path,
        operation,
        outcome,
        status,
        target,
        before,
        after,
        request_id,
    }
}

/// Records as a JSON array of objects, without what Postgres can't store.
pub(super) fn json<'a>(records: impl IntoIterator<Item = &'a AuditRecord>) -> Result<String, sqlx::Error> {
    let records: Vec<_> = records.into_iter().map(cleaned).collect();
    serde_json::to_string(&records).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn cleaned(record: &AuditRecord) -> AuditRecord {
    let text = |text: &String| replace_nul(text).into_owned();
    let optional = |it: &AuditText| it.as_ref().map(text);
    AuditRecord {
        id: text(&record.id),
        at_ms: record.at_ms,
        actor_user: optional(&record.actor_user),
        actor_key: optional(&record.actor_key),
        actor_role: text(&record.actor_role),
        address: optional(&record.address),
        method: text(&record.method),
        path: text(&record.path),
        operation: text(&record.operation),
        outcome: text(&record.outcome),
        status: record.status,
        target: optional(&record.target),
        before: optional(&record.before),
        after: optional(&record.after),
        request_id: optional(&record.request_id),
    }
}

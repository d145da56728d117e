use std::ops::RangeInclusive;

use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::{IntoParams, ToSchema};

use crate::identity::IdentityService;
use crate::identity::audit::OUTCOMES;
use crate::kernel::{Clock, Fields, JsonReader};
use crate::storage::{AuditCursor, AuditFilter, AuditRecord};
use crate::web::openapi::schema::{name_of, pattern, query, query_integer, text, time};
use crate::web::{ApiError, ErrorBody, FromFields, JsonReply, QueryParams, ReadErrors};

/// Records on one page.
const PAGE_SIZES: RangeInclusive<i64> = 1..=200;

/// What somebody changed, or was refused.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditView {
    #[schema(example = "0190c7a0-1111-7222-8333-444455556666")]
    id: String,
    #[schema(format = DateTime, example = "2026-12-02T17:20:03.374Z")]
    at: String,
    /// Who it was; null where nobody was recognised.
    #[schema(example = "ada")]
    user_id: Option<String>,
    #[schema(example = "5f0c6a9e-53a1-4f0b-9a55-8f3d2c6f3f10")]
    key_id: Option<String>,
    /// Empty where nobody was recognised.
    #[schema(example = "operator")]
    role: String,
    /// Where from.
    #[schema(example = "10.0.0.7")]
    address: Option<String>,
    #[schema(example = "PUT")]
    method: String,
    #[schema(example = "/api/tools/weather")]
    path: String,
    /// As this document calls it.
    #[schema(example = "update_tool")]
    operation: String,
    /// `changed` or `refused`.
    #[schema(example = "changed")]
    outcome: String,
    /// Of the reply.
    #[schema(example = 200)]
    status: i64,
    /// What was changed, or asked for.
    #[schema(example = "tools/weather")]
    target: Option<String>,
    /// What it was, credentials masked; null if it was not there.
    #[schema(value_type = Option<Object>, example = json!({"name": "weather", "enabled": true}))]
    before: Option<Value>,
    /// What it was then; null if it was no more.
    #[schema(value_type = Option<Object>, example = json!({"name": "weather", "enabled": false}))]
    after: Option<Value>,
    #[schema(example = "0b7c3f0a-6c0e-4d5e-9d5e-2f9f6f0f5a11")]
    request_id: Option<String>,
}

impl From<AuditRecord> for AuditView {
    fn from(it: AuditRecord) -> Self {
        let value = |text: Option<String>| text.and_then(|text| JsonReader::stored().read(text.as_bytes()).ok());
        Self {
            id: it.id,
            at: Clock::rfc3339(it.at_ms),
            user_id: it.actor_user,
            key_id: it.actor_key,
            role: it.actor_role,
            address: it.address,
            method: it.method,
            path: it.path,
            operation: it.operation,
            outcome: it.outcome,
            status: it.status,
            target: it.target,
            before: value(it.before),
            after: value(it.after),
            request_id: it.request_id,
        }
    }
}

/// A page of the audit log, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditPage {
    success: bool,
    records: Vec<AuditView>,
    #[schema(example = 1)]
    count: usize,
    /// Pass it as `cursor` for the next page; null on the last one.
    #[schema(example = "1796232003374-0190c7a0-1111-7222-8333-444455556666")]
    next_cursor: Option<String>,
}

/// Which records to list.
pub(super) struct AuditListQuery {
    limit: usize,
    cursor: Option<String>,
    filter: AuditFilter,
}

impl IntoParams for AuditListQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let cursor = "Where the page begins: `next_cursor` of the page before";
        vec![
            query("limit", "Page size, 50 by default", query_integer(&PAGE_SIZES)),
            query("cursor", cursor, pattern(AuditCursor::PATTERN)),
            query("actor", "Of this user, or this key by its id, only", text()),
            query("operation", "Of this operation only, as this document calls it", text()),
            query("outcome", "With this outcome only", name_of(OUTCOMES)),
            query("target", "Of this target only: `tools/weather`", text()),
            query("since", "Not earlier than this", time()),
            query("until", "Earlier than this", time()),
        ]
    }
}

impl FromFields for AuditListQuery {
    fn read(fields: &mut Fields<'_>) -> Self {
        let outcome: Option<String> = fields.optional("outcome");
        if outcome.as_deref().is_some_and(|outcome| !OUTCOMES.contains(&outcome)) {
            fields.reject("outcome", format!("Input should be one of: {}", OUTCOMES.join(", ")));
        }
        Self {
            limit: fields.count_or("limit", 50, PAGE_SIZES),
            cursor: fields.optional("cursor"),
            filter: AuditFilter {
                actor: fields.optional("actor"),
                operation: fields.optional("operation"),
                outcome,
                target: fields.optional("target"),
                since_ms: read_time(fields, "since"),
                until_ms: read_time(fields, "until"),
                before: None,
            },
        }
    }
}

fn read_time(fields: &mut Fields<'_>, name: &'static str) -> Option<i64> {
    let given: String = fields.optional(name)?;
    let time = Clock::parse(&given);
    if time.is_none() {
        fields.reject(name, "Input should be a time such as 2026-12-02T17:20:03Z");
    }
    time
}

/// List the audit log
///
/// Who changed what of the configuration, the keys and the verified questions, and who was refused; newest first, page by page.
/// Credentials are masked. It is kept for `AUDIT_RETENTION_DAYS`.
#[utoipa::path(get, path = "/api/audit", tag = "auth", operation_id = "list_audit", params(AuditListQuery),
    responses((status = 200, description = "A page", body = AuditPage), ReadErrors,
        (status = 400, description = "The cursor is none that a page has given", body = ErrorBody),
        (status = 503, description = "Postgres is away", body = ErrorBody)))]
pub(super) async fn list_audit(
    State(service): State<IdentityService>,
    QueryParams(query): QueryParams<AuditListQuery>,
) -> Result<JsonReply<AuditPage>, ApiError> {
    let before = query.cursor.as_deref().map(AuditCursor::parse).transpose()?;
    let filter = AuditFilter { before, ..query.filter };
    // One more than asked for tells whether there is another page.
    let mut found = service.audit.list(&filter, query.limit + 1).await?;
    let has_more = found.len() > query.limit;
    found.truncate(query.limit);
    let next_cursor = found.last().filter(|_| has_more).map(|record| record.cursor().to_string());
    let records: Vec<_> = found.into_iter().map(AuditView::from).collect();
    Ok(JsonReply::ok(AuditPage { success: true, count: records.len(), records, next_cursor }))
}

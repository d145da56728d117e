use std::ops::RangeInclusive;

use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::kernel::{Clock, Fields};
use crate::storage::{ConfigChange, ConfigRepository, ConfigRevision};
use crate::web::openapi::schema::{Members, query, query_integer, strict_integer};
use crate::web::{
    ApiError, BodyErrors, ErrorBody, FromFields, JsonBody, JsonReply, PathRevision, QueryParams, REVISIONS, ReadErrors,
};

/// Revisions on one page.
const PAGE_SIZES: RangeInclusive<i64> = 1..=200;

/// The module's routes.
pub fn router() -> OpenApiRouter<ConfigRepository> {
    OpenApiRouter::new()
        .routes(routes!(list_revisions))
        .routes(routes!(get_revision))
        .routes(routes!(diff_revision))
        .routes(routes!(roll_back))
}

/// A change of the configuration.
#[derive(Serialize, ToSchema)]
struct RevisionView {
    /// Revisions are counted without gaps.
    #[schema(example = 7)]
    number: i64,
    #[schema(format = DateTime, example = "2026-12-02T17:20:03.374Z")]
    at: String,
    /// Who made it; `files` for what was found in files, null where callers are not told apart.
    #[schema(example = "ada")]
    author: Option<String>,
    #[schema(example = "0b7c3f0a-6c0e-4d5e-9d5e-2f9f6f0f5a11")]
    request_id: Option<String>,
    /// As this document calls it; empty for what no request has done.
    #[schema(example = "update_agent")]
    operation: String,
    /// The entries that it changed: the first hundred. The revision itself has all.
    #[schema(example = json!(["agents/billing"]))]
    changed: Vec<String>,
}

impl From<ConfigRevision> for RevisionView {
    fn from(it: ConfigRevision) -> Self {
        let (at, changed) = (Clock::rfc3339(it.at_ms), it.targets);
        Self { number: it.number, at, author: it.author, request_id: it.request_id, operation: it.operation, changed }
    }
}

/// A page of revisions, newest first.
#[derive(Serialize, ToSchema)]
struct RevisionPage {
    success: bool,
    revisions: Vec<RevisionView>,
    #[schema(example = 1)]
    count: usize,
    /// Pass it as `cursor` for the next page; null on the last one.
    #[schema(example = 7)]
    next_cursor: Option<i64>,
}

/// What an entry was and is. Credentials are masked.
#[derive(Serialize, ToSchema)]
struct EntryChange {
    #[schema(example = "agents/billing")]
    target: String,
    /// Null if nothing was stored under the name.
    #[schema(value_type = Option<Object>, example = json!({"name": "billing", "enabled": true}))]
    before: Option<Value>,
    /// Null if nothing is stored under the name any more.
    #[schema(value_type = Option<Object>, example = json!({"name": "billing", "enabled": false}))]
    after: Option<Value>,
    /// The members in which both differ, credentials among them.
    #[schema(example = json!(["enabled"]))]
    fields: Vec<String>,
}

impl From<ConfigChange> for EntryChange {
    fn from(ConfigChange { before, after }: ConfigChange) -> Self {
        let fields = before.differing(&after);
        Self { target: after.target(), before: before.shown(), after: after.shown(), fields }
    }
}

/// A revision, and what it has changed.
#[derive(Serialize, ToSchema)]
struct RevisionDetail {
    success: bool,
    revision: RevisionView,
    changes: Vec<EntryChange>,
}

/// In what the configuration differs from what it was after a revision.
#[derive(Serialize, ToSchema)]
struct RevisionDiff {
    success: bool,
    #[schema(example = 7)]
    revision: i64,
    /// From what it was then (`before`) to what it is now (`after`).
    changes: Vec<EntryChange>,
}

/// The configuration is what it was.
#[derive(Serialize, ToSchema)]
struct RolledBack {
    success: bool,
    #[schema(example = "The configuration is as it was after revision 7")]
    message: String,
    /// The revision that did so; the last one if there was nothing to do.
    #[schema(example = 9)]
    revision: i64,
}

/// Which revisions to list.
struct RevisionQuery {
    limit: i64,
    cursor: i64,
}

impl IntoParams for RevisionQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let cursor = "Where the page begins: `next_cursor` of the page before";
        vec![
            query("limit", "Page size, 50 by default", query_integer(&PAGE_SIZES)),
            query("cursor", cursor, query_integer(&REVISIONS)),
        ]
    }
}

impl FromFields for RevisionQuery {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { limit: fields.int_or("limit", 50, PAGE_SIZES), cursor: fields.int_or("cursor", i64::MAX, REVISIONS) }
    }
}

/// Where to go back to.
struct RollbackRequest(i64);

impl PartialSchema for RollbackRequest {
    fn schema() -> RefOr<Schema> {
        Members::new()
            .required(
                "revision",
                "The revision after which the configuration was as it is to be.",
                strict_integer(&REVISIONS),
            )
            .with_example("Where to go back to.", json!({"revision": 1}))
    }
}

impl ToSchema for RollbackRequest {}

impl FromFields for RollbackRequest {
    fn read(fields: &mut Fields<'_>) -> Self {
        fields.beyond_original(|fields| match fields.value("revision") {
            None => Self(fields.required("revision")),
            Some(_) => Self(fields.int_or("revision", 0, REVISIONS)),
        })
    }
}

/// List revisions of the configuration
///
/// Who changed what of the LLM connection, agents, data sources, tools and verified questions, newest first, page by page. The newest
/// `CONFIG_MAX_REVISIONS` are kept.
#[utoipa::path(get, path = "/api/config/history", tag = "system", operation_id = "list_revisions", params(RevisionQuery),
    responses((status = 200, description = "A page", body = RevisionPage), ReadErrors,
        (status = 503, description = "Postgres is away", body = ErrorBody)))]
async fn list_revisions(
    State(config): State<ConfigRepository>,
    QueryParams(query): QueryParams<RevisionQuery>,
) -> Result<JsonReply<RevisionPage>, ApiError> {
    // One more than asked for tells whether there is another page.
    let mut found = config.revisions(query.cursor, query.limit + 1).await?;
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| has_more).map(|revision| revision.number);
    let revisions: Vec<_> = found.into_iter().map(RevisionView::from).collect();
    Ok(JsonReply::ok(RevisionPage { success: true, count: revisions.len(), revisions, next_cursor }))
}

/// Show a revision of the configuration
///
/// What it has changed: each entry as it was stored before and after, credentials masked.
#[utoipa::path(get, path = "/api/config/revisions/{number}", tag = "system", operation_id = "get_revision",
    params(PathRevision),
    responses((status = 200, description = "The revision", body = RevisionDetail),
        (status = 404, description = "No such revision, or not any more", body = ErrorBody), ReadErrors,
        (status = 503, description = "Postgres is away", body = ErrorBody)))]
async fn get_revision(
    State(config): State<ConfigRepository>,
    PathRevision(number): PathRevision,
) -> Result<JsonReply<RevisionDetail>, ApiError> {
    let (revision, changes) = config.revision(number).await?;
    let changes = changes.into_iter().map(EntryChange::from).collect();
    Ok(JsonReply::ok(RevisionDetail { success: true, revision: revision.into(), changes }))
}

/// Compare the configuration with a revision
///
/// In what it differs from what it was after that revision: what a rollback would undo. Credentials are masked.
#[utoipa::path(get, path = "/api/config/revisions/{number}/diff", tag = "system", operation_id = "diff_revision",
    params(PathRevision),
    responses((status = 200, description = "The differences", body = RevisionDiff),
        (status = 404, description = "No such revision, or not any more", body = ErrorBody), ReadErrors,
        (status = 503, description = "Postgres is away", body = ErrorBody)))]
async fn diff_revision(
    State(config): State<ConfigRepository>,
    PathRevision(number): PathRevision,
) -> Result<JsonReply<RevisionDiff>, ApiError> {
    let changes = config.changes_after(number).await?.into_iter().map(EntryChange::from).collect();
    Ok(JsonReply::ok(RevisionDiff { success: true, revision: number, changes }))
}

/// Go back to a revision of the configuration
///
/// Everything is as it was after that revision, stored credentials included. That is a revision itself, so it can be undone likewise.
#[utoipa::path(post, path = "/api/config/rollback", tag = "system", operation_id = "roll_back",
    request_body = RollbackRequest,
    responses((status = 200, description = "It is as it was", body = RolledBack),
        (status = 404, description = "No such revision, or not any more", body = ErrorBody),
        (status = 409, description = "What was configured then can't be used now", body = ErrorBody),
        (status = 503, description = "Postgres is away", body = ErrorBody), BodyErrors))]
async fn roll_back(
    State(config): State<ConfigRepository>,
    JsonBody(RollbackRequest(number)): JsonBody<RollbackRequest>,
) -> Result<JsonReply<RolledBack>, ApiError> {
    let revision = config.roll_back(number).await?;
    let message = format!("The configuration is as it was after revision {number}");
    Ok(JsonReply::ok(RolledBack { success: true, message, revision }))
}

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::query::requested;
use crate::datasources::verified::MAX_QUESTIONS;
use crate::datasources::{DataSourceService, VerifiedDraft};
use crate::kernel::{FieldIssue, Fields, ResourceName, Segment};
use crate::settings::{Precondition, UsedTables, VerifiedParameter, VerifiedQuestion, VerifiedStatus};
use crate::storage::ConfigService as _;
use crate::web::openapi::schema::{
    Members, anything, bounded_pattern, list, map_of, one_of, or_null, pattern, short_text, text, time,
};
use crate::web::{
    ApiError, BodyErrors, ErrorBody, FromFields, IfMatch, JsonBody, JsonReply, PathId, PathName, ReadErrors,
};

/// A question with its query, as a client sends it.
pub(super) struct VerifiedBody(VerifiedDraft);

/// All questions of a source, as a client sends them.
pub(super) struct VerifiedListBody(Vec<VerifiedDraft>);

fn members() -> Members {
    let query =
        "SQL; for Cube a JSON query, in which a text `:name` is a parameter; else what the service understands.";
    let parameters = "What is said of the query's `:name` parameters: by name an object with `description`, for the model that \
        fills it, and `default`.";
    let about = short_text(VerifiedDraft::MAX_DESCRIPTION_CHARS);
    let parameter = Members::new()
        .optional("description", "For the model that fills it.", or_null(about))
        .optional("default", "A text, a number, a boolean, or a short list of these.", anything())
        .object("");
    Members::new()
        .required("question", "In plain words.", bounded_pattern(r"\S", &VerifiedDraft::QUESTION_CHARS))
        .required("query", query, bounded_pattern(r"\S", &VerifiedDraft::QUERY_CHARS))
        .optional("parameters", parameters, or_null(map_of(text(), or_null(parameter))))
        .optional("verified_by", "Who has verified it.", or_null(short_text(VerifiedDraft::MAX_NAME_CHARS)))
        .optional("verified_at", "When; now by default.", or_null(time()))
}

fn example() -> Value {
    json!({"question": "How many customers are there in Lisbon?",
        "query": "SELECT count(*) AS customers FROM customers WHERE city = :city",
        "parameters": {"city": {"description": "A city", "default": "Lisbon"}}, "verified_by": "ada"})
}

impl PartialSchema for VerifiedBody {
    fn schema() -> RefOr<Schema> {
        members().with_example("A question and the query that answers it.", example())
    }
}

impl ToSchema for VerifiedBody {}

impl FromFields for VerifiedBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self(VerifiedDraft::read(fields, None, None))
    }
}

impl PartialSchema for VerifiedListBody {
    fn schema() -> RefOr<Schema> {
        let item = members().optional("id", "To keep its id.", or_null(pattern("^[A-Za-z0-9_-]{1,100}$"))).object("");
        let purpose = format!("At most {MAX_QUESTIONS}, in their order.");
        Members::new()
            .required("verified", &purpose, list(item))
            .with_example("All questions of a data source.", json!({"verified": [example()]}))
    }
}

impl ToSchema for VerifiedListBody {}

impl FromFields for VerifiedListBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let items = fields.items("verified");
        let at = fields.loc("verified");
        let (mut drafts, mut issues) = (Vec::new(), Vec::new());
        for (index, item) in items.iter().take(MAX_QUESTIONS + 1).enumerate() {
            let at = [at.as_slice(), &[Segment::Index(index)]].concat();
            let Value::Object(item) = item else {
                issues.push(FieldIssue::new("dict_type", at, "Input should be an object", item.clone()));
                continue;
            };
            let mut fields = Fields::new(item, at);
            drafts.push(VerifiedDraft::read(&mut fields, None, None));
            issues.extend(fields.into_issues());
        }
        fields.extend(issues);
        Self(drafts)
    }
}

/// A verified question. One whose tables have changed since is not used, and says why.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "5f0c6a9e-53a1-4f0b-9a55-8f3d2c6f3f10", "question": "How many customers are there in Lisbon?",
    "query": "SELECT count(*) AS customers FROM customers WHERE city = :city",
    "parameters": {"city": {"description": "A city", "default": "Lisbon"}}, "verified_by": "ada",
    "verified_at": "2026-11-22T17:20:03.374Z", "status": "unverified",
    "reason": "The table 'customers' has no column 'city' any more", "tables": {"customers": {"city": "text"}}
}))]
pub(crate) struct VerifiedView {
    id: String,
    question: String,
    query: String,
    /// By name an object with `description` and `default`.
    #[schema(value_type = Object)]
    parameters: BTreeMap<String, VerifiedParameter>,
    verified_by: Option<String>,
    #[schema(format = DateTime)]
    verified_at: String,
    /// `verified` or `unverified`.
    #[schema(value_type = VerifiedState)]
    status: VerifiedStatus,
    /// Why it is not verified any more.
    reason: Option<String>,
    /// The tables that the query uses, each with the columns that it uses and their types.
    #[schema(value_type = Object)]
    tables: UsedTables,
}

one_of!(
    /// State of a verified question.
    VerifiedState,
    ["verified", "unverified"]
);

impl From<&VerifiedQuestion> for VerifiedView {
    fn from(question: &VerifiedQuestion) -> Self {
        let VerifiedQuestion { id, question, query, parameters, verified_by, verified_at, status, reason, tables } =
            question.clone();
        Self { id, question, query, parameters, verified_by, verified_at, status, reason, tables }
    }
}

/// A verified question that was added or changed.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerifiedChangeResponse {
    #[schema(example = true)]
    success: bool,
    #[schema(example = "The question is verified")]
    message: &'static str,
    #[schema(example = "crm")]
    datasource: String,
    verified: VerifiedView,
}

impl VerifiedChangeResponse {
    /// The reply that tells of this question of a data source.
    pub(crate) fn new(datasource: &str, question: &VerifiedQuestion) -> Self {
        let (message, datasource) = ("The question is verified", datasource.to_owned());
        Self { success: true, message, datasource, verified: question.into() }
    }
}

/// The verified questions of a data source.
#[derive(Serialize, ToSchema)]
pub(super) struct VerifiedList {
    success: bool,
    #[schema(example = "crm")]
    datasource: String,
    verified: Vec<VerifiedView>,
    #[schema(example = 1)]
    count: usize,
}

impl VerifiedList {
    fn new(datasource: &ResourceName, questions: &[Arc<VerifiedQuestion>]) -> Self {
        let verified: Vec<_> = questions.iter().map(|question| VerifiedView::from(question.as_ref())).collect();
        Self { success: true, datasource: datasource.to_string(), count: verified.len(), verified }
    }
}

/// Verified questions that were removed.
#[derive(Serialize, ToSchema)]
pub(super) struct VerifiedDeleteResponse {
    #[schema(example = true)]
    success: bool,
    #[schema(example = "1 verified question deleted")]
    message: String,
}

/// List verified questions
///
/// Questions to a data source whose query somebody has found right, in the order of their creation. A chat that asks one in
/// other words gets the rows of its query, and is told that it is verified.
#[utoipa::path(get, path = "/api/datasources/{name}/verified", tag = "datasources", operation_id = "list_verified",
    params(PathName),
    responses((status = 200, description = "The questions", body = VerifiedList),
        (status = 404, description = "No such data source", body = ErrorBody), ReadErrors))]
pub(super) async fn list_all(
    State(sources): State<DataSourceService>,
    PathName(name): PathName,
) -> Result<JsonReply<VerifiedList>, ApiError> {
    let settings = sources.snapshot();
    settings.datasources.require(name.as_str())?;
    Ok(JsonReply::ok(VerifiedList::new(&name, settings.verified.of(name.as_str()))))
}

/// Add a verified question
///
/// The query must be one that the source's guard lets through. Parameters that it has and `parameters` does not are added there.
#[utoipa::path(post, path = "/api/datasources/{name}/verified", tag = "datasources", operation_id = "create_verified",
    request_body = VerifiedBody, params(PathName),
    responses((status = 201, description = "Added", body = VerifiedChangeResponse),
        (status = 404, description = "No such data source", body = ErrorBody),
        (status = 409, description = "The question is verified already, or there are too many", body = ErrorBody), BodyErrors))]
pub(super) async fn create(
    State(sources): State<DataSourceService>,
    PathName(name): PathName,
    JsonBody(VerifiedBody(draft)): JsonBody<VerifiedBody>,
) -> Result<JsonReply<VerifiedChangeResponse>, ApiError> {
    let (source, deadline) = requested(&sources, &name)?;
    let question = sources.add_verified(&source, draft, deadline).await?;
    let reply = VerifiedChangeResponse::new(name.as_str(), &question);
    Ok(JsonReply::with_status(StatusCode::CREATED, reply).tagged(question.version()))
}

/// Replace all verified questions
///
/// The list becomes that of the body. One with an `id` keeps it.
#[utoipa::path(put, path = "/api/datasources/{name}/verified", tag = "datasources", operation_id = "replace_verified",
    request_body = VerifiedListBody, params(PathName),
    responses((status = 200, description = "Replaced", body = VerifiedList),
        (status = 404, description = "No such data source", body = ErrorBody),
        (status = 409, description = "Two questions are alike, or there are too many", body = ErrorBody), BodyErrors))]
pub(super) async fn replace_all(
    State(sources): State<DataSourceService>,
    PathName(name): PathName,
    JsonBody(VerifiedListBody(drafts)): JsonBody<VerifiedListBody>,
) -> Result<JsonReply<VerifiedList>, ApiError> {
    let (source, deadline) = requested(&sources, &name)?;
    let questions = sources.replace_all_verified(&source, drafts, deadline).await?;
    Ok(JsonReply::ok(VerifiedList::new(&name, &questions)))
}

/// Remove all verified questions
///
/// Chats have a query written for each question again.
#[utoipa::path(delete, path = "/api/datasources/{name}/verified", tag = "datasources", operation_id = "delete_all_verified",
    params(PathName),
    responses((status = 200, description = "Removed", body = VerifiedDeleteResponse),
        (status = 404, description = "No such data source", body = ErrorBody), ReadErrors))]
pub(super) async fn delete_all(
    State(sources): State<DataSourceService>,
    PathName(name): PathName,
) -> Result<JsonReply<VerifiedDeleteResponse>, ApiError> {
    remove(&sources, &name, None).await
}

/// Show a verified question
///
/// With what its query used when it was verified, and whether that is still there.
#[utoipa::path(get, path = "/api/datasources/{name}/verified/{id}", tag = "datasources", operation_id = "get_verified",
    params(PathName, PathId),
    responses((status = 200, description = "The question", body = VerifiedView),
        (status = 404, description = "No such data source or question", body = ErrorBody), ReadErrors))]
pub(super) async fn get(
    State(sources): State<DataSourceService>,
    PathName(name): PathName,
    PathId(id): PathId,
) -> Result<JsonReply<VerifiedView>, ApiError> {
    let settings = sources.snapshot();
    settings.datasources.require(name.as_str())?;
    let question = settings.verified.require(name.as_str(), &id)?;
    let view = VerifiedView::from(question.as_ref());
    Ok(JsonReply::ok(view).tagged(question.version()))
}

/// Change a verified question
///
/// Replaces it as a whole, and verifies it anew: what its query uses is recorded as it is now.
#[utoipa::path(put, path = "/api/datasources/{name}/verified/{id}", tag = "datasources", operation_id = "update_verified",
    request_body = VerifiedBody, params(PathName, PathId, IfMatch),
    responses((status = 200, description = "Changed", body = VerifiedChangeResponse),
        (status = 404, description = "No such data source or question", body = ErrorBody),
        (status = 409, description = "Another question is asked in the same words", body = ErrorBody),
        (status = 412, description = "The question has changed since it was read", body = ErrorBody), BodyErrors))]
pub(super) async fn update(
    State(sources): State<DataSourceService>,
    PathName(name): PathName,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
    JsonBody(VerifiedBody(draft)): JsonBody<VerifiedBody>,
) -> Result<JsonReply<VerifiedChangeResponse>, ApiError> {
    let (source, deadline) = requested(&sources, &name)?;
    let question = sources.replace_verified(&source, id, expected, draft, deadline).await?;
    let reply = VerifiedChangeResponse::new(name.as_str(), &question);
    Ok(JsonReply::ok(reply).tagged(question.version()))
}

/// Remove a verified question
///
/// Chats that ask it have a query written again.
#[utoipa::path(delete, path = "/api/datasources/{name}/verified/{id}", tag = "datasources", operation_id = "delete_verified",
    params(PathName, PathId, IfMatch),
    responses((status = 200, description = "Removed", body = VerifiedDeleteResponse),
        (status = 404, description = "No such data source or question", body = ErrorBody),
        (status = 412, description = "The question has changed since it was read", body = ErrorBody), ReadErrors))]
pub(super) async fn delete(
    State(sources): State<DataSourceService>,
    PathName(name): PathName,
    PathId(id): PathId,
    IfMatch(expected): IfMatch,
) -> Result<JsonReply<VerifiedDeleteResponse>, ApiError> {
    remove(&sources, &name, Some((id, expected))).await
}

async fn remove(
    sources: &DataSourceService,
    name: &ResourceName,
    id: Option<(String, Precondition)>,
) -> Result<JsonReply<VerifiedDeleteResponse>, ApiError> {
    let removed = sources.remove_verified(name.to_string(), id).await?;
    let noun = if removed == 1 { "question" } else { "questions" };
    Ok(JsonReply::ok(VerifiedDeleteResponse { success: true, message: format!("{removed} verified {noun} deleted") }))
}

use std::ops::RangeInclusive;

use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::{IntoParams, ToSchema};

use crate::kernel::{Caller, Clock, Error, Fields, Permission, quoted};
use crate::storage::{Execution, ExecutionCursor, ExecutionFilter, ExecutionStatus, ExecutionStore, Step};
use crate::web::openapi::schema::{name_of, one_of, pattern, query, query_integer, text};
use crate::web::{ApiError, ErrorBody, FromFields, JsonReply, PathId, QueryParams, ReadErrors};

one_of!(
    /// State of an execution.
    ExecutionState,
    ExecutionStatus::ALL.map(|(_, name)| name)
);

/// What the server did for one chat request.
#[derive(Serialize, ToSchema)]
pub(super) struct ExecutionView {
    #[schema(example = "5f0c6a9e-53a1-4f0b-9a55-8f3d2c6f3f10")]
    execution_id: String,
    #[schema(example = "ada")]
    user_id: String,
    /// `running`, `completed`, `failed`, `cancelled` or `interrupted`.
    #[schema(value_type = ExecutionState, example = "completed")]
    status: &'static str,
    #[schema(example = "What did I tell you about Lisbon?")]
    prompt: String,
    #[schema(example = "general_llm")]
    intent: Option<String>,
    #[schema(example = 0.7)]
    intent_confidence: Option<f64>,
    /// The tasks and what each depends on.
    #[schema(value_type = Option<Vec<Object>>)]
    plan: Option<Value>,
    #[schema(example = "You want to go there in May.")]
    answer: Option<String>,
    #[schema(example = json!(null))]
    error: Option<String>,
    /// The metadata of the reply.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    #[schema(format = DateTime, example = "2026-11-22T17:20:03.374Z")]
    started_at: String,
    #[schema(format = DateTime, example = "2026-11-22T17:20:03.789Z")]
    finished_at: Option<String>,
}

impl From<Execution> for ExecutionView {
    fn from(execution: Execution) -> Self {
        let (intent, intent_confidence) = execution.intent.unzip();
        Self {
            execution_id: execution.id,
            user_id: execution.user_id,
            status: execution.status.as_str(),
            prompt: execution.prompt,
            intent,
            intent_confidence,
            plan: execution.plan,
            answer: execution.answer,
            error: execution.error,
            metadata: execution.metadata.filter(|metadata| !metadata.is_null()),
            started_at: Clock::rfc3339(execution.started_ms),
            finished_at: execution.finished_ms.map(Clock::rfc3339),
        }
    }
}

/// One finished task; also one that had begun when its execution was cut off.
#[derive(Serialize, ToSchema)]
pub(super) struct StepView {
    #[schema(example = "task_1")]
    id: String,
    #[schema(example = "llm_call")]
    action: String,
    #[schema(example = "llama3.2")]
    target: Option<String>,
    /// `completed`, `failed`, `skipped`, or `interrupted` if it had begun and may have taken effect.
    #[schema(example = "completed")]
    status: &'static str,
    #[schema(example = json!(null))]
    error: Option<String>,
    /// What a data source was asked.
    #[schema(example = json!(null))]
    query: Option<String>,
    #[schema(example = "You want to go there in May.")]
    output: Option<String>,
    #[schema(example = 412)]
    duration_ms: i64,
}

impl From<Step> for StepView {
    fn from(step: Step) -> Self {
        let Step { id, action, target, status, error, query, output, duration_ms } = step;
        Self { id, action, target, status: status.as_str(), error, query, output, duration_ms }
    }
}

/// A page of executions, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Executions {
    success: bool,
    executions: Vec<ExecutionView>,
    #[schema(example = 1)]
    count: usize,
    /// Pass it as `cursor` for the next page; null on the last one.
    #[schema(example = "e812-6bffb2dd")]
    next_cursor: Option<String>,
}

/// One execution with its steps.
#[derive(Serialize, ToSchema)]
pub(super) struct ExecutionDetail {
    success: bool,
    execution: ExecutionView,
    steps: Vec<StepView>,
}

pub(super) struct ExecutionListQuery {
    limit: usize,
    cursor: Option<String>,
    filter: ExecutionFilter,
}

/// Executions on one page.
const PAGE_SIZES: RangeInclusive<i64> = 1..=200;

impl IntoParams for ExecutionListQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let statuses = name_of(ExecutionStatus::ALL.map(|(_, name)| name));
        let cursor = "Where the page begins: `next_cursor` of the page before";
        vec![
            query("limit", "Page size, 50 by default", query_integer(&PAGE_SIZES)),
            query("cursor", cursor, pattern(ExecutionCursor::PATTERN)),
            query("user_id", "Of this user only", text()),
            query("status", "In this state only", statuses),
        ]
    }
}

impl FromFields for ExecutionListQuery {
    fn read(fields: &mut Fields<'_>) -> Self {
        let status: Option<String> = fields.optional("status");
        let known = status.as_deref().and_then(ExecutionStatus::parse);
        if status.is_some() && known.is_none() {
            let names = ExecutionStatus::ALL.map(|(_, name)| name).join(", ");
            fields.reject("status", format!("Input should be one of: {names}"));
        }
        Self {
            limit: fields.count_or("limit", 50, PAGE_SIZES),
            cursor: fields.optional("cursor"),
            filter: ExecutionFilter { user_id: fields.optional("user_id"), status: known, before: None },
        }
    }
}

/// List executions
///
/// What the server did, newest first, page by page; prompts and answers are cut to 1000 characters.
#[utoipa::path(get, path = "/executions", tag = "executions", operation_id = "list_executions", params(ExecutionListQuery),
    responses((status = 200, description = "A page", body = Executions), ReadErrors,
        (status = 400, description = "The cursor is none that a page has given", body = ErrorBody),
        (status = 409, description = "The cursor is from when Postgres was away", body = ErrorBody),
        (status = 503, description = "Postgres is away, which gave the page before", body = ErrorBody)))]
pub(super) async fn list(
    State(store): State<ExecutionStore>,
    caller: Caller,
    QueryParams(query): QueryParams<ExecutionListQuery>,
) -> Result<JsonReply<Executions>, ApiError> {
    let before = query.cursor.as_deref().map(ExecutionCursor::parse).transpose()?;
    let Ok(user_id) = caller.listed_owner(query.filter.user_id, Permission::ExecutionsAll) else {
        return Ok(JsonReply::ok(Executions { success: true, executions: Vec::new(), count: 0, next_cursor: None }));
    };
    let filter = ExecutionFilter { user_id, before, status: query.filter.status };
    // One more than asked for tells whether there is another page.
    let mut found = store.list(&filter, query.limit + 1).await?;
    let has_more = found.len() > query.limit;
    found.truncate(query.limit);
    let next_cursor = found.last().filter(|_| has_more).map(|(cursor, _)| cursor.to_string());
    let executions: Vec<_> = found.into_iter().map(|(_, execution)| execution.into()).collect();
    Ok(JsonReply::ok(Executions { success: true, count: executions.len(), executions, next_cursor }))
}

/// Show an execution
///
/// One chat request with its steps and what came of each.
#[utoipa::path(get, path = "/executions/{id}", tag = "executions", operation_id = "get_execution",
    params(PathId),
    responses((status = 200, description = "The execution", body = ExecutionDetail),
        (status = 404, description = "No such execution", body = ErrorBody), ReadErrors,
        (status = 503, description = "Postgres is away, and the execution may be there", body = ErrorBody)))]
pub(super) async fn get(
    State(store): State<ExecutionStore>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<JsonReply<ExecutionDetail>, ApiError> {
    let found = store.get_for(&id, &caller).await?;
    let (execution, steps) = found.ok_or_else(|| unknown(&id))?;
    let steps = steps.into_iter().map(Into::into).collect();
    Ok(JsonReply::ok(ExecutionDetail { success: true, execution: execution.into(), steps }))
}

/// There is no execution of this id.
pub(super) fn unknown(id: &str) -> Error {
    Error::not_found(format!("Execution {} not found", quoted(id)))
}

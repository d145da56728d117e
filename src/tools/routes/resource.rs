use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::body::ToolBody;
use crate::kernel::Properties;
use crate::settings::{CatalogEntry, ToolSettings};
use crate::tools::ToolService;
use crate::web::{
    ApiError, BodyErrors, ErrorBody, IfMatch, IfNoneMatch, JsonReply, ListQuery, OptionalBody, PathName, QueryParams,
    ReadErrors, list_reply, show_reply,
};

/// A tool. Its credentials are never shown, only that there are some.
#[derive(Serialize, ToSchema)]
#[schema(as = Tool, example = json!({
    "name": "weather", "type": "http_request", "config": {"base_url": "http://localhost:9003", "auth_token": "********"},
    "enabled": true, "description": "Forecasts by city: GET /forecast?city=NAME"
}))]
pub(super) struct ToolView {
    name: String,
    /// `http_request`, `web_search`, `code_executor`, `mcp`, or any other text.
    #[schema(value_type = String)]
    r#type: String,
    /// Settings of its type; credentials are masked.
    #[schema(value_type = Object)]
    config: Properties,
    /// Whether it may be used.
    enabled: bool,
    /// What it is for; models read it.
    description: Option<String>,
}

impl From<&CatalogEntry<ToolSettings>> for ToolView {
    fn from(entry: &CatalogEntry<ToolSettings>) -> Self {
        let tool = entry.written.clone();
        Self {
            name: entry.name.to_string(),
            r#type: tool.kind,
            config: tool.config,
            enabled: tool.enabled,
            description: tool.description,
        }
    }
}

/// A tool that was added or changed.
#[derive(Serialize, ToSchema)]
pub(super) struct ToolChangeResponse {
    #[schema(example = true)]
    success: bool,
    #[schema(example = "Tool 'weather' created successfully")]
    message: String,
    tool: ToolView,
}

/// A tool that was removed.
#[derive(Serialize, ToSchema)]
pub(super) struct ToolDeleteResponse {
    #[schema(example = true)]
    success: bool,
    #[schema(example = "Tool 'weather' deleted successfully")]
    message: String,
}

/// List tools
///
/// All of them in the order of their creation, unless parameters narrow the list.
#[utoipa::path(get, path = "/api/tools", tag = "tools", operation_id = "list_tools",
    params(ListQuery, IfNoneMatch),
    responses((status = 200, description = "The tools", body = Vec<ToolView>),
        (status = 304, description = "The caller's list is up to date"), ReadErrors))]
pub(super) async fn list(
    State(tools): State<ToolService>,
    QueryParams(query): QueryParams<ListQuery>,
    known: IfNoneMatch,
) -> Response {
    list_reply::<_, ToolView>(&tools.snapshot().tools, &query, &known)
}

/// Show a tool
///
/// As it was written: `${NAME}` stands as such, credentials are masked.
#[utoipa::path(get, path = "/api/tools/{name}", tag = "tools", operation_id = "get_tool",
    params(PathName, IfNoneMatch),
    responses((status = 200, description = "The tool", body = ToolView),
        (status = 304, description = "The caller's copy is up to date"),
        (status = 404, description = "No such tool", body = ErrorBody), ReadErrors))]
pub(super) async fn get(
    State(tools): State<ToolService>,
    PathName(name): PathName,
    known: IfNoneMatch,
) -> Result<Response, ApiError> {
    show_reply::<_, ToolView>(&tools.snapshot().tools, &name, &known)
}

/// Add a tool
///
/// Stored before this answers; it survives a restart.
#[utoipa::path(post, path = "/api/tools", tag = "tools", operation_id = "create_tool", request_body = ToolBody,
    responses((status = 201, description = "Added", body = ToolChangeResponse),
        (status = 409, description = "The name is taken", body = ErrorBody), BodyErrors))]
pub(super) async fn create(
    State(tools): State<ToolService>,
    body: OptionalBody,
) -> Result<JsonReply<ToolChangeResponse>, ApiError> {
    let entry = tools.config().create::<ToolSettings>(body.into_object()?).await?;
    let message = format!("Tool '{}' created successfully", entry.name);
    let changed = ToolChangeResponse { success: true, message, tool: entry.as_ref().into() };
    Ok(JsonReply::with_status(StatusCode::CREATED, changed).tagged(&entry.version))
}

/// Change a tool
///
/// Replaces the tool as a whole. Another name in the body renames it. A stored credential is not sent to another server:
/// when the tool moves, give it again.
#[utoipa::path(put, path = "/api/tools/{name}", tag = "tools", operation_id = "update_tool", request_body = ToolBody,
    params(PathName, IfMatch),
    responses((status = 200, description = "Changed", body = ToolChangeResponse),
        (status = 404, description = "No such tool", body = ErrorBody),
        (status = 409, description = "The new name is taken", body = ErrorBody),
        (status = 412, description = "The tool has changed since it was read", body = ErrorBody), BodyErrors))]
pub(super) async fn update(
    State(tools): State<ToolService>,
    PathName(name): PathName,
    IfMatch(expected): IfMatch,
    body: OptionalBody,
) -> Result<JsonReply<ToolChangeResponse>, ApiError> {
    let entry = tools.update(&name, expected, body.into_object()?).await?;
    let message = format!("Tool '{name}' updated successfully");
    let changed = ToolChangeResponse { success: true, message, tool: entry.as_ref().into() };
    Ok(JsonReply::ok(changed).tagged(&entry.version))
}

/// Remove a tool
///
/// For good: one that a file or variable names stays removed after a restart.
#[utoipa::path(delete, path = "/api/tools/{name}", tag = "tools", operation_id = "delete_tool",
    params(PathName, IfMatch),
    responses((status = 200, description = "Removed", body = ToolDeleteResponse),
        (status = 404, description = "No such tool", body = ErrorBody),
        (status = 412, description = "The tool has changed since it was read", body = ErrorBody), ReadErrors))]
pub(super) async fn delete(
    State(tools): State<ToolService>,
    PathName(name): PathName,
    IfMatch(expected): IfMatch,
) -> Result<JsonReply<ToolDeleteResponse>, ApiError> {
    tools.remove(&name, expected).await?;
    Ok(JsonReply::ok(ToolDeleteResponse { success: true, message: format!("Tool '{name}' deleted successfully") }))
}

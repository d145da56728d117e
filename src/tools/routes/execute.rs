use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::kernel::{Caller, Fields};
use crate::storage::ConfigService;
use crate::tools::{ToolOutput, ToolResult, ToolService, ToolStatus};
use crate::web::openapi::schema::{Members, any_object, one_of, or_null, text};
use crate::web::{ApiError, BodyErrors, ErrorBody, FromFields, JsonBody, JsonReply, PathFunction};

/// What a tool is to do.
pub(super) struct ToolExecuteBody {
    arguments: Map<String, Value>,
    tool: Option<String>,
}

impl PartialSchema for ToolExecuteBody {
    fn schema() -> RefOr<Schema> {
        let member = "For an MCP server: which of its tools, if the path names only the server.";
        Members::new()
            .optional("arguments", "What the function's schema asks for.", any_object())
            .optional("tool", member, or_null(text()))
            .with_example(
                "What a tool is to do.",
                json!({"arguments": {"url": "/forecast", "params": {"city": "Lima"}}}),
            )
    }
}

impl ToSchema for ToolExecuteBody {}

impl FromFields for ToolExecuteBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { arguments: fields.or("arguments", Map::new()), tool: fields.optional("tool") }
    }
}

one_of!(
    /// How an execution ended.
    ToolOutcome,
    ToolStatus::ALL.map(ToolStatus::as_str)
);

/// What came of an execution.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "success": true, "tool": "weather", "status": "success", "output": {"city": "Lima", "celsius": 19}, "error": null,
    "metadata": {"status_code": 200, "url": "http://localhost:9003/forecast?city=Lima", "method": "GET", "duration_ms": 12}
}))]
pub(super) struct ToolExecuteResponse {
    success: bool,
    tool: String,
    /// `success`; `failure`: the tool ran and its task failed; `timeout`; `error`: it could not be run.
    #[schema(value_type = ToolOutcome)]
    status: ToolStatus,
    /// What it gave.
    #[schema(value_type = Value)]
    output: ToolOutput,
    /// What went wrong.
    error: Option<String>,
    /// What is worth knowing besides; `truncated` if the output was cut.
    metadata: Map<String, Value>,
}

/// Run a tool
///
/// Arguments that don't fit the function's schema are refused (422); whatever comes of the execution itself is answered with
/// 200: `status` and `error` tell.
#[utoipa::path(post, path = "/api/tools/{name}/execute", tag = "tools", operation_id = "execute_tool",
    request_body = ToolExecuteBody, params(PathFunction),
    responses((status = 200, description = "What came of it", body = ToolExecuteResponse),
        (status = 404, description = "No such tool", body = ErrorBody), BodyErrors))]
pub(super) async fn execute(
    State(tools): State<ToolService>,
    caller: Caller,
    PathFunction(name): PathFunction,
    JsonBody(body): JsonBody<ToolExecuteBody>,
) -> Result<JsonReply<ToolExecuteResponse>, ApiError> {
    let result = tools.execute_named(&tools.snapshot_for(&caller), &name, body.tool.as_deref(), body.arguments).await?;
    let ToolResult { status, output, error, metadata } = result;
    let success = status == ToolStatus::Success;
    Ok(JsonReply::ok(ToolExecuteResponse { success, tool: name, status, output, error, metadata }))
}

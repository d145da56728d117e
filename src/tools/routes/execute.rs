use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::kernel::Fields;
use crate::tools::{ToolResult, ToolService, ToolStatus};
use crate::web::{ApiError, BodyErrors, ErrorBody, FromFields, JsonBody, PathFunction, Reply};

/// What a tool is to do.
#[derive(ToSchema)]
#[schema(example = json!({"arguments": {"url": "/forecast", "params": {"city": "Lima"}}}))]
pub(super) struct ExecuteBody {
    /// What the function's schema asks for.
    #[schema(required = false, value_type = Object)]
    arguments: Map<String, Value>,
    /// For an MCP server: which of its tools, if the path names only the server.
    tool: Option<String>,
}

impl FromFields for ExecuteBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { arguments: fields.or("arguments", Map::new()), tool: fields.optional("tool") }
    }
}

/// What came of an execution.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "success": true, "tool": "weather", "status": "success", "output": {"city": "Lima", "celsius": 19}, "error": null,
    "metadata": {"status_code": 200, "url": "http://localhost:9003/forecast?city=Lima", "method": "GET", "duration_ms": 12}
}))]
pub(super) struct Executed {
    success: bool,
    tool: String,
    /// `success`; `failure`: the tool ran and its task failed; `timeout`; `error`: it could not be run.
    #[schema(value_type = String)]
    status: ToolStatus,
    /// What it gave.
    output: Value,
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
    request_body = ExecuteBody, params(("name" = String, Path, description = "Name of the tool, or of the function as `registry/schemas` has it: `server__tool` for one of an MCP server")),
    responses((status = 200, description = "What came of it", body = Executed),
        (status = 404, description = "No such tool", body = ErrorBody), BodyErrors))]
pub(super) async fn execute(
    State(tools): State<ToolService>,
    PathFunction(name): PathFunction,
    JsonBody(body): JsonBody<ExecuteBody>,
) -> Result<Reply<Executed>, ApiError> {
    let result = tools.execute_named(&name, body.tool.as_deref(), body.arguments).await?;
    let ToolResult { status, output, error, metadata } = result;
    let success = status == ToolStatus::Success;
    Ok(Reply::ok(Executed { success, tool: name, status, output, error, metadata }))
}

use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::schemas::plain_schema;
use crate::kernel::{Error, FieldIssue};
use crate::storage::ConfigService;
use crate::tools::ToolService;
use crate::tools::check::ToolCheckStatus;
use crate::tools::service::ToolTest;
use crate::web::{
    ApiError, BodyErrors, ConnectivityTestQuery, ErrorBody, JsonReply, OptionalBody, PathName, QueryParams,
};

/// How a test of a tool went.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "tool": "weather", "type": "http_request", "config_valid": true, "config_saved": true, "enabled": true, "success": true,
    "connectivity_tested": true, "connectivity_status": "reachable", "message": "Tool endpoint is reachable (HTTP 200)",
    "status_code": 200, "endpoint_url": "http://localhost:9003", "latency": 12.5
}))]
pub(super) struct ToolTestResponse {
    tool: String,
    r#type: String,
    config_valid: bool,
    config_saved: bool,
    enabled: bool,
    success: bool,
    connectivity_tested: bool,
    /// `reachable`, `unreachable`, `timeout`, `error`, `failed`, `skipped` or `not_applicable`.
    #[schema(value_type = String)]
    connectivity_status: ToolCheckStatus,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<&'static str>,
    /// Milliseconds that the other side took, if one was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<f64>,
    /// What models are told of the tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    schema: Option<Value>,
    /// What else was found: `status_code` and `endpoint_url`, an MCP server's `tools`, the interpreters' versions.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    details: Map<String, Value>,
}

/// Test a tool
///
/// Looks whether it can do its work: reaches its server, lists an MCP server's tools, runs a line of code in the sandbox.
/// Answers 200 whatever comes of it: `success` and `message` tell. The body is ignored.
#[utoipa::path(post, path = "/api/tools/{name}/test", tag = "tools", operation_id = "test_tool",
    params(PathName, ConnectivityTestQuery),
    responses((status = 200, description = "How the test went", body = ToolTestResponse),
        (status = 404, description = "No such tool", body = ErrorBody), BodyErrors))]
pub(super) async fn test(
    State(tools): State<ToolService>,
    PathName(name): PathName,
    QueryParams(query): QueryParams<ConnectivityTestQuery>,
    OptionalBody(body): OptionalBody,
) -> Result<JsonReply<ToolTestResponse>, ApiError> {
    if let Some(other) = body.filter(|body| !body.is_object()) {
        let msg = "Input should be a valid dictionary";
        return Err(Error::invalid(vec![FieldIssue::new("dict_type", vec!["body".into()], msg, other)]).into());
    }
    let settings = tools.snapshot();
    let tool = settings.tools.require(name.as_str())?;
    let ToolTest { check, config_valid, latency, function } =
        tools.test(&settings, tool, query.skip_connectivity).await;
    Ok(JsonReply::ok(ToolTestResponse {
        tool: tool.name.to_string(),
        r#type: tool.effective.kind.clone(),
        config_valid,
        config_saved: true,
        enabled: tool.effective.enabled,
        success: check.success,
        connectivity_tested: check.tested,
        connectivity_status: check.status,
        message: check.message,
        warning: (!tool.effective.enabled).then_some("Tool configuration is saved but tool is disabled"),
        error: check.error,
        error_detail: check.error_detail,
        suggestion: check.suggestion,
        latency,
        schema: function.as_ref().map(plain_schema),
        details: check.details,
    }))
}

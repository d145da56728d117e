use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::{IntoParams, ToSchema};

use crate::kernel::{Fields, Lenient};
use crate::storage::ConfigService;
use crate::tools::{ToolFunction, ToolService};
use crate::web::openapi::schema::{name_of, query};
use crate::web::{ApiError, FromFields, JsonReply, QueryParams, ReadErrors};

const PLAIN: &str = "plain";
const OPENAI: &str = "openai";

/// In which form functions are shown.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum SchemaFormat {
    /// `{name, description, parameters}`, as in the original.
    Plain,
    /// `tools` of a request for chat completions.
    OpenAi,
}

impl Lenient for SchemaFormat {
    fn read(value: &Value) -> Result<Self, (&'static str, &'static str)> {
        match value.as_str() {
            Some(PLAIN) => Ok(Self::Plain),
            Some(OPENAI) => Ok(Self::OpenAi),
            _ => Err(("enum", "Input should be 'plain' or 'openai'")),
        }
    }
}

impl FromFields for SchemaFormat {
    fn read(fields: &mut Fields<'_>) -> Self {
        fields.or("format", Self::Plain)
    }
}

impl IntoParams for SchemaFormat {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![query("format", "`plain`, or `openai` for the `tools` of chat completions", name_of([PLAIN, OPENAI]))]
    }
}

/// What the enabled tools offer.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "success": true, "count": 1, "schemas": [{"name": "weather", "description": "Forecasts by city",
        "parameters": {"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]}}]
}))]
pub(super) struct ToolSchemasResponse {
    success: bool,
    count: usize,
    /// One per function, each with name, description and the JSON schema of its arguments.
    #[schema(value_type = Vec<Object>)]
    schemas: Vec<Value>,
    /// Why some tools offer nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
    /// Which functions of MCP servers can't be offered, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Schemas of all functions
///
/// Of the enabled tools of known types. The tools of an MCP server are called `server__tool`; a server that can't be reached
/// is named in `problems`, and what it lists that can't be offered in `warnings`.
#[utoipa::path(get, path = "/api/tools/registry/schemas", tag = "tools", operation_id = "tool_schemas",
    params(SchemaFormat),
    responses((status = 200, description = "The schemas", body = ToolSchemasResponse), ReadErrors))]
pub(super) async fn schemas(
    State(tools): State<ToolService>,
    QueryParams(format): QueryParams<SchemaFormat>,
) -> Result<JsonReply<ToolSchemasResponse>, ApiError> {
    let functions = tools.all_functions(&tools.snapshot()).await;
    let show = if format == SchemaFormat::OpenAi { openai_schema } else { plain_schema };
    let schemas: Vec<_> = functions.all.iter().map(show).collect();
    Ok(JsonReply::ok(ToolSchemasResponse {
        success: true,
        count: schemas.len(),
        schemas,
        problems: functions.problems,
        warnings: functions.warnings,
    }))
}

/// A function in the original's form.
pub(super) fn plain_schema(function: &ToolFunction) -> Value {
    json!({"name": function.name, "description": function.description, "parameters": function.parameters})
}

/// A function as an element of `tools` in a request for chat completions.
fn openai_schema(ToolFunction { call_name, description, parameters, .. }: &ToolFunction) -> Value {
    json!({"type": "function", "function": {"name": call_name, "description": description, "parameters": parameters}})
}

/// The types that tools may have.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"tool_types": [{"type": "http_request", "description": "Make HTTP requests to external APIs",
    "required_config": ["base_url"], "optional_config": ["auth_token", "timeout", "headers"]}]}))]
pub(super) struct ToolTypesResponse {
    /// Each with type, description, required_config and optional_config.
    #[schema(value_type = Vec<Object>)]
    tool_types: [ToolType; 4],
}

/// A type of tools, and the keys of its `config`.
#[derive(Serialize)]
struct ToolType {
    r#type: &'static str,
    description: &'static str,
    required_config: &'static [&'static str],
    optional_config: &'static [&'static str],
}

const TOOL_TYPES: [ToolType; 4] = [
    ToolType {
        r#type: "http_request",
        description: "Make HTTP requests to external APIs",
        required_config: &["base_url"],
        optional_config: &["auth_token", "timeout", "headers", "allowed_hosts", "endpoint", "port", "api_key"],
    },
    // As in the original; searxng needs no key, and most providers no endpoint.
    ToolType {
        r#type: "web_search",
        description: "Search the web for information",
        required_config: &["api_key", "endpoint"],
        optional_config: &["provider", "max_results", "timeout", "engine_id", "port"],
    },
    ToolType {
        r#type: "code_executor",
        description: "Execute code in a sandboxed environment",
        required_config: &[],
        optional_config: &["timeout", "max_memory", "allowed_languages", "sandbox_enabled", "auto_execute"],
    },
    ToolType {
        r#type: "mcp",
        description: "Use the tools of an MCP server; command instead of url starts one",
        required_config: &["url"],
        optional_config: &["auth_token", "headers", "command", "args", "env", "include", "exclude", "timeout"],
    },
];

/// Types of tools
///
/// And the keys of `config` that each type needs or knows.
#[utoipa::path(get, path = "/api/tools/types/available", tag = "tools", operation_id = "tool_types",
    responses((status = 200, description = "The types", body = ToolTypesResponse), ReadErrors))]
pub(super) async fn types() -> JsonReply<ToolTypesResponse> {
    JsonReply::ok(ToolTypesResponse { tool_types: TOOL_TYPES })
}

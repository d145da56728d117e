use serde::Serialize;
use utoipa::ToSchema;

use super::body::ToolBody;
use crate::kernel::Properties;
use crate::settings::ToolSettings;
use crate::tools::ToolService;
use crate::web::resource_routes;

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
    /// What it is for; models read it, unless `config.description` says so.
    description: Option<String>,
}

resource_routes! {
    service: ToolService, settings: ToolSettings, view: ToolView, body: ToolBody,
    changed: ToolChangeResponse, deleted: ToolDeleteResponse, field: tool, catalog: tools,
    label: "Tool", created: "Tool 'weather' created successfully",
    removed: "Tool 'weather' deleted successfully",
    noun: "tool", one: "a tool", at_start: "A tool", many: "tools",
    moves: "A stored credential is not sent to another server:\nwhen the tool moves, give it again.",
}

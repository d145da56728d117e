use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::agents::AgentService;
use crate::kernel::{Properties, Secret, SecretUrl};
use crate::settings::{AgentSettings, CatalogEntry, bounds};
use crate::web::openapi::schema::{Members, any_object, boolean, integer, or_null};
use crate::web::openapi::texts;
use crate::web::{
    ApiError, BodyErrors, ErrorBody, IfMatch, IfNoneMatch, JsonReply, ListQuery, OptionalBody, PathName, QueryParams,
    ReadErrors, list_reply, show_reply,
};

/// An external agent. Its token is never shown, only that there is one.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "name": "billing", "url": "http://localhost:9001", "auth_token": "********", "timeout_seconds": 30, "enabled": true,
    "metadata": {"description": "Knows invoices, payments and reminders"}
}))]
pub(super) struct Agent {
    name: String,
    /// Where it is.
    #[schema(value_type = String)]
    url: SecretUrl,
    /// `********` if there is a token, else null.
    #[schema(value_type = Option<String>)]
    auth_token: Option<Secret>,
    /// Limit for one call, in seconds.
    timeout_seconds: i64,
    /// Whether it may be used.
    enabled: bool,
    /// Free to the caller. Chat reads `description`, `intents` (labels it serves) and `endpoint`.
    #[schema(value_type = Object)]
    metadata: Properties,
}

impl From<&CatalogEntry<AgentSettings>> for Agent {
    fn from(entry: &CatalogEntry<AgentSettings>) -> Self {
        let agent = entry.written.clone();
        Self {
            name: entry.name.to_string(),
            url: agent.url,
            auth_token: agent.auth_token,
            timeout_seconds: agent.timeout_seconds,
            enabled: agent.enabled,
            metadata: agent.metadata,
        }
    }
}

/// An agent as a client sends it.
pub(super) struct AgentBody;

impl PartialSchema for AgentBody {
    fn schema() -> RefOr<Schema> {
        let metadata = "Free to the caller. Chat reads `description`, `intents` (labels it serves) and `endpoint`.";
        Members::new()
            .required("name", "1 to 128 characters, no `/`.", texts::name())
            .required("url", "Where it is. Without credentials, query and fragment.", texts::http_url())
            .optional("auth_token", "Sent as a bearer token; null or `\"\"` if there is none.", or_null(texts::trimmed()))
            .with_default("timeout_seconds", "Limit for one call.", integer(&bounds::CALL_SECONDS), 30)
            .with_default("enabled", "Whether it may be used.", boolean(), true)
            .optional("metadata", metadata, any_object())
            .with_example(
                "An agent as a client sends it. In a PUT the mask or nothing for `auth_token` keeps the stored one, null or \
                 `\"\"` clears it.",
                json!({"name": "billing", "url": "http://localhost:9001", "auth_token": "a-long-token",
                    "timeout_seconds": 30, "enabled": true,
                    "metadata": {"description": "Knows invoices, payments and reminders"}}),
            )
    }
}

impl ToSchema for AgentBody {}

/// An agent that was added or changed.
#[derive(Serialize, ToSchema)]
pub(super) struct AgentChangeResponse {
    #[schema(example = true)]
    success: bool,
    #[schema(example = "Agent 'billing' created successfully")]
    message: String,
    agent: Agent,
}

/// An agent that was removed.
#[derive(Serialize, ToSchema)]
pub(super) struct AgentDeleteResponse {
    #[schema(example = true)]
    success: bool,
    #[schema(example = "Agent 'billing' deleted successfully")]
    message: String,
}

/// List agents
///
/// All of them in the order of their creation, unless parameters narrow the list.
#[utoipa::path(get, path = "/api/agents", tag = "agents", operation_id = "list_agents",
    params(ListQuery, IfNoneMatch),
    responses((status = 200, description = "The agents", body = Vec<Agent>),
        (status = 304, description = "The caller's list is up to date"), ReadErrors))]
pub(super) async fn list(
    State(agents): State<AgentService>,
    QueryParams(query): QueryParams<ListQuery>,
    known: IfNoneMatch,
) -> Response {
    list_reply::<_, Agent>(&agents.snapshot().agents, &query, &known)
}

/// Show an agent
///
/// As it was written: `${NAME}` stands as such, credentials are masked.
#[utoipa::path(get, path = "/api/agents/{name}", tag = "agents", operation_id = "get_agent",
    params(PathName, IfNoneMatch),
    responses((status = 200, description = "The agent", body = Agent),
        (status = 304, description = "The caller's copy is up to date"),
        (status = 404, description = "No such agent", body = ErrorBody), ReadErrors))]
pub(super) async fn get(
    State(agents): State<AgentService>,
    PathName(name): PathName,
    known: IfNoneMatch,
) -> Result<Response, ApiError> {
    show_reply::<_, Agent>(&agents.snapshot().agents, &name, &known)
}

/// Add an agent
///
/// Stored before this answers; it survives a restart.
#[utoipa::path(post, path = "/api/agents", tag = "agents", operation_id = "create_agent", request_body = AgentBody,
    responses((status = 201, description = "Added", body = AgentChangeResponse),
        (status = 409, description = "The name is taken", body = ErrorBody), BodyErrors))]
pub(super) async fn create(
    State(agents): State<AgentService>,
    body: OptionalBody,
) -> Result<JsonReply<AgentChangeResponse>, ApiError> {
    let entry = agents.config().create::<AgentSettings>(body.into_object()?).await?;
    let message = format!("Agent '{}' created successfully", entry.name);
    let changed = AgentChangeResponse { success: true, message, agent: entry.as_ref().into() };
    Ok(JsonReply::with_status(StatusCode::CREATED, changed).tagged(&entry.version))
}

/// Change an agent
///
/// Replaces the agent as a whole. Another name in the body renames it. A stored token is not sent to another server: when
/// `url` moves, give it again.
#[utoipa::path(put, path = "/api/agents/{name}", tag = "agents", operation_id = "update_agent", request_body = AgentBody,
    params(PathName, IfMatch),
    responses((status = 200, description = "Changed", body = AgentChangeResponse),
        (status = 404, description = "No such agent", body = ErrorBody),
        (status = 409, description = "The new name is taken", body = ErrorBody),
        (status = 412, description = "The agent has changed since it was read", body = ErrorBody), BodyErrors))]
pub(super) async fn update(
    State(agents): State<AgentService>,
    PathName(name): PathName,
    IfMatch(expected): IfMatch,
    body: OptionalBody,
) -> Result<JsonReply<AgentChangeResponse>, ApiError> {
    let entry = agents.config().update::<AgentSettings>(name.to_string(), expected, body.into_object()?).await?;
    let message = format!("Agent '{name}' updated successfully");
    let changed = AgentChangeResponse { success: true, message, agent: entry.as_ref().into() };
    Ok(JsonReply::ok(changed).tagged(&entry.version))
}

/// Remove an agent
///
/// For good: one that a file or variable names stays removed after a restart.
#[utoipa::path(delete, path = "/api/agents/{name}", tag = "agents", operation_id = "delete_agent",
    params(PathName, IfMatch),
    responses((status = 200, description = "Removed", body = AgentDeleteResponse),
        (status = 404, description = "No such agent", body = ErrorBody),
        (status = 412, description = "The agent has changed since it was read", body = ErrorBody), ReadErrors))]
pub(super) async fn delete(
    State(agents): State<AgentService>,
    PathName(name): PathName,
    IfMatch(expected): IfMatch,
) -> Result<JsonReply<AgentDeleteResponse>, ApiError> {
    agents.config().remove::<AgentSettings>(name.to_string(), expected).await?;
    Ok(JsonReply::ok(AgentDeleteResponse { success: true, message: format!("Agent '{name}' deleted successfully") }))
}

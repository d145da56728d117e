use std::time::Duration;

use axum::extract::State;
use indexmap::IndexMap;
use serde::Serialize;
use utoipa::ToSchema;

use crate::agents::{AgentService, PingReport};
use crate::kernel::{Deadline, SecretUrl};
use crate::outbound::BreakerState;
use crate::storage::ConfigService;
use crate::web::openapi::schema::one_of;
use crate::web::{ApiError, ErrorBody, JsonReply, PathName, ReadErrors};

/// What counts are the agents' own timeouts, which are shorter.
const MAX_HEALTH_TIMEOUT: Duration = Duration::from_secs(86_400);

one_of!(
    /// `closed`: calls go through; `open`: it keeps failing and is spared; `half_open`: one call is tried.
    Breaker,
    BreakerState::ALL.map(|(_, name)| name)
);

/// How a test of an agent went.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "success": true, "agent": "billing", "url": "http://localhost:9001", "status_code": 200,
    "message": "Agent is reachable", "response_time_ms": 3.4, "breaker": "closed"
}))]
pub(super) struct AgentTestResponse {
    success: bool,
    agent: String,
    #[schema(value_type = String)]
    url: SecretUrl,
    /// The agent's status, if it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    /// Why it could not be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_time_ms: Option<f64>,
    /// `closed`: calls go through; `open`: it keeps failing and is spared; `half_open`: one call is tried.
    #[schema(value_type = Breaker)]
    #[serde(skip_serializing_if = "Option::is_none")]
    breaker: Option<BreakerState>,
}

/// How one agent is.
#[derive(Serialize, ToSchema)]
pub(super) struct AgentHealth {
    healthy: bool,
    message: &'static str,
    /// `""` if it was not reached.
    url: String,
    /// `closed`, `open` or `half_open`; null for a disabled agent.
    #[schema(value_type = Option<Breaker>)]
    breaker: Option<BreakerState>,
    response_time_ms: Option<f64>,
}

/// How all agents are.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "agents": {"billing": {"healthy": true, "message": "Agent is reachable", "url": "http://localhost:9001",
        "breaker": "closed", "response_time_ms": 3.4}},
    "total": 1, "healthy": 1
}))]
pub(super) struct AgentsHealth {
    #[schema(value_type = std::collections::BTreeMap<String, AgentHealth>)]
    agents: IndexMap<String, AgentHealth>,
    total: usize,
    healthy: usize,
}

/// Test an agent
///
/// Asks it for `/health`. Answers 200 whatever comes of it: `success` and `error` tell. Any body is ignored.
#[utoipa::path(post, path = "/api/agents/{name}/test", tag = "agents", operation_id = "test_agent",
    params(PathName),
    responses((status = 200, description = "How the test went", body = AgentTestResponse),
        (status = 404, description = "No such agent", body = ErrorBody), ReadErrors))]
pub(super) async fn test(
    State(agents): State<AgentService>,
    PathName(name): PathName,
) -> Result<JsonReply<AgentTestResponse>, ApiError> {
    let settings = agents.snapshot();
    let entry = settings.agents.require(name.as_str())?;
    let disabled = AgentTestResponse {
        success: false,
        agent: name.to_string(),
        url: entry.written.url.clone(),
        status_code: None,
        error: Some(format!("Agent '{name}' is disabled")),
        message: "Agent not found or disabled",
        response_time_ms: None,
        breaker: None,
    };
    Ok(JsonReply::ok(match agents.ping(entry, Deadline::after(MAX_HEALTH_TIMEOUT)).await {
        Some(PingReport { healthy, status, message, error, response_time_ms, breaker }) => AgentTestResponse {
            success: healthy,
            status_code: status,
            error,
            message,
            response_time_ms: Some(response_time_ms),
            breaker: Some(breaker),
            ..disabled
        },
        None => disabled,
    }))
}

/// Health of all agents
///
/// Asks all enabled agents at once, each within its own timeout.
#[utoipa::path(get, path = "/api/agents/health/all", tag = "agents", operation_id = "agents_health",
    responses((status = 200, description = "How they are", body = AgentsHealth)))]
pub(super) async fn health_of_all(State(agents): State<AgentService>) -> JsonReply<AgentsHealth> {
    let asked = agents.ping_all(&agents.snapshot(), Deadline::after(MAX_HEALTH_TIMEOUT)).await;
    let all: IndexMap<_, _> = asked
        .into_iter()
        .map(|(entry, ping)| {
            let reached = ping.as_ref().is_some_and(|ping| ping.status.is_some());
            let health = AgentHealth {
                healthy: ping.as_ref().is_some_and(|ping| ping.healthy),
                message: ping.as_ref().map_or("Agent not found or disabled", |ping| ping.message),
                url: if reached { entry.written.url.to_string() } else { String::new() },
                breaker: ping.as_ref().map(|ping| ping.breaker),
                response_time_ms: ping.map(|ping| ping.response_time_ms),
            };
            (entry.name.to_string(), health)
        })
        .collect();
    let (total, healthy) = (all.len(), all.values().filter(|health| health.healthy).count());
    JsonReply::ok(AgentsHealth { agents: all, total, healthy })
}

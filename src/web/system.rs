use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{AppState, JsonReply};

/// `/`, `/health`, `/livez` and `/readyz`.
pub fn system_router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(root)).routes(routes!(health)).routes(routes!(livez)).routes(routes!(readyz))
}

/// Where to go from here.
#[derive(Serialize, ToSchema)]
struct EntryPoints {
    #[schema(example = "AI Orchestrator Studio API")]
    message: &'static str,
    #[schema(example = "1.0.0")]
    version: String,
    #[schema(example = "/docs")]
    docs: &'static str,
    #[schema(example = "/health")]
    health: &'static str,
    #[schema(example = "/v1/chat")]
    chat: String,
}

/// What is configured. Nothing is contacted.
#[derive(Serialize, ToSchema)]
struct Health {
    #[schema(example = "healthy")]
    status: &'static str,
    #[schema(example = "ZainOne Orchestrator Studio")]
    service: String,
    #[schema(example = "1.0.0")]
    version: String,
    debug: bool,
    #[schema(example = true)]
    llm_configured: bool,
    external_agent_configured: bool,
    redis_configured: bool,
    postgres_configured: bool,
}

/// Whether the process lives, or can serve.
#[derive(Serialize, ToSchema)]
struct ProbeStatus {
    /// `alive`, `ready` or `not ready`.
    #[schema(example = "ready")]
    status: &'static str,
}

/// Name and entry points
///
/// Names the server and its entry points.
#[utoipa::path(get, path = "/", tag = "system", operation_id = "root", responses((status = 200, description = "The entry points", body = EntryPoints)))]
async fn root(State(state): State<AppState>) -> JsonReply<EntryPoints> {
    let server = state.settings.snapshot().server;
    JsonReply::ok(EntryPoints {
        message: "AI Orchestrator Studio API",
        version: server.app_version.clone(),
        docs: "/docs",
        health: "/health",
        chat: format!("{}/chat", server.api_prefix),
    })
}

/// Configured parts
///
/// Says which parts are configured. Contacts nothing, and always answers `healthy`.
#[utoipa::path(get, path = "/health", tag = "system", operation_id = "health", responses((status = 200, description = "What is configured", body = Health)))]
async fn health(State(state): State<AppState>) -> JsonReply<Health> {
    let settings = state.settings.snapshot();
    JsonReply::ok(Health {
        status: "healthy",
        service: settings.server.app_name.clone(),
        version: settings.server.app_version.clone(),
        debug: settings.server.debug,
        llm_configured: settings.llm.effective().base_url.is_some(),
        external_agent_configured: !settings.agents.is_empty(),
        redis_configured: settings.storage.redis_url.is_some(),
        postgres_configured: settings.storage.postgres_dsn.is_some(),
    })
}

/// Liveness
///
/// Answers as long as the process can answer at all. For a supervisor that restarts it.
#[utoipa::path(get, path = "/livez", tag = "system", operation_id = "livez", responses((status = 200, description = "Alive", body = ProbeStatus)))]
async fn livez() -> JsonReply<ProbeStatus> {
    JsonReply::ok(ProbeStatus { status: "alive" })
}

/// Readiness
///
/// Answers 200 when requests can be served: when the embedded store answers. For a load balancer.
#[utoipa::path(get, path = "/readyz", tag = "system", operation_id = "readyz", responses(
    (status = 200, description = "Ready", body = ProbeStatus),
    (status = 503, description = "Not ready: the store does not answer", body = ProbeStatus)
))]
async fn readyz(State(state): State<AppState>) -> JsonReply<ProbeStatus> {
    match state.stores.ping().await {
        Ok(()) => JsonReply::ok(ProbeStatus { status: "ready" }),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            JsonReply::with_status(StatusCode::SERVICE_UNAVAILABLE, ProbeStatus { status: "not ready" })
        }
    }
}

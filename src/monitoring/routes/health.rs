use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::kernel::Clock;
use crate::monitoring::MonitoringService;
use crate::monitoring::health::ComponentHealth;
use crate::monitoring::store_health::StoreCheck;
use crate::settings::{Catalog, Resource, Settings};
use crate::web::JsonReply;

/// How the server's parts are.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "status": "healthy", "timestamp": "2026-11-23T08:15:00.123Z", "uptime_seconds": 4711.2,
    "components": {
        "llm": {"configured": true, "base_url": "http://localhost:11434", "model": "llama3.2", "status": "healthy",
            "latency_ms": 2.1, "error": null},
        "redis": {"configured": true, "url": "redis://localhost:6379/0", "status": "healthy",
            "since": "2026-11-23T06:56:43.987Z", "pending": 0, "latency_ms": 0.2, "error": null},
        "postgres": {"configured": false, "url": null, "status": "not_configured", "since": null, "pending": null,
            "latency_ms": null, "error": null},
        "embedded": {"configured": true, "status": "healthy", "latency_ms": 0.1, "error": null},
        "agents": {"count": 2, "configured": true, "enabled": 2},
        "datasources": {"count": 1, "configured": true, "enabled": 1},
        "tools": {"count": 0, "configured": false, "enabled": 0}
    }
}))]
pub(super) struct ServerHealth {
    /// `healthy`; `degraded` if there is no LLM, or something that is in use does not answer.
    #[schema(value_type = String)]
    status: HealthStatus,
    #[schema(format = DateTime)]
    timestamp: String,
    uptime_seconds: f64,
    components: ComponentsHealth,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum HealthStatus {
    Healthy,
    Unhealthy,
    Degraded,
    NotConfigured,
}

impl HealthStatus {
    fn of(is_healthy: bool) -> Self {
        if is_healthy { Self::Healthy } else { Self::Unhealthy }
    }
}

/// The parts of the server.
#[derive(Serialize, ToSchema)]
struct ComponentsHealth {
    llm: LlmComponentHealth,
    redis: BackendHealth,
    postgres: BackendHealth,
    /// The store that is always there.
    embedded: StoreHealth,
    agents: ResourcesHealth,
    datasources: ResourcesHealth,
    tools: ResourcesHealth,
}

/// How the LLM is.
#[derive(Serialize, ToSchema)]
struct LlmComponentHealth {
    configured: bool,
    base_url: Option<String>,
    model: Option<String>,
    /// `healthy`, `unhealthy` or `not_configured`.
    #[schema(value_type = String)]
    status: HealthStatus,
    latency_ms: Option<f64>,
    error: Option<String>,
}

/// How Redis or Postgres is.
#[derive(Serialize, ToSchema)]
struct BackendHealth {
    configured: bool,
    /// Where it is, without credentials.
    url: Option<String>,
    /// `healthy`, `unhealthy` or `not_configured`. While it is unhealthy the embedded store stands in for it.
    #[schema(value_type = String)]
    status: HealthStatus,
    /// When the server began or ceased to use it.
    since: Option<String>,
    /// Changes that wait in the embedded store to be written back to it.
    pending: Option<u64>,
    latency_ms: Option<f64>,
    error: Option<String>,
}

/// How the embedded store is.
#[derive(Serialize, ToSchema)]
struct StoreHealth {
    configured: bool,
    /// `healthy` or `unhealthy`.
    #[schema(value_type = String)]
    status: HealthStatus,
    latency_ms: f64,
    error: Option<String>,
}

/// How many there are.
#[derive(Serialize, ToSchema)]
struct ResourcesHealth {
    count: usize,
    configured: bool,
    enabled: usize,
}

/// Health of all parts
///
/// Asks the LLM server and the stores at once. What was found counts for two seconds, so that it may be polled at will. Always
/// answers 200: `status` tells. Agents, data sources and tools are only counted; `connectivity` reaches for them.
#[utoipa::path(get, path = "/api/monitoring/health", tag = "monitoring", operation_id = "monitoring_health",
    responses((status = 200, description = "How the parts are", body = ServerHealth)))]
pub(super) async fn health(State(monitoring): State<MonitoringService>) -> JsonReply<ServerHealth> {
    let settings = monitoring.settings();
    let report = monitoring.health.report(&settings).await;
    JsonReply::ok(ServerHealth {
        status: if report.is_healthy(&settings) { HealthStatus::Healthy } else { HealthStatus::Degraded },
        timestamp: monitoring.timestamp(),
        uptime_seconds: monitoring.uptime_seconds(),
        components: ComponentsHealth {
            llm: of_llm(&settings, &report.llm),
            redis: of_store(report.stores.redis.as_ref()),
            postgres: of_store(report.stores.postgres.as_ref()),
            embedded: StoreHealth {
                configured: true,
                status: HealthStatus::of(report.embedded.is_healthy()),
                latency_ms: report.embedded.latency_ms,
                error: report.embedded.error.clone(),
            },
            agents: of_resources(&settings.agents),
            datasources: of_resources(&settings.datasources),
            tools: of_resources(&settings.tools),
        },
    })
}

fn of_llm(settings: &Settings, part: &ComponentHealth) -> LlmComponentHealth {
    let shown = settings.llm.written();
    let configured = shown.base_url.is_some();
    LlmComponentHealth {
        configured,
        base_url: shown.base_url.clone(),
        model: shown.default_model.clone(),
        status: if configured { HealthStatus::of(part.is_healthy()) } else { HealthStatus::NotConfigured },
        latency_ms: configured.then_some(part.latency_ms),
        error: part.error.clone().filter(|_| configured),
    }
}

fn of_store(found: Option<&StoreCheck>) -> BackendHealth {
    BackendHealth {
        configured: found.is_some(),
        url: found.map(|found| found.url.clone()),
        status: found.map_or(HealthStatus::NotConfigured, |found| HealthStatus::of(found.answer.is_ok())),
        since: found.map(|found| Clock::rfc3339(found.status.since_ms)),
        pending: found.map(|found| found.status.pending),
        latency_ms: found.and_then(StoreCheck::latency_ms),
        error: found.and_then(StoreCheck::error),
    }
}

fn of_resources<T: Resource>(catalog: &Catalog<T>) -> ResourcesHealth {
    ResourcesHealth { count: catalog.len(), configured: !catalog.is_empty(), enabled: catalog.enabled().count() }
}

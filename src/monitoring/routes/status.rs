use std::collections::BTreeMap;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::monitoring::MonitoringService;
use crate::settings::{LogFormat, Settings};
use crate::web::JsonReply;

/// What the server is and how it is configured.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "application": {"name": "ZainOne Orchestrator Studio", "version": "1.0.0", "debug": false, "uptime_seconds": 4711.2},
    "configuration": {
        "llm": {"configured": true, "base_url": "http://localhost:11434", "model": "llama3.2", "timeout": 60},
        "memory": {"enabled": true, "max_messages": 50, "summary_enabled": true},
        "cache": {"enabled": true, "ttl_seconds": 3600},
        "orchestration": {"max_iterations": 10, "timeout_seconds": 300},
        "monitoring": {"enabled": true, "prometheus": "/metrics", "log_level": "INFO", "log_format": "text", "log_content": false}
    },
    "resources": {"agents": 2, "datasources": 1, "tools": 0},
    "sources": {"API_PORT": "default", "LLM_BASE_URL": "api", "LLM_DEFAULT_MODEL": "environment", "LLM_TIMEOUT_SECONDS": "file"}
}))]
pub(super) struct Status {
    application: Application,
    configuration: Configuration,
    resources: StatusResources,
    /// Where each variable's effective value came from: `default`, `file`, `environment` (or `.env`), or `api`.
    sources: BTreeMap<&'static str, &'static str>,
}

/// The application.
#[derive(Serialize, ToSchema)]
struct Application {
    name: String,
    version: String,
    debug: bool,
    uptime_seconds: f64,
}

/// The effective configuration, without secrets.
#[derive(Serialize, ToSchema)]
struct Configuration {
    llm: StatusLlm,
    memory: StatusMemory,
    cache: StatusCache,
    orchestration: StatusOrchestration,
    monitoring: StatusMonitoring,
}

/// The LLM connection.
#[derive(Serialize, ToSchema)]
struct StatusLlm {
    configured: bool,
    base_url: Option<String>,
    model: Option<String>,
    /// In seconds.
    timeout: i64,
}

/// Conversation memory.
#[derive(Serialize, ToSchema)]
struct StatusMemory {
    enabled: bool,
    max_messages: usize,
    summary_enabled: bool,
}

/// The cache of answers.
#[derive(Serialize, ToSchema)]
struct StatusCache {
    enabled: bool,
    ttl_seconds: u64,
}

/// How chat requests are carried out.
#[derive(Serialize, ToSchema)]
struct StatusOrchestration {
    max_iterations: usize,
    timeout_seconds: u64,
}

/// Logs and metrics.
#[derive(Serialize, ToSchema)]
struct StatusMonitoring {
    enabled: bool,
    /// Where Prometheus finds its figures; null if that is switched off.
    prometheus: Option<&'static str>,
    log_level: String,
    #[schema(value_type = String)]
    log_format: LogFormat,
    log_content: bool,
}

/// How many there are.
#[derive(Serialize, ToSchema)]
struct StatusResources {
    agents: usize,
    datasources: usize,
    tools: usize,
}

/// Configuration in effect
///
/// Values never hold secrets. `sources` tells for each variable where its value came from.
#[utoipa::path(get, path = "/api/monitoring/status", tag = "monitoring", operation_id = "monitoring_status",
    responses((status = 200, description = "What is in effect", body = Status)))]
pub(super) async fn status(State(monitoring): State<MonitoringService>) -> JsonReply<Status> {
    let settings = monitoring.settings();
    let server = &settings.server;
    JsonReply::ok(Status {
        application: Application {
            name: server.app_name.clone(),
            version: server.app_version.clone(),
            debug: server.debug,
            uptime_seconds: monitoring.uptime_seconds(),
        },
        configuration: configuration(&settings),
        resources: StatusResources {
            agents: settings.agents.len(),
            datasources: settings.datasources.len(),
            tools: settings.tools.len(),
        },
        sources: monitoring.sources(&settings),
    })
}

fn configuration(settings: &Settings) -> Configuration {
    let Settings { memory, cache, orchestration, monitoring, .. } = settings;
    let llm = settings.llm.written();
    Configuration {
        llm: StatusLlm {
            configured: llm.base_url.is_some(),
            base_url: llm.base_url.clone(),
            model: llm.default_model.clone(),
            timeout: llm.timeout_seconds,
        },
        memory: StatusMemory {
            enabled: memory.enabled,
            max_messages: memory.max_messages,
            summary_enabled: memory.summary_enabled,
        },
        cache: StatusCache { enabled: cache.enabled, ttl_seconds: cache.ttl.as_secs() },
        orchestration: StatusOrchestration {
            max_iterations: orchestration.max_iterations,
            timeout_seconds: orchestration.timeout.as_secs(),
        },
        monitoring: StatusMonitoring {
            enabled: monitoring.enabled,
            prometheus: monitoring.enabled.then_some("/metrics"),
            log_level: settings.server.log_level.clone(),
            log_format: monitoring.log_format,
            log_content: monitoring.log_content,
        },
    }
}

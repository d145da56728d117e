use std::sync::Arc;

use axum::extract::State;
use indexmap::IndexMap;
use serde::Serialize;
use utoipa::ToSchema;

use crate::agents::{AgentEntry, PingReport};
use crate::datasources::{CheckReport, Source, SourceHealth};
use crate::llm::{LlmError, LlmPing};
use crate::monitoring::MonitoringService;
use crate::monitoring::connectivity::ConnectivityReport;
use crate::monitoring::store_health::StoreCheck;
use crate::settings::LlmSection;
use crate::web::JsonReply;

/// What can be reached.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "timestamp": "2026-11-23T08:15:00.123Z",
    "services": {
        "llm": {"reachable": true, "status_code": 200, "url": "http://localhost:11434"},
        "agents": {"billing": {"reachable": true, "url": "http://localhost:9001", "response_time_ms": 2.3}},
        "datasources": {"crm": {"reachable": false, "type": "", "url": "", "response_time_ms": 1.2,
            "error": "DataSource 'crm' refused the connection"}}
    },
    "summary": {"total_services": 3, "reachable": 2, "unreachable": 1}
}))]
pub(super) struct Connectivity {
    #[schema(format = DateTime)]
    timestamp: String,
    services: ConnectivityServices,
    summary: ConnectivitySummary,
}

/// What there is to be reached.
#[derive(Serialize, ToSchema)]
struct ConnectivityServices {
    llm: ServiceReachability,
    /// By name; absent if there are none.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schema(required = false, value_type = std::collections::BTreeMap<String, ServiceReachability>)]
    agents: IndexMap<String, ServiceReachability>,
    /// By name; absent if there are none.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schema(required = false, value_type = std::collections::BTreeMap<String, ServiceReachability>)]
    datasources: IndexMap<String, ServiceReachability>,
    /// Absent if it is not configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    redis: Option<ServiceReachability>,
    /// Absent if it is not configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    postgres: Option<ServiceReachability>,
}

/// Whether one of them was reached.
#[derive(Serialize, ToSchema, Default)]
struct ServiceReachability {
    reachable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    status_code: Option<u64>,
    /// Of a data source; `""` if it was not reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    r#type: Option<String>,
    /// Without credentials. Of an agent or a data source that was not reached it is `""`; absent if no LLM is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    response_time_ms: Option<f64>,
    /// Why it is not reachable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

/// How many of them were reached. The LLM counts even if none is configured.
#[derive(Serialize, ToSchema)]
struct ConnectivitySummary {
    total_services: usize,
    reachable: usize,
    unreachable: usize,
}

/// What can be reached
///
/// Reaches for the LLM, all agents, all data sources and the stores at once, and answers within four seconds: what has not answered
/// by then is told as such. What was found counts for
/// two seconds. Disabled agents and data sources are not asked, and count as unreachable.
#[utoipa::path(get, path = "/api/monitoring/connectivity", tag = "monitoring", operation_id = "monitoring_connectivity",
    responses((status = 200, description = "What was reached", body = Connectivity)))]
pub(super) async fn connectivity(State(monitoring): State<MonitoringService>) -> JsonReply<Connectivity> {
    let found = monitoring.connectivity.report(monitoring.settings()).await;
    let services = services(&found);
    let stores = [&services.redis, &services.postgres].into_iter().flatten();
    let all = stores.chain(services.agents.values()).chain(services.datasources.values()).chain([&services.llm]);
    let (total, reachable) = all.fold((0, 0), |(total, ok), one| (total + 1, ok + usize::from(one.reachable)));
    let summary = ConnectivitySummary { total_services: total, reachable, unreachable: total - reachable };
    JsonReply::ok(Connectivity { timestamp: monitoring.timestamp(), services, summary })
}

fn services(found: &ConnectivityReport) -> ConnectivityServices {
    ConnectivityServices {
        llm: of_llm(&found.llm),
        agents: found.agents.iter().map(|(entry, ping)| of_agent(entry, ping.as_ref())).collect(),
        datasources: found.datasources.iter().map(|(source, health)| of_source(source, health.as_ref())).collect(),
        redis: found.stores.redis.as_ref().map(of_store),
        postgres: found.stores.postgres.as_ref().map(of_store),
    }
}

fn of_llm((section, health): &(Arc<LlmSection>, Result<LlmPing, LlmError>)) -> ServiceReachability {
    let ping = health.as_ref().ok();
    let error = match health {
        Ok(ping) => (!ping.is_healthy()).then(|| format!("answered {}", ping.status)),
        Err(LlmError::NoBaseUrl) => Some("Not configured".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    ServiceReachability {
        reachable: ping.is_some_and(LlmPing::is_healthy),
        status_code: ping.map(|ping| ping.status.into()),
        url: section.written().base_url.clone(),
        response_time_ms: ping.map(|ping| ping.response_time_ms),
        error,
        ..ServiceReachability::default()
    }
}

fn of_agent(entry: &AgentEntry, ping: Option<&PingReport>) -> (String, ServiceReachability) {
    let url = ping.filter(|ping| ping.status.is_some()).map(|_| entry.written.url.to_string());
    let why = |ping: &PingReport| ping.error.clone().or_else(|| Some(format!("{} ({})", ping.message, ping.status?)));
    let error = match ping {
        Some(ping) if ping.healthy => None,
        Some(ping) => why(ping),
        None => Some(format!("Agent '{}' is disabled", entry.name)),
    };
    let reached = ServiceReachability {
        reachable: ping.is_some_and(|ping| ping.healthy),
        status_code: ping.and_then(|ping| ping.status).map(u64::from),
        url: Some(url.unwrap_or_default()),
        response_time_ms: ping.map(|ping| ping.response_time_ms),
        error,
        ..ServiceReachability::default()
    };
    (entry.name.to_string(), reached)
}

fn of_source(source: &Source, inspection: Option<&SourceHealth>) -> (String, ServiceReachability) {
    let outcome = inspection.map(|inspection| &inspection.outcome);
    let checked = outcome.and_then(|outcome| outcome.as_ref().ok());
    let shown = |text: String| Some(if checked.is_some() { text } else { String::new() });
    let error = match outcome {
        None => Some(format!("DataSource '{}' is disabled", source.name)),
        Some(Err(error)) => Some(error.to_string()),
        Some(Ok(checked)) => (!checked.is_ok()).then(|| inspection.map_or("", SourceHealth::message).to_owned()),
    };
    let reached = ServiceReachability {
        reachable: inspection.is_some_and(SourceHealth::is_healthy),
        status_code: checked.and_then(CheckReport::status).map(u64::from),
        r#type: shown(source.effective.kind.clone()),
        url: shown(source.written.url.to_string()),
        response_time_ms: inspection.map(|inspection| inspection.response_time_ms),
        error,
    };
    (source.name.to_string(), reached)
}

fn of_store(check: &StoreCheck) -> ServiceReachability {
    ServiceReachability {
        reachable: check.answer.is_ok(),
        url: Some(check.url.clone()),
        response_time_ms: check.latency_ms(),
        error: check.error(),
        ..ServiceReachability::default()
    }
}

use std::time::Duration;

use axum::extract::State;
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::datasources::health::Authentication;
use crate::datasources::{CheckReport, DataSourceService, Source, SourceHealth};
use crate::kernel::{Deadline, SecretUrl};
use crate::outbound::BreakerState;
use crate::storage::ConfigService;
use crate::web::openapi::schema::one_of;
use crate::web::{ApiError, ConnectivityTestQuery, ErrorBody, JsonReply, PathName, QueryParams, ReadErrors};

/// What counts are the sources' own timeouts, which are shorter.
const MAX_TIMEOUT: Duration = Duration::from_secs(86_400);
const UNREACHABLE_HINT: &str = "Ensure the datasource service is running and accessible, or use 'skip_connectivity=true' to \
    save without testing.";
const UNAUTHORIZED_HINT: &str = "The datasource refuses this server: auth_token should be one that it takes.";

one_of!(
    /// `closed`: calls go through; `open`: it keeps failing and is spared; `half_open`: one call is tried.
    Breaker,
    BreakerState::ALL.map(|(_, name)| name)
);

/// How a test of a source went.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "datasource": "crm", "type": "postgres", "config_valid": true, "config_saved": true, "enabled": true,
    "url": "postgres://reader:********@localhost:5432/crm", "success": true, "connectivity_tested": true,
    "connectivity_status": "reachable", "message": "Datasource is reachable",
    "details": {"success": true, "datasource": "crm", "type": "postgres",
        "url": "postgres://reader:********@localhost:5432/crm", "status_code": null, "message": "Datasource is reachable",
        "response_time_ms": 4.1, "breaker": "closed", "reached": true, "authenticated": true, "version": "PostgreSQL 17.2",
        "account": "reader", "read_only": true, "account_may_write": false, "account_is_superuser": false, "warning": null}
}))]
pub(super) struct DataSourceTestResponse {
    datasource: String,
    r#type: String,
    config_valid: bool,
    config_saved: bool,
    enabled: bool,
    #[schema(value_type = String)]
    url: SecretUrl,
    success: bool,
    connectivity_tested: bool,
    /// `reachable`, `refused` (it is there, but does not take the credential), `unreachable` or `skipped`.
    connectivity_status: &'static str,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
    /// What was checked, and what was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<DataSourceTestDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<&'static str>,
}

/// What was checked, and what was found.
#[derive(Serialize, ToSchema)]
struct DataSourceTestDetails {
    success: bool,
    datasource: String,
    r#type: String,
    #[schema(value_type = String)]
    url: SecretUrl,
    /// The status of its health endpoint, if it has one.
    status_code: Option<u16>,
    /// Why it could not be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    message: &'static str,
    response_time_ms: f64,
    /// `closed`: queries go through; `open`: it keeps failing and is spared; `half_open`: one query is tried.
    #[schema(value_type = Breaker)]
    breaker: BreakerState,
    /// What parameters of its URL change nothing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    unused_parameters: Option<String>,
    /// `reached`, `authenticated`, `version`, `read_only` and what else the type tells.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    findings: Value,
}

/// How one source is.
#[derive(Serialize, ToSchema)]
pub(super) struct DataSourceHealth {
    healthy: bool,
    /// `""` if it was not reached.
    r#type: String,
    message: &'static str,
    /// `""` if it was not reached.
    url: String,
    /// `closed`, `open` or `half_open`; null for a disabled source.
    #[schema(value_type = Option<Breaker>)]
    breaker: Option<BreakerState>,
    response_time_ms: Option<f64>,
}

/// How all sources are.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "datasources": {"crm": {"healthy": true, "type": "postgres", "message": "Datasource is reachable",
        "url": "postgres://reader:********@localhost:5432/crm", "breaker": "closed", "response_time_ms": 4.1}},
    "total": 1, "healthy": 1
}))]
pub(super) struct DataSourcesHealth {
    #[schema(value_type = std::collections::BTreeMap<String, DataSourceHealth>)]
    datasources: IndexMap<String, DataSourceHealth>,
    total: usize,
    healthy: usize,
}

/// Test a data source
///
/// Reaches the source, logs in where it can, and says what it found: version, account, whether it is read only. Answers 200
/// whatever comes of it: `success` and `details` tell. Any body is ignored.
#[utoipa::path(post, path = "/api/datasources/{name}/test", tag = "datasources", operation_id = "test_datasource",
    params(PathName, ConnectivityTestQuery),
    responses((status = 200, description = "How the test went", body = DataSourceTestResponse),
        (status = 404, description = "No such data source", body = ErrorBody), ReadErrors))]
pub(super) async fn test(
    State(sources): State<DataSourceService>,
    PathName(name): PathName,
    QueryParams(query): QueryParams<ConnectivityTestQuery>,
) -> Result<JsonReply<DataSourceTestResponse>, ApiError> {
    let settings = sources.snapshot();
    let source = settings.datasources.require(name.as_str())?;
    let health = match query.skip_connectivity {
        true => None,
        false => sources.check_health(source, Deadline::after(MAX_TIMEOUT)).await,
    };
    Ok(JsonReply::ok(match health {
        Some(health) => tested(source, health),
        None if source.effective.enabled => {
            untested(source, true, "DataSource configuration is valid. Connectivity test skipped.")
        }
        None => DataSourceTestResponse {
            warning: Some("DataSource configuration is saved but datasource is disabled"),
            ..untested(source, false, "DataSource is disabled. Enable it to test connectivity.")
        },
    }))
}

fn untested(source: &Source, success: bool, message: &'static str) -> DataSourceTestResponse {
    DataSourceTestResponse {
        datasource: source.name.to_string(),
        r#type: source.effective.kind.clone(),
        config_valid: true,
        config_saved: true,
        enabled: source.effective.enabled,
        url: source.written.url.clone(),
        success,
        connectivity_tested: false,
        connectivity_status: "skipped",
        message,
        warning: None,
        details: None,
        suggestion: None,
    }
}

fn tested(source: &Source, health: SourceHealth) -> DataSourceTestResponse {
    let (success, message) = (health.is_healthy(), health.message());
    let (connectivity_status, suggestion) = match success {
        true => ("reachable", None),
        false if health.is_unauthorized() => ("refused", Some(UNAUTHORIZED_HINT)),
        false => ("unreachable", Some(UNREACHABLE_HINT)),
    };
    let (status_code, error, findings) = match health.outcome {
        Ok(report) => (report.status(), None, findings(report)),
        Err(error) => (None, Some(error.to_string()), json!({"reached": false})),
    };
    let untested = untested(source, success, message);
    let details = Some(DataSourceTestDetails {
        success,
        datasource: untested.datasource.clone(),
        r#type: untested.r#type.clone(),
        url: untested.url.clone(),
        status_code,
        error,
        message,
        response_time_ms: health.response_time_ms,
        breaker: health.breaker,
        unused_parameters: source.effective.unused_parameters(),
        findings,
    });
    DataSourceTestResponse { connectivity_tested: true, connectivity_status, suggestion, details, ..untested }
}

fn findings(report: CheckReport) -> Value {
    match report {
        CheckReport::Service { authentication, read_only, cubes, .. } => {
            let authenticated = match authentication {
                Authentication::Accepted => json!(true),
                Authentication::Unverified => json!("accepted, though a health endpoint may not look at it"),
                Authentication::Refused => json!(false),
                Authentication::Unknown => Value::Null,
            };
            let mut findings = json!({"reached": true, "authenticated": authenticated, "read_only": read_only});
            if let (Some(findings), Some(cubes)) = (findings.as_object_mut(), cubes) {
                findings.insert("cubes".to_owned(), json!(cubes));
            }
            findings
        }
        CheckReport::Server(account) => json!({
            "reached": true, "authenticated": true, "version": account.version, "account": account.user,
            "read_only": account.read_only, "account_may_write": account.may_write,
            "account_is_superuser": account.is_superuser, "warning": account.warning(),
        }),
        CheckReport::File(file) => json!({
            "version": file.version, "read_only": file.read_only, "tables": file.tables, "reached": true,
            "authenticated": null,
        }),
    }
}

/// Health of all data sources
///
/// Looks at all enabled sources at once, each within its own timeout.
#[utoipa::path(get, path = "/api/datasources/health/all", tag = "datasources", operation_id = "datasources_health",
    responses((status = 200, description = "How they are", body = DataSourcesHealth)))]
pub(super) async fn health_of_all(State(sources): State<DataSourceService>) -> JsonReply<DataSourcesHealth> {
    let looked = sources.check_all(&sources.snapshot(), Deadline::after(MAX_TIMEOUT)).await;
    let all: IndexMap<_, _> = looked
        .into_iter()
        .map(|(source, health)| (source.name.to_string(), summary(&source, health.as_ref())))
        .collect();
    let (total, healthy) = (all.len(), all.values().filter(|health| health.healthy).count());
    JsonReply::ok(DataSourcesHealth { datasources: all, total, healthy })
}

fn summary(source: &Source, health: Option<&SourceHealth>) -> DataSourceHealth {
    let is_reached = health.is_some_and(|health| health.outcome.is_ok());
    let shown = |text: String| if is_reached { text } else { String::new() };
    DataSourceHealth {
        healthy: health.is_some_and(SourceHealth::is_healthy),
        r#type: shown(source.effective.kind.clone()),
        message: health.map_or("Datasource not found or disabled", SourceHealth::message),
        url: shown(source.written.url.to_string()),
        breaker: health.map(|health| health.breaker),
        response_time_ms: health.map(|health| health.response_time_ms),
    }
}

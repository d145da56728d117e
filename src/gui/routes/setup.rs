use std::time::Duration;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::web::{AppState, JsonReply};

/// How much longer than a chat request may take a page waits for its reply.
const MARGIN: Duration = Duration::from_secs(10);

/// Credentials to manage: none.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "credentials": [], "total": 0, "message": "There is no store of credentials: each key stands with what it is for"
}))]
pub(super) struct Credentials {
    #[schema(value_type = Vec<Object>)]
    credentials: [(); 0],
    total: usize,
    /// Where keys are managed.
    message: &'static str,
}

/// Certificates to manage: none.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "tls_enabled": false, "cert_exists": false, "key_exists": false, "cert_path": "", "key_path": "",
    "message": "This server speaks plain HTTP: TLS ends at a proxy before it, which has the certificate"
}))]
pub(super) struct Certificates {
    tls_enabled: bool,
    cert_exists: bool,
    key_exists: bool,
    cert_path: &'static str,
    key_path: &'static str,
    /// Where certificates are managed.
    message: &'static str,
}

/// How long a page should wait for a reply.
#[derive(Serialize, ToSchema)]
pub(super) struct PageTimeouts {
    /// The time that a chat request may take, and a margin.
    #[schema(example = 310_000)]
    frontend_timeout_ms: u64,
}

/// Credentials
///
/// For the existing GUI. There is nothing to manage; `message` says where keys are.
#[utoipa::path(get, path = "/api/credentials", tag = "gui", operation_id = "list_credentials",
    responses((status = 200, description = "None", body = Credentials)))]
pub(super) async fn credentials() -> JsonReply<Credentials> {
    let message = "There is no store of credentials: each key stands with what it is for, on the pages of LLM connections, agents, \
        tools and data sources, or in the server's environment.";
    JsonReply::ok(Credentials { credentials: [], total: 0, message })
}

/// Certificates
///
/// For the existing GUI. There is nothing to manage; `message` says where certificates are.
#[utoipa::path(get, path = "/api/certs", tag = "gui", operation_id = "show_certificates",
    responses((status = 200, description = "None", body = Certificates)))]
pub(super) async fn certificates() -> JsonReply<Certificates> {
    JsonReply::ok(Certificates {
        tls_enabled: false,
        cert_exists: false,
        key_exists: false,
        cert_path: "",
        key_path: "",
        message: "This server speaks plain HTTP: TLS ends at a proxy before it, which has the certificate.",
    })
}

/// Timeouts of the pages
///
/// For the existing GUI. `ORCHESTRATION_TIMEOUT_SECONDS` and ten seconds more.
#[utoipa::path(get, path = "/api/config/timeout", tag = "gui", operation_id = "page_timeouts",
    responses((status = 200, description = "The timeouts", body = PageTimeouts)))]
pub(super) async fn timeouts(State(state): State<AppState>) -> JsonReply<PageTimeouts> {
    let limit = state.settings.snapshot().orchestration.timeout.saturating_add(MARGIN);
    JsonReply::ok(PageTimeouts { frontend_timeout_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) })
}

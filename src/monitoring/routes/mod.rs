//! `/api/monitoring`: health, metrics, status, connectivity and logs; and `/metrics` for Prometheus.

mod connectivity;
mod health;
mod logs;
mod metrics;
mod status;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::MonitoringService;
use crate::web::ApiError;

/// The module's routes.
pub fn router() -> OpenApiRouter<MonitoringService> {
    OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(metrics::metrics))
        .routes(routes!(status::status))
        .routes(routes!(connectivity::connectivity))
        .routes(routes!(logs::logs))
}

/// `/metrics`. It is no part of the API, hence of its document, as it speaks Prometheus' format only.
pub fn prometheus_router() -> Router<MonitoringService> {
    Router::new().route("/metrics", axum::routing::get(prometheus))
}

/// Figures for Prometheus.
async fn prometheus(State(monitoring): State<MonitoringService>) -> Result<impl IntoResponse, ApiError> {
    let text = monitoring.exposition(&monitoring.settings()).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

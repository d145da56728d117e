//! `/api/monitoring`: health, metrics, status, connectivity and logs; and `/metrics` for Prometheus.

mod connectivity;
mod health;
mod logs;
mod metrics;
mod prometheus;
mod status;

use axum::Router;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::MonitoringService;

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
    Router::new().route("/metrics", axum::routing::get(prometheus::prometheus))
}

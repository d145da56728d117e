use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::monitoring::MonitoringService;
use crate::web::ApiError;

/// Figures for Prometheus.
pub(super) async fn prometheus(State(monitoring): State<MonitoringService>) -> Result<impl IntoResponse, ApiError> {
    let text = monitoring.exposition(&monitoring.settings()).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

//! `/v1/executions`. The prefix is `API_PREFIX`.

mod events;
mod records;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::storage::ExecutionStore;

/// The module's routes, without their prefix.
pub fn router() -> OpenApiRouter<ExecutionStore> {
    OpenApiRouter::new().routes(routes!(records::list)).routes(routes!(records::get)).routes(routes!(events::events))
}

//! `/api/agents`: keep, test and call agents.

mod call;
mod health;
mod resource;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::AgentService;

/// The module's routes.
pub fn router() -> OpenApiRouter<AgentService> {
    OpenApiRouter::new()
        .routes(routes!(resource::list, resource::create))
        .routes(routes!(resource::get, resource::update, resource::delete))
        .routes(routes!(health::test))
        .routes(routes!(health::health_of_all))
        .routes(routes!(call::call))
}

//! `/api/tools`: keep, test and run tools, and tell what they offer.

mod body;
mod config;
mod execute;
mod resource;
mod schemas;
mod test;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ToolService;

/// The module's routes.
pub fn router() -> OpenApiRouter<ToolService> {
    OpenApiRouter::new()
        .routes(routes!(resource::list, resource::create))
        .routes(routes!(resource::get, resource::update, resource::delete))
        .routes(routes!(test::test))
        .routes(routes!(execute::execute))
        .routes(routes!(schemas::schemas))
        .routes(routes!(schemas::types))
}

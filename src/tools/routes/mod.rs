//! `/api/tools`: keep, test and run tools, and tell what they offer.

mod body;
mod config;
mod execute;
mod registry;
mod resource;
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
        .routes(routes!(registry::schemas))
        .routes(routes!(registry::types))
}

//! `/api/datasources`: keep, test and query data sources, and look at their tables.

mod body;
mod health;
mod query;
mod resource;
mod verified;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
pub(crate) use verified::VerifiedChangeResponse;

use super::DataSourceService;

/// The module's routes.
pub fn router() -> OpenApiRouter<DataSourceService> {
    OpenApiRouter::new()
        .routes(routes!(resource::list, resource::create))
        .routes(routes!(resource::get, resource::update, resource::delete))
        .routes(routes!(health::test))
        .routes(routes!(health::health_of_all))
        .routes(routes!(query::query))
        .routes(routes!(query::schema))
        .routes(routes!(query::tables))
        .routes(routes!(verified::list_all, verified::create, verified::replace_all, verified::delete_all))
        .routes(routes!(verified::get, verified::update, verified::delete))
}

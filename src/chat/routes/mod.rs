//! `/v1/chat`, whose prefix is `API_PREFIX`, and `/api/chat`.

mod body;
mod chat;
mod evaluate;
mod reply;
mod stream;
mod verify;

pub use body::steering_options;
use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ChatService;

/// The module's routes under `/api`.
pub fn api_router() -> OpenApiRouter<Arc<ChatService>> {
    OpenApiRouter::new().routes(routes!(evaluate::evaluate))
}

/// The module's routes under the prefix, without it.
pub fn router() -> OpenApiRouter<Arc<ChatService>> {
    OpenApiRouter::new().routes(routes!(chat::chat)).routes(routes!(chat::health)).routes(routes!(verify::verify))
}

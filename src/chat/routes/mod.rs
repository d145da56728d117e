//! `/v1/chat`. The prefix is `API_PREFIX`.

mod body;
mod chat;
mod reply;
mod stream;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ChatService;

/// The module's routes, without their prefix.
pub fn router() -> OpenApiRouter<ChatService> {
    OpenApiRouter::new().routes(routes!(chat::chat)).routes(routes!(chat::health))
}

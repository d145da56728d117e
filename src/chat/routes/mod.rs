//! `/v1/chat`. The prefix is `API_PREFIX`.

mod chat;
mod stream;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ChatService;
use crate::web::AppState;

/// What the handlers work with.
#[derive(Clone, Debug)]
pub struct ChatState {
    /// What every module shares.
    pub app: AppState,
    /// The service.
    pub chat: ChatService,
}

/// The module's routes, without their prefix.
pub fn router() -> OpenApiRouter<ChatState> {
    OpenApiRouter::new().routes(routes!(chat::chat)).routes(routes!(chat::health))
}

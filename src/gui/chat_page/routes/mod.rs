//! `/api/chat/ui`.

mod choices;
mod conversations;
mod figures;
mod message;
mod model_id;
mod prompt_profiles;
mod send;
mod stream;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ChatPageService;

/// The page's routes.
pub fn router() -> OpenApiRouter<ChatPageService> {
    OpenApiRouter::new()
        .routes(routes!(choices::models))
        .routes(routes!(choices::profiles))
        .routes(routes!(conversations::list, conversations::create))
        .routes(routes!(conversations::get, conversations::delete))
        .routes(routes!(send::send))
        .routes(routes!(stream::stream))
        .routes(routes!(prompt_profiles::list, prompt_profiles::put))
        .routes(routes!(figures::metrics))
}

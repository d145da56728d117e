//! `/api/auth`, and the layer around all routes that recognises whoever makes a request.

mod audit;
mod document;
mod keys;
mod layer;
mod revocable_body;
mod tokens;
mod usage;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::IdentityService;
pub use document::{describe_access, operations_of, without_access};
pub use keys::{key_made, key_revoked};
pub use layer::{AuthenticationLayer, authenticate};

/// The module's routes.
pub fn router() -> OpenApiRouter<IdentityService> {
    OpenApiRouter::new()
        .routes(routes!(tokens::me))
        .routes(routes!(usage::usage))
        .routes(routes!(tokens::token))
        .routes(routes!(tokens::ticket))
        .routes(routes!(keys::list_keys, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(audit::list_audit))
}

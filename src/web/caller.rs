use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::ApiError;
use crate::kernel::{Caller, Permission, UserId};

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    /// Whom the layer around all routes has recognised. Nobody gets in where it did not look.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| ApiError::unauthenticated("This needs authentication"))
    }
}

/// Whether the conversation of `user` is there for whoever makes the request.
pub(super) fn sees_conversation(parts: &Parts, user: &UserId) -> bool {
    let caller = parts.extensions.get::<Caller>();
    caller
        .is_some_and(|caller| caller.reaches(user.as_str(), Permission::MemoryAll, || format!("conversations/{user}")))
}

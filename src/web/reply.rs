use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::ApiError;
use crate::kernel::Error;

/// A JSON reply with status 200, or another one.
#[derive(Debug)]
pub struct Reply<T> {
    status: StatusCode,
    body: T,
}

impl<T> Reply<T> {
    /// 200 with this body.
    pub fn ok(body: T) -> Self {
        Self { status: StatusCode::OK, body }
    }

    /// This body with another status.
    pub fn with_status(status: StatusCode, body: T) -> Self {
        Self { status, body }
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.body) {
            Ok(json) => (self.status, [(header::CONTENT_TYPE, "application/json")], json).into_response(),
            Err(error) => {
                ApiError::from(Error::internal("a reply could not be written as JSON", error)).into_response()
            }
        }
    }
}

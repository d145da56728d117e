use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::ApiError;
use crate::kernel::Error;

/// A JSON reply with status 200, or another one.
#[derive(Debug)]
pub struct JsonReply<T> {
    status: StatusCode,
    version: Option<String>,
    body: T,
}

impl<T> JsonReply<T> {
    /// 200 with this body.
    pub fn ok(body: T) -> Self {
        Self::with_status(StatusCode::OK, body)
    }

    /// This body with another status.
    pub fn with_status(status: StatusCode, body: T) -> Self {
        Self { status, version: None, body }
    }

    /// With this version as its `ETag`.
    pub fn tagged(self, version: impl Into<String>) -> Self {
        Self { version: Some(version.into()), ..self }
    }
}

impl<T: Serialize> IntoResponse for JsonReply<T> {
    fn into_response(self) -> Response {
        let json = match serde_json::to_vec(&self.body) {
            Ok(json) => body(json),
            Err(error) => {
                return ApiError::from(Error::internal("a reply could not be written as JSON", error)).into_response();
            }
        };
        let tag = self.version.map(|version| [(header::ETAG, format!("\"{version}\""))]);
        (self.status, [(header::CONTENT_TYPE, "application/json")], tag, json).into_response()
    }
}

/// A JSON reply that is text already.
#[derive(Debug)]
pub struct JsonText(pub StatusCode, pub String);

impl IntoResponse for JsonText {
    fn into_response(self) -> Response {
        let Self(status, json) = self;
        (status, [(header::CONTENT_TYPE, "application/json")], body(json.into_bytes())).into_response()
    }
}

/// Boxed, because a client that reads slowly would keep the room that the text was written into, up to twice its size.
fn body(json: Vec<u8>) -> Bytes {
    Bytes::from(json.into_boxed_slice())
}

/// 304: the caller has this version already.
pub fn not_modified(version: &str) -> Response {
    (StatusCode::NOT_MODIFIED, [(header::ETAG, format!("\"{version}\""))]).into_response()
}

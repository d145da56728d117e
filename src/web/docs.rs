use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::Config;

use super::ApiError;
use crate::kernel::Error;

/// The document at `/openapi.json`, made when the first client asks for it, and the explorer at `/docs/`, to which the original's
/// `/redoc` leads.
pub fn docs_router(document: impl FnOnce() -> OpenApi + Send + 'static) -> Router {
    let json = Arc::new(LazyLock::new(move || document().to_json().map(Bytes::from)));
    // "none" keeps the explorer from asking a public validator about the document.
    let config = Arc::new(Config::new(["/openapi.json"]).validator_url("none").try_it_out_enabled(true));
    let explorer = get(move |request: Request| async move { explorer_file(request.uri().path(), config) });
    let to_explorer = get(async || Redirect::to("/docs/"));
    Router::new()
        .route("/openapi.json", get(move || async move { openapi_file(&json) }))
        .route("/redoc", to_explorer.clone())
        .route("/docs", to_explorer)
        .route("/docs/", explorer.clone())
        .route("/docs/{*file}", explorer)
}

fn openapi_file(json: &Result<Bytes, serde_json::Error>) -> Response {
    match json {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json.clone()).into_response(),
        Err(error) => ApiError::from(Error::internal("the OpenAPI document could not be written", error.to_string()))
            .into_response(),
    }
}

fn explorer_file(path: &str, config: Arc<Config<'static>>) -> Response {
    match utoipa_swagger_ui::serve(path.trim_start_matches("/docs/"), config) {
        Ok(Some(file)) => ([(header::CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response(),
        Ok(None) => ApiError::http(StatusCode::NOT_FOUND, "not_found", "Not Found").into_response(),
        Err(error) => ApiError::from(Error::internal("a file of the API explorer can't be read", error.to_string()))
            .into_response(),
    }
}

use std::sync::Arc;

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

/// The document at `/openapi.json`, and the explorer at `/docs/`, to which the original's `/redoc` leads.
pub fn docs_router(document: &OpenApi) -> Result<Router, Error> {
    let json =
        document.to_json().map_err(|error| Error::internal("the OpenAPI document could not be written", error))?;
    let json = Bytes::from(json);
    // "none" keeps the explorer from asking a public validator about the document.
    let config = Arc::new(Config::new(["/openapi.json"]).validator_url("none").try_it_out_enabled(true));
    let explorer = get(move |request: Request| async move { explorer_file(request.uri().path(), config) });
    let to_explorer = get(async || Redirect::to("/docs/"));
    Ok(Router::new()
        .route("/openapi.json", get(move || async move { ([(header::CONTENT_TYPE, "application/json")], json) }))
        .route("/redoc", to_explorer.clone())
        .route("/docs", to_explorer)
        .route("/docs/", explorer.clone())
        .route("/docs/{*file}", explorer))
}

fn explorer_file(path: &str, config: Arc<Config<'static>>) -> Response {
    match utoipa_swagger_ui::serve(path.trim_start_matches("/docs/"), config) {
        Ok(Some(file)) => ([(header::CONTENT_TYPE, file.content_type)], file.bytes.into_owned()).into_response(),
        Ok(None) => ApiError::http(StatusCode::NOT_FOUND, "not_found", "Not Found").into_response(),
        Err(error) => ApiError::from(Error::internal("a file of the API explorer can't be read", error.to_string()))
            .into_response(),
    }
}

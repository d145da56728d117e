use axum::Router;
use axum::http::header;
use axum::response::Redirect;
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::kernel::Error;

/// The document at `/openapi.json` and the explorer at `/docs`, whose files are part of the binary. `/redoc`, which the
/// original had too, leads to the explorer.
pub fn docs_router(document: &OpenApi) -> Result<Router, Error> {
    let json =
        document.to_json().map_err(|error| Error::internal("the OpenAPI document could not be written", error))?;
    let serve = move || {
        let json = json.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], json) }
    };
    // "none" keeps the explorer from asking a public validator about the document.
    let config = Config::new(["/openapi.json"]).validator_url("none").try_it_out_enabled(true);
    Ok(Router::new()
        .route("/openapi.json", get(serve))
        .route("/redoc", get(async || Redirect::to("/docs/")))
        .merge(SwaggerUi::new("/docs").config(config)))
}

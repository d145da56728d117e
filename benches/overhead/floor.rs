//! The floor: what any server in this place costs that is made of axum and reqwest. It forwards a request as it is.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use crate::load::Helper;

#[derive(Clone)]
struct Floor {
    http: reqwest::Client,
    url: String,
}

/// Forwards chats to the LLM server at this address.
pub async fn run(llm: &str) {
    let floor = Floor { http: client(), url: format!("http://{llm}/v1/chat/completions") };
    Helper::serve(Router::new().route("/v1/chat", post(forward)).with_state(floor)).await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "the floor is what the server is compared with, and shares nothing with it"
)]
fn client() -> reqwest::Client {
    let provider = rustls::crypto::ring::default_provider();
    let tls =
        rustls::ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions().unwrap();
    let tls = tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls).build().unwrap()
}

async fn forward(State(floor): State<Floor>, body: Bytes) -> Response {
    let request = floor.http.post(&floor.url).header(CONTENT_TYPE, "application/json").body(body);
    let Ok(reply) = request.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let status = reply.status();
    let Some(sort) = reply.headers().get(CONTENT_TYPE).cloned() else { return StatusCode::BAD_GATEWAY.into_response() };
    if sort.as_bytes().starts_with(b"text/event-stream") {
        return (status, [(CONTENT_TYPE, sort)], Body::from_stream(reply.bytes_stream())).into_response();
    }
    let Ok(body) = reply.bytes().await else { return StatusCode::BAD_GATEWAY.into_response() };
    (status, [(CONTENT_TYPE, sort)], body).into_response()
}

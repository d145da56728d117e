use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{BoxError, Extension, Router};
use futures_util::{FutureExt, TryFutureExt};
use tower::util::MapResponseLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use tower_http::timeout::RequestBodyDeadlineLayer;

use super::ApiError;
use super::log_line::AccessLogLine;
use super::origin_guard::OriginGuard;
use super::oversized::RefuseOversized;
use super::rate_limit::{RATE_LIMIT, RATE_LIMIT_POLICY};
use crate::kernel::{Error, new_id};
use crate::settings::ServerSettings;
use crate::telemetry::RequestContext;

/// Longest id of a request that is taken over from a client.
pub(super) const MAX_REQUEST_ID_CHARS: usize = 128;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What browsers are told with every reply: not to guess types, and not to show it within other pages.
const SECURITY_HEADERS: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"),
];
/// What browsers are told besides over TLS, by a server that others reach: not to go to this host without TLS. It counts for all ports,
/// so not on loopback, where other programs have theirs, and for a day, after which a mistake is forgotten.
const STRICT_TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=86400");
/// The methods that pages may use, and that are told apart in figures.
static METHODS: [Method; 7] =
    [Method::DELETE, Method::GET, Method::HEAD, Method::OPTIONS, Method::PATCH, Method::POST, Method::PUT];
/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// How many bytes a reply has before it's compressed, which stay in memory until all of it is sent. An extension of the reply.
#[derive(Clone, Copy, Debug)]
pub struct ReplySize(pub u64);

/// Wraps all routes in these layers, outermost first, and gives unknown paths and methods our envelope. They are one layer to the
/// router, which allocates a service and a future of each for every request.
pub fn with_layers(router: Router, settings: &Arc<ServerSettings>) -> Router {
    // Longer bodies have longer: the limit is for a client that sends at least 100 kB a second.
    let body_timeout = BODY_TIMEOUT + Duration::from_millis(settings.max_body_bytes as u64 / 100);
    router
        .fallback(async || ApiError::http(StatusCode::NOT_FOUND, "not_found", "Not Found"))
        .method_not_allowed_fallback(async || {
            ApiError::http(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method Not Allowed")
        })
        .layer((
            from_fn_with_state(OriginGuard(Arc::clone(settings)), enter),
            // Its default predicate leaves event streams alone.
            CompressionLayer::new(),
            MapResponseLayer::new(record_reply_size),
            cors(&settings.cors_origins),
            RefuseOversized(settings.max_body_bytes as u64),
            RequestBodyDeadlineLayer::new(body_timeout),
            Extension(Arc::clone(settings)),
            MapResponseLayer::new(with_plain_body),
            // Innermost, so that a page of another origin may read the reply.
            CatchPanicLayer::custom(panic_response),
        ))
}

fn with_plain_body<B>(response: axum::http::Response<B>) -> Response
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    response.map(Body::new)
}

fn record_reply_size(mut response: Response) -> Response {
    if let Some(size) = response.body().size_hint().exact() {
        response.extensions_mut().insert(ReplySize(size));
    }
    response
}

/// Takes an OPTIONS request that is no preflight past the CORS layer, as TRACE, to the 405 that the original gave it.
fn pass_plain_options(request: &mut Request) {
    let is_preflight = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && !is_preflight {
        *request.method_mut() = Method::TRACE;
    }
}

/// Cuts a trailing slash. `/docs/` keeps its own: the explorer's files are relative to it.
pub fn normalize_path<B>(mut request: axum::http::Request<B>) -> axum::http::Request<B> {
    let path = request.uri().path();
    let trimmed = path.trim_end_matches('/');
    if path != "/" && trimmed.len() < path.len() && trimmed != "/docs" {
        let trimmed = if trimmed.is_empty() { "/" } else { trimmed };
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = format!("{trimmed}{query}").parse().ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

fn cors(origins: &[String]) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods(METHODS.clone())
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([REQUEST_ID, header::ETAG, header::RETRY_AFTER, RATE_LIMIT_POLICY, RATE_LIMIT])
        .max_age(Duration::from_secs(600));
    if origins.iter().any(|origin| origin == "*") {
        // Credentials and "any origin" exclude each other.
        return layer.allow_origin(AllowOrigin::any());
    }
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    layer.allow_origin(AllowOrigin::list(origins)).allow_credentials(true)
}

fn panic_response(_: Box<dyn Any + Send + 'static>) -> Response {
    ApiError::from(Error::internal("a handler or a layer panicked", "the log says where")).into_response()
}

/// Takes over or makes the request id, writes one log line per request, answers for layers that panic, and lets nothing in that the
/// guard refuses.
async fn enter(State(guard): State<OriginGuard>, http: Request, next: Next) -> Response {
    let id = client_request_id(&http).unwrap_or_else(new_id);
    let route = http.extensions().get::<MatchedPath>().map_or("(none)", MatchedPath::as_str);
    // Clients may make up more, which are not worth telling apart.
    let method = METHODS.iter().find(|method| *method == http.method()).map_or("OTHER", Method::as_str);
    let request = RequestContext::new(id, method, route);
    let line = AccessLogLine::begin(method, request.clone());
    let is_strict = guard.0.tls.is_some() && !guard.0.is_local();
    let answering = AssertUnwindSafe(admitted(&guard, http, next)).catch_unwind().unwrap_or_else(panic_response);
    let mut response = request.clone().scope(answering).await;
    if let Ok(value) = HeaderValue::from_str(&request.data.id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    merge_vary(response.headers_mut());
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_strict {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
    }
    line.answered(response)
}

async fn admitted(guard: &OriginGuard, mut http: Request, next: Next) -> Response {
    if let Some(refusal) = guard.refusal(&http) {
        return refusal.into_response();
    }
    pass_plain_options(&mut http);
    next.run(http).await
}

/// Puts what a reply varies by into one line, since some caches read only one, and the origin among it: pages of other origins may get
/// another reply to the same request, a refusal even.
fn merge_vary(headers: &mut HeaderMap) {
    let mut names = vec![header::ORIGIN.as_str().to_owned()];
    let given = headers.get_all(header::VARY).iter().filter_map(|line| line.to_str().ok());
    for name in given.flat_map(|line| line.split(',')).map(|name| name.trim().to_ascii_lowercase()) {
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    if let Ok(line) = HeaderValue::from_str(&names.join(", ")) {
        headers.insert(header::VARY, line);
    }
}

/// The client's own id, if it is short and plain enough to be logged.
fn client_request_id(request: &Request) -> Option<String> {
    let id = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let plain = !id.is_empty()
        && id.len() <= MAX_REQUEST_ID_CHARS
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
    plain.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;
    use crate::settings::{Environment, load};
    use crate::telemetry;

    async fn assert_answered(router: Router) -> Response {
        let request = Request::get("/").header(header::HOST, "localhost").header(REQUEST_ID, "r-1");
        let request = request.header(header::ORIGIN, "http://localhost:3000").body(Body::empty()).unwrap();
        let mut response = router.oneshot(request).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()[REQUEST_ID]),
            (500, &HeaderValue::from_static("r-1"))
        );
        let body = to_bytes(std::mem::take(response.body_mut()), 10_000).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["code"], &body["request_id"]), (&json!("internal_error"), &json!("r-1")));
        response
    }

    #[tokio::test]
    async fn a_panic_of_a_handler_or_of_a_layer_is_answered() {
        telemetry::init_for_tests();
        let settings = load(Environment::from_pairs([] as [(&str, &str); 0])).unwrap().settings;
        let handler = Router::new().route("/", get(async || -> &str { panic!("a bug") }));
        let response = assert_answered(with_layers(handler, &settings.server)).await;
        assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:3000");

        let bug = from_fn(async |_: Request, _: Next| -> Response { panic!("a bug") });
        let layer = Router::new().route("/", get(async || "")).layer(bug);
        assert_answered(layer.layer(from_fn_with_state(OriginGuard(settings.server), enter))).await;
    }

    #[test]
    fn only_a_trailing_slash_is_cut() {
        let cases = [
            ("/", "/"),
            ("/a/", "/a"),
            ("/a//?x=/", "/a?x=/"),
            ("//", "/"),
            ("/docs/", "/docs/"),
            ("/docs", "/docs"),
            ("/a/b", "/a/b"),
        ];
        for (given, expected) in cases {
            let request = normalize_path(axum::http::Request::builder().uri(given).body(()).unwrap());
            assert_eq!(request.uri().to_string(), expected, "{given}");
        }
    }
}

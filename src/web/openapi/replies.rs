//! What every operation may answer besides what its route says, and the headers that replies have.

use utoipa::openapi::path::Operation;
use utoipa::openapi::{Components, Content, Header, HeaderBuilder, OpenApi, Ref, RefOr, ResponseBuilder, Schema};

use super::schema::{bounded_pattern, pattern};
use crate::web::layers::MAX_REQUEST_ID_CHARS;

/// Refusals by what is around all routes: the name of each, its status, and what it means.
const COMMON_ERRORS: [(&str, &str, &str); 9] = [
    ("Unreadable", "400", "The request names no host, or several, or one that can't be read."),
    (
        "Refused",
        "403",
        "The caller lacks a scope, or a page of an origin asks that is neither the server's own nor in `CORS_ORIGINS`.",
    ),
    ("Unauthenticated", "401", "Nobody who is known makes the request, where `AUTH_ENABLED` is true."),
    (
        "LimitReached",
        "429",
        "The caller has used up what it may use, where `AUTH_ENABLED` is true and a `LIMIT_...` is set.",
    ),
    ("TooLarge", "413", "The body that is announced is larger than `MAX_BODY_BYTES`."),
    ("Misdirected", "421", "The server does not go by the name that the request has for it; see `ALLOWED_HOSTS`."),
    ("Unverifiable", "502", "The identity provider, where `AUTH_JWKS_URL` names one, does not give its keys."),
    ("Full", "503", "All connections that the server may have are in use; see `MAX_CONNECTIONS`."),
    ("Internal", "500", "The server failed; the cause is in its log."),
];

/// The headers of a limit that was reached.
const LIMIT_HEADERS: [(&str, &str); 3] = [
    ("Retry-After", "Seconds until it makes sense to come back"),
    ("RateLimit-Policy", "The limit: its name, how much there is (q), and the seconds that it is for (w)"),
    ("RateLimit", "How much of the limit is left (r), and the seconds until there is more (t)"),
];

/// Completes the document that the routes make.
pub fn complete(mut document: OpenApi) -> OpenApi {
    for item in document.paths.paths.values_mut() {
        let showing = [&mut item.get, &mut item.post, &mut item.put];
        showing.into_iter().flatten().for_each(|operation| complete_operation(operation, true));
        item.delete.iter_mut().for_each(|operation| complete_operation(operation, false));
    }
    declare(document.components.get_or_insert_default());
    document
}

/// `shows` tells whether it answers with what it is about, which may have a version.
fn complete_operation(operation: &mut Operation, shows: bool) {
    let replies = &mut operation.responses.responses;
    let has_versions = shows && (replies.contains_key("304") || replies.contains_key("412"));
    for (status, reply) in replies.iter_mut() {
        let RefOr::T(reply) = reply else { continue };
        reply.headers.insert("X-Request-Id".to_owned(), named("headers", "RequestId"));
        if matches!(status.as_str(), "201" | "304") || (status == "200" && has_versions) {
            reply.headers.insert("ETag".to_owned(), named("headers", "Version"));
        }
    }
    let is_public = operation.security.is_none();
    let needs_caller = |status: &str| matches!(status, "401" | "429" | "502");
    for (name, status, _) in COMMON_ERRORS.into_iter().filter(|(_, status, _)| !needs_caller(status) || !is_public) {
        replies.entry(status.to_owned()).or_insert_with(|| named("responses", name));
    }
}

fn declare(components: &mut Components) {
    let id = bounded_pattern("^[A-Za-z0-9_.:-]+$", &(1..=MAX_REQUEST_ID_CHARS));
    let headers = [
        ("RequestId", header("The id under which the log knows this request", id)),
        ("Version", header("Version of what is shown", pattern("^\"[0-9a-f]+\"$"))),
    ];
    let of_limits = LIMIT_HEADERS.map(|(name, purpose)| (name, header(purpose, pattern("^.+$"))));
    components.headers.extend(of_limits.map(|(name, header)| (name.to_owned(), header)));
    components.headers.extend(headers.map(|(name, header)| (name.to_owned(), header)));
    components.responses.extend(COMMON_ERRORS.map(|(name, _, meaning)| {
        let body = Content::new(Some(Ref::from_schema_name("ErrorBody")));
        let mut reply = ResponseBuilder::new().description(meaning).content("application/json", body).build();
        reply.headers.insert("X-Request-Id".to_owned(), named("headers", "RequestId"));
        if name == "LimitReached" {
            reply.headers.extend(LIMIT_HEADERS.map(|(name, _)| (name.to_owned(), named("headers", name))));
        }
        (name.to_owned(), RefOr::T(reply))
    }));
}

fn named<T>(kind: &str, name: &str) -> RefOr<T> {
    RefOr::Ref(Ref::new(format!("#/components/{kind}/{name}")))
}

fn header(purpose: &str, schema: Schema) -> RefOr<Header> {
    RefOr::T(HeaderBuilder::new().schema(Some(schema)).description(Some(purpose)).build())
}

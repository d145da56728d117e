use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{IntoResponses, ToSchema};

use super::rate_limit::rate_limit_headers;
use crate::kernel::{Error, ErrorKind, FieldIssue, LimitStatus, UpstreamCause, whole_seconds};
use crate::telemetry::request_id;

/// The code of a refusal of credentials, as RFC 6750 has it.
const INVALID_TOKEN: &str = "invalid_token";
/// How to say who makes a request.
const CHALLENGE: &str = "Bearer realm=\"orchestrator-studio\"";
const INVALID_CHALLENGE: &str = "Bearer realm=\"orchestrator-studio\", error=\"invalid_token\"";

/// An error on its way to the client: the one place that maps errors to statuses and bodies.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    /// What is wrong, in words; none where the list of wrong fields says it.
    detail: Option<String>,
    /// The wrong fields of a 422.
    issues: Vec<FieldIssue>,
    /// When it makes sense to try again.
    retry_after: Option<Duration>,
    /// The limit that was reached.
    limit: Option<Arc<LimitStatus>>,
}

impl ApiError {
    /// An error that only HTTP knows of.
    pub(super) fn http(status: StatusCode, code: &'static str, detail: &str) -> Self {
        Self { status, code, detail: Some(detail.to_owned()), issues: Vec::new(), retry_after: None, limit: None }
    }

    /// Nobody who is known makes the request.
    pub fn unauthenticated(detail: &str) -> Self {
        Self::http(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// What came with the request to say who makes it is not valid.
    pub fn invalid_credential(detail: &str) -> Self {
        Self::http(StatusCode::UNAUTHORIZED, INVALID_TOKEN, detail)
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What kind of error it is, for a program.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Headers that belong to it.
    pub fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
        let retry_after = self.retry_after.map(|wait| (header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait))));
        let limit = self.limit.iter().flat_map(|limit| rate_limit_headers(limit)).collect::<Vec<_>>();
        let challenge = if self.code == INVALID_TOKEN { INVALID_CHALLENGE } else { CHALLENGE };
        let challenge = (header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        retry_after.into_iter().chain(limit).chain((self.status == StatusCode::UNAUTHORIZED).then_some(challenge))
    }

    /// The members of the body: `detail`, for a 422 `errors`, `code`, `request_id`.
    pub fn body(&self) -> Value {
        let (code, request_id, errors) = (self.code, request_id(), json!(self.issues));
        let detail = self.detail.as_deref().map_or_else(|| errors.clone(), Value::from);
        if self.issues.is_empty() {
            return json!({"detail": detail, "code": code, "request_id": request_id});
        }
        json!({"detail": detail, "errors": errors, "code": code, "request_id": request_id})
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let (status, code) = match error.kind() {
            ErrorKind::BadRequest => (StatusCode::BAD_REQUEST, "bad_request"),
            ErrorKind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "validation_error"),
            ErrorKind::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            ErrorKind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            ErrorKind::Conflict => (StatusCode::CONFLICT, "conflict"),
            ErrorKind::Stale => (StatusCode::PRECONDITION_FAILED, "precondition_failed"),
            ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            ErrorKind::LimitReached => (StatusCode::TOO_MANY_REQUESTS, "limit_reached"),
            ErrorKind::NotConfigured => (StatusCode::SERVICE_UNAVAILABLE, "not_configured"),
            ErrorKind::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            ErrorKind::Upstream => (StatusCode::BAD_GATEWAY, "upstream_error"),
            ErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(%error, "request failed");
        }
        let issues = error.issues().to_vec();
        // Clients of the original know a list of issues from it, and show anything else as it is.
        let is_list = issues.iter().any(|issue| issue.raised_by_original);
        let detail = (!is_list).then(|| error.public_detail().to_owned());
        let limit = error.limit().cloned();
        let (code, retry_after) = match error.upstream_cause() {
            None => (code, error.wait()),
            Some(UpstreamCause::ContextLength) => ("context_length_exceeded", None),
            Some(UpstreamCause::ModelNotFound) => ("model_not_found", None),
            Some(UpstreamCause::RateLimited(wait)) => ("rate_limited", wait),
            Some(UpstreamCause::Unauthorized) => ("unauthorized", None),
        };
        Self { status, code, detail, issues, retry_after, limit }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body().to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().extend(self.headers());
        response
    }
}

/// The body of every error but 422.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "detail": "Not Found", "code": "not_found", "request_id": "0b7c3f0a-6c0e-4d5e-9d5e-2f9f6f0f5a11"
}))]
pub struct ErrorBody {
    /// What is wrong, for a person.
    pub detail: String,
    /// What kind of error it is, for a program.
    pub code: String,
    /// The id under which the log knows this request.
    pub request_id: Option<String>,
}

/// The body of a 422: every wrong field.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "detail": "timeout_seconds should be at least 1",
    "errors": [{
        "type": "greater_than_equal",
        "loc": ["body", "timeout_seconds"],
        "msg": "Input should be greater than or equal to 1",
        "input": -5
    }],
    "code": "validation_error",
    "request_id": "0b7c3f0a-6c0e-4d5e-9d5e-2f9f6f0f5a11"
}))]
pub struct ValidationErrorBody {
    /// What is wrong, for a person, in at most 200 characters; the same list as `errors` if a field is missing or of the wrong type, or
    /// the body is not JSON.
    pub detail: ValidationDetail,
    /// One entry per wrong field, for a program.
    pub errors: Vec<ValidationIssue>,
    /// Always `validation_error`.
    pub code: String,
    /// The id under which the log knows this request.
    pub request_id: Option<String>,
}

/// `detail` of a 422.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes a member for the OpenAPI document")]
pub enum ValidationDetail {
    /// A text.
    Text(String),
    /// The list that the original's clients know.
    Issues(Vec<ValidationIssue>),
}

/// One wrong field.
#[derive(Serialize, ToSchema)]
pub struct ValidationIssue {
    /// Kind of problem: `missing`, `string_type`, `int_parsing`, ...
    pub r#type: String,
    /// Path to the field: `["body", "prompt"]`.
    pub loc: Vec<Value>,
    /// What was expected.
    pub msg: String,
    /// What was given.
    pub input: Value,
    /// The parser's words, for malformed JSON.
    #[schema(nullable = false)]
    pub ctx: Option<Value>,
}

/// Errors of an operation without a body.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes responses for the OpenAPI document")]
pub enum ReadErrors {
    /// A path or query parameter is wrong.
    #[response(status = 422)]
    Invalid(#[to_schema] ValidationErrorBody),
    /// The server failed; the cause is in its log.
    #[response(status = 500)]
    Internal(#[to_schema] ErrorBody),
}

/// Errors of an operation with a JSON body.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes responses for the OpenAPI document")]
pub enum BodyErrors {
    /// The body is nested too deeply to be read, or the host that the request names can't be read.
    #[response(status = 400)]
    BadRequest(#[to_schema] ErrorBody),
    /// The body is larger than `MAX_BODY_BYTES`, or has more values than `MAX_BODY_VALUES`.
    #[response(status = 413)]
    TooLarge(#[to_schema] ErrorBody),
    /// The body is not declared as JSON, or in another charset than UTF-8, or encoded.
    #[response(status = 415)]
    MediaType(#[to_schema] ErrorBody),
    /// The body is not JSON, or a field is wrong.
    #[response(status = 422)]
    Invalid(#[to_schema] ValidationErrorBody),
    /// The server failed; the cause is in its log, or in `detail` when nothing could be stored.
    #[response(status = 500)]
    Internal(#[to_schema] ErrorBody),
}

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::agents::service::{CallOutcome, DEFAULT_ENDPOINT};
use crate::agents::{AgentAnswer, AgentCall, AgentError, AgentFailure, AgentService, Payload};
use crate::kernel::{Caller, Fields};
use crate::settings::bounds::CALL_SECONDS;
use crate::storage::ConfigService;
use crate::web::openapi::schema::{Members, query, query_integer, strict_integer, text, word};
use crate::web::openapi::texts;
use crate::web::{ApiError, BodyErrors, ErrorBody, FromFields, JsonReply, OptionalBody, PathName, QueryParams};

const METHODS: [&str; 5] = ["POST", "GET", "PUT", "PATCH", "DELETE"];

/// How an agent is called.
pub(super) struct CallQuery(AgentCall);

impl FromFields for CallQuery {
    fn read(fields: &mut Fields<'_>) -> Self {
        let endpoint = fields.or("endpoint", DEFAULT_ENDPOINT.to_owned());
        let method = fields.or("method", "POST".to_owned()).to_ascii_uppercase();
        if !METHODS.contains(&method.as_str()) {
            fields.reject("method", "Input should be 'POST', 'GET', 'PUT', 'PATCH' or 'DELETE'");
        }
        let timeout_seconds = fields.beyond_original(|fields| fields.int_optional("timeout_seconds", CALL_SECONDS));
        Self(AgentCall { endpoint, method, timeout_seconds, body: None })
    }
}

impl IntoParams for CallQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            query("endpoint", "Path below the agent's URL; /execute by default", texts::endpoint()),
            query("method", "POST by default", word(&METHODS)),
            query("timeout_seconds", "Limit of this call; at most the agent's own", query_integer(&CALL_SECONDS)),
        ]
    }
}

/// What came of a call.
#[derive(Default, Serialize, ToSchema)]
#[schema(example = json!({
    "success": true, "data": {"answer": "Two invoices are open."}, "agent": "billing", "status_code": 200,
    "content_type": "application/json"
}))]
pub(super) struct AgentCallResponse {
    success: bool,
    /// The agent's JSON; a text where it answered with something else; Base64 where that is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    agent: String,
    /// The agent's status; 408 for a timeout, 500 for no connection, 400 for a call that could not be made.
    status_code: u16,
    /// What kind of answer the agent gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// `base64` if `data` is in Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
}

/// One event of an agent.
struct AgentEvent;

impl PartialSchema for AgentEvent {
    fn schema() -> RefOr<Schema> {
        let event = Members::new()
            .optional("event", "", text())
            .optional("data", "", text())
            .optional("id", "", text())
            .optional("retry", "", strict_integer(&(0..=i64::MAX)));
        RefOr::T(event.object("One event of an agent, as it sent it; `error` if the stream broke off."))
    }
}

impl ToSchema for AgentEvent {}

/// Call an agent
///
/// Sends the body, a JSON object, to an endpoint below the agent's URL. Answers 200 even if the agent fails: `success`,
/// `error` and `status_code` tell. If the agent answers with server-sent events, they are passed through as they come.
#[utoipa::path(post, path = "/api/agents/{name}/call", tag = "agents", operation_id = "call_agent",
    request_body(content = Object, description = "Sent to the agent; not needed for GET and DELETE",
        example = json!({"prompt": "Which invoices are open?"})),
    params(PathName, CallQuery),
    responses((status = 200, description = "What came of it, or the agent's events", content(
            (AgentCallResponse = "application/json"), (AgentEvent = "text/event-stream"))),
        (status = 404, description = "No such agent", body = ErrorBody), BodyErrors))]
pub(super) async fn call(
    State(agents): State<AgentService>,
    caller: Caller,
    PathName(name): PathName,
    QueryParams(CallQuery(call)): QueryParams<CallQuery>,
    body: OptionalBody,
) -> Result<Response, ApiError> {
    let body = body_for(&call.method, body)?;
    let settings = agents.snapshot_for(&caller);
    let entry = settings.agents.require(name.as_str())?;
    let reply = match agents.call(&settings, entry, &AgentCall { body, ..call }).await {
        Ok(CallOutcome::Stream(lines)) => return Ok(pass_through(lines)),
        Ok(CallOutcome::Answer(answer)) => answered(name.to_string(), answer),
        Err(AgentError::Failed(AgentFailure { status, error, .. })) => {
            let (agent, error) = (name.to_string(), Some(error));
            AgentCallResponse { agent, error, status_code: status, ..AgentCallResponse::default() }
        }
        Err(AgentError::InvalidCall(error)) => return Err(error.into()),
    };
    Ok(JsonReply::ok(reply).into_response())
}

/// The body to send; methods that usually have none do without.
fn body_for(method: &str, body: OptionalBody) -> Result<Option<Map<String, Value>>, ApiError> {
    if matches!(method, "GET" | "DELETE") && body.0.is_none() {
        return Ok(None);
    }
    body.into_object().map(Some)
}

fn answered(agent: String, answer: AgentAnswer) -> AgentCallResponse {
    let (data, encoding) = match answer.payload {
        Payload::Json(json) => (json, None),
        Payload::Text(text) => (Value::String(text), None),
        Payload::Binary(bytes) => (Value::String(BASE64.encode(&bytes)), Some("base64")),
    };
    AgentCallResponse {
        success: true,
        data: Some(data),
        agent,
        status_code: answer.status,
        content_type: Some(answer.content_type).filter(|kind| !kind.is_empty()),
        encoding,
        ..AgentCallResponse::default()
    }
}

/// The agent's events; one that breaks off ends in an `error` event.
fn pass_through(lines: impl futures_util::Stream<Item = Result<String, AgentFailure>> + Send + 'static) -> Response {
    let lines = lines.map(|line| {
        line.or_else(|failure| {
            let data = json!({"detail": failure.error, "status_code": failure.status});
            Ok::<_, std::convert::Infallible>(format!("event: error\ndata: {data}\n\n"))
        })
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(lines)).into_response()
}

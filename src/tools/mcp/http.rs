use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::{HeaderName, HeaderValue};
use rmcp::ErrorData;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, JsonRpcMessage, RequestId, ServerJsonRpcMessage};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::ExponentialBackoff;
use rmcp::transport::streamable_http_client::{
    HttpStatusError, SseError, StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
    StreamableHttpPostResponse,
};
use sse_stream::Sse;

use super::error::{McpError, TransportFault};
use super::repair::{read_message, repaired_text};
use crate::kernel::{Deadline, JsonError, Secret, SecretUrl, media_type};
use crate::outbound::{Body, Call, CallError, HttpClient, Reply, SseEvent, SseLimits, sse_events};

/// Bytes that a JSON reply, and one event of a stream, may have.
const MAX_MESSAGE_BYTES: usize = 4_000_000;
/// Longest call. The callers above have shorter limits and give up by dropping it.
const CALL_TIMEOUT: Duration = Duration::from_secs(3600);
/// Longest farewell to a session.
const DELETE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a broken event stream is opened again in a row.
const MAX_RECONNECTIONS: usize = 3;
/// The code with which servers of the TypeScript SDK answer, with HTTP 400, to a session that they don't know (any more).
const UNKNOWN_SESSION: i32 = -32000;

type HttpError = StreamableHttpError<CallError>;

/// Carries the SDK's messages over our HTTP client. URL and credentials stay here: the SDK sees neither.
#[derive(Clone)]
pub(super) struct McpHttp {
    http: HttpClient,
    /// A GET of the server, with the credentials.
    call: Call,
    /// How long the answer to a [`probe_id`] is waited for.
    probe: Duration,
    fault: TransportFault,
}

impl McpHttp {
    pub(super) fn new(
        http: HttpClient,
        url: &SecretUrl,
        auth_token: Option<&Secret>,
        headers: &[(String, Secret)],
        probe: Duration,
        fault: TransportFault,
    ) -> Self {
        let mut call = Call::get(url.expose()).bearer(auth_token);
        call.headers.extend(headers.iter().cloned());
        Self { http, call, probe, fault }
    }

    /// The SDK's transport on top of this.
    pub(super) fn transport(self) -> StreamableHttpClientTransport<Self> {
        let mut config = StreamableHttpClientTransportConfig::with_uri("mcp");
        let mut retries = ExponentialBackoff::default();
        retries.max_times = Some(MAX_RECONNECTIONS);
        config.retry_config = Arc::new(retries);
        StreamableHttpClientTransport::with_client(self, config)
    }

    async fn send(
        &self,
        mut call: Call,
        session: Option<Arc<str>>,
        headers: &HashMap<HeaderName, HeaderValue>,
        limit: Duration,
    ) -> Result<Reply, HttpError> {
        let text = |value: &HeaderValue| Secret::new(String::from_utf8_lossy(value.as_bytes()).as_ref());
        call.headers.extend(headers.iter().map(|(name, value)| (name.to_string(), text(value))));
        call.headers.extend(session.map(|session| ("Mcp-Session-Id".to_owned(), Secret::new(&*session))));
        self.http.send_following(&call, Deadline::after(limit)).await.map_err(StreamableHttpError::Client)
    }

    /// What a reply with a status other than success means.
    async fn error_response(
        &self,
        message: &ClientJsonRpcMessage,
        in_session: bool,
        reply: Reply,
    ) -> Result<StreamableHttpPostResponse, HttpError> {
        let status = reply.status();
        let failed = Err(HttpStatusError::new(status, None).into());
        if status == 404 && in_session {
            return Err(StreamableHttpError::SessionExpired);
        }
        if matches!(status, 401 | 403) {
            return failed;
        }
        let error = match reply.header("content-type").map(media_type).as_deref() {
            Some("application/json") => match self.message(reply).await {
                Ok(JsonRpcMessage::Error(error)) => Some(error.error),
                Ok(_) | Err(StreamableHttpError::Deserialize(_)) => None,
                Err(error) => return Err(error),
            },
            _ => None,
        };
        if in_session && status == 400 && error.as_ref().is_some_and(|error| error.code.0 == UNKNOWN_SESSION) {
            return Err(StreamableHttpError::SessionExpired);
        }
        let Some((id, _)) = request(message) else { return failed };
        // A server of before 2026-07-28 refuses the first message in whatever way it likes; the SDK then begins anew.
        let is_probe = probe_id(message).is_some() && (400..500).contains(&status);
        let error = error.or_else(|| is_probe.then(|| ErrorData::invalid_request(format!("HTTP {status}"), None)));
        // Errors often lack the id of what they answer.
        let answer =
            |error| StreamableHttpPostResponse::Json(ServerJsonRpcMessage::error(error, Some(id.clone())), None);
        error.map(answer).map_or(failed, Ok)
    }

    /// The message that a reply consists of.
    async fn message(&self, reply: Reply) -> Result<ServerJsonRpcMessage, HttpError> {
        let body =
            reply.bytes(MAX_MESSAGE_BYTES, Deadline::after(CALL_TIMEOUT)).await.map_err(StreamableHttpError::Client)?;
        let message = read_message(&body, self.http.reader()).map_err(|error| match error {
            JsonError::TooManyValues(most) => StreamableHttpError::Client(CallError::TooManyValues(most)),
            JsonError::Invalid(error) => error.into(),
        })?;
        Ok(serde_json::from_value(message)?)
    }
}

impl StreamableHttpClient for McpHttp {
    type Error = CallError;

    async fn post_message(
        &self,
        _uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, HttpError> {
        let body = Body { content_type: "application/json".to_owned(), bytes: serde_json::to_vec(&message)?.into() };
        let call = Call { body: Some(body), ..self.call.clone().method("POST") };
        let call = call.accept("application/json, text/event-stream");
        let in_session = session_id.is_some();
        let limit = if probe_id(&message).is_some() { self.probe } else { CALL_TIMEOUT };
        let reply = match (self.send(call, session_id, &custom_headers, limit).await, probe_id(&message)) {
            (Err(StreamableHttpError::Client(CallError::Timeout)), Some(id)) => {
                let error = ErrorData::invalid_request("no answer in time", None);
                return Ok(StreamableHttpPostResponse::Json(
                    ServerJsonRpcMessage::error(error, Some(id.clone())),
                    None,
                ));
            }
            (reply, _) => reply?,
        };
        let status = reply.status();
        if !(200..300).contains(&status) {
            return self.error_response(&message, in_session, reply).await;
        }
        let content_type = reply.header("content-type").map(media_type);
        let session = reply.header("mcp-session-id").map(str::to_owned);
        match (request(&message), content_type.as_deref()) {
            // Whatever a notification is answered with.
            (None, _) => Ok(StreamableHttpPostResponse::Accepted),
            _ if matches!(status, 202 | 204) => Ok(StreamableHttpPostResponse::Accepted),
            (_, Some("text/event-stream")) => {
                Ok(StreamableHttpPostResponse::Sse(events(reply, self.fault.clone()), session))
            }
            (_, Some("application/json")) => Ok(StreamableHttpPostResponse::Json(self.message(reply).await?, session)),
            _ => Err(StreamableHttpError::UnexpectedContentType(content_type)),
        }
    }

    async fn delete_session(
        &self,
        _uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), HttpError> {
        // A server need not support it, and there is nothing to do about one that fails.
        let call = self.call.clone().method("DELETE");
        if let Err(error) = self.send(call, Some(session_id), &custom_headers, DELETE_TIMEOUT).await {
            tracing::debug!(untrusted = %error, "a session of an MCP server could not be ended");
        }
        Ok(())
    }

    async fn get_stream(
        &self,
        _uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, HttpError> {
        let mut call = self.call.clone().accept("text/event-stream");
        call.headers.extend(last_event_id.map(|id| ("Last-Event-ID".to_owned(), Secret::new(id))));
        let reply = self.send(call, session_id, &custom_headers, CALL_TIMEOUT).await?;
        match (reply.status(), reply.header("content-type").map(media_type)) {
            (200, Some(kind)) if kind == "text/event-stream" => {
                // Its breaking is no trouble: nobody waits for what comes over it.
                Ok(events(reply, TransportFault::default()))
            }
            // It has no such stream, which it may say in several ways. A session that is gone shows at the next call.
            _ => Err(StreamableHttpError::ServerDoesNotSupportSse),
        }
    }
}

fn request(message: &ClientJsonRpcMessage) -> Option<(&RequestId, &ClientRequest)> {
    match message {
        ClientJsonRpcMessage::Request(request) => Some((&request.id, &request.request)),
        _ => None,
    }
}

/// The id of a question that servers of before 2026-07-28 don't know, and some never answer.
fn probe_id(message: &ClientJsonRpcMessage) -> Option<&RequestId> {
    let (id, request) = request(message)?;
    matches!(request, ClientRequest::DiscoverRequest(_)).then_some(id)
}

/// The events of a reply, their messages repaired. What breaks the stream is noted: the SDK would only tell that the connection is closed.
fn events(reply: Reply, fault: TransportFault) -> BoxStream<'static, Result<Sse, SseError>> {
    let reader = reply.reader();
    let limits = SseLimits {
        line: MAX_MESSAGE_BYTES,
        event: MAX_MESSAGE_BYTES,
        reader: Some(reader),
        // The SDK would take the id of half an event for one that it has, and never ask for the event again.
        keeps_unfinished: false,
    };
    let to_sdk = move |event: Result<SseEvent, CallError>| match event {
        Ok(SseEvent { event, data, id, retry }) => {
            let data = data.map(|data| repaired_text(data.as_bytes(), reader).unwrap_or(data));
            Ok(Sse { event, data, id, retry })
        }
        Err(error) => {
            fault.note(McpError::Call(error.clone()));
            Err(SseError::Body(Box::new(error)))
        }
    };
    sse_events(reply.stream(), limits).map(to_sdk).boxed()
}

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use http::{HeaderName, HeaderValue};
use rmcp::ErrorData;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, JsonRpcMessage, RequestId, ServerJsonRpcMessage};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::ExponentialBackoff;
use rmcp::transport::streamable_http_client::{
    HttpStatusError, SseError, StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
    StreamableHttpPostResponse,
};
use sse_stream::{Sse, SseStream};

use super::error::{McpError, TransportFault};
use crate::kernel::{Deadline, JsonError, JsonReader, Secret, SecretUrl, ValueCounter};
use crate::outbound::{Body, Call, CallError, HttpClient, Reply};

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
    url: SecretUrl,
    auth_token: Option<Secret>,
    headers: Arc<[(String, Secret)]>,
    fault: TransportFault,
}

impl McpHttp {
    pub(super) fn new(
        http: HttpClient,
        url: &SecretUrl,
        auth_token: Option<&Secret>,
        headers: &[(String, Secret)],
        fault: TransportFault,
    ) -> Self {
        Self { http, url: url.clone(), auth_token: auth_token.cloned(), headers: headers.into(), fault }
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
        call: Call,
        session: Option<Arc<str>>,
        headers: &HashMap<HeaderName, HeaderValue>,
        limit: Duration,
    ) -> Result<Reply, HttpError> {
        let mut call = call.bearer(self.auth_token.as_ref());
        call.headers.extend(self.headers.iter().cloned());
        let text = |value: &HeaderValue| Secret::new(String::from_utf8_lossy(value.as_bytes()).as_ref());
        call.headers.extend(headers.iter().map(|(name, value)| (name.to_string(), text(value))));
        call.headers.extend(session.map(|session| ("Mcp-Session-Id".to_owned(), Secret::new(&*session))));
        self.http.send(&call, Deadline::after(limit)).await.map_err(StreamableHttpError::Client)
    }

    async fn post(
        &self,
        message: &ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        headers: &HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, HttpError> {
        let body = Body { content_type: "application/json".to_owned(), bytes: serde_json::to_vec(message)?.into() };
        let call = Call { body: Some(body), ..Call::get(self.url.expose()).method("POST") };
        let call = call.accept("application/json, text/event-stream");
        let in_session = session.is_some();
        let reply = self.send(call, session, headers, CALL_TIMEOUT).await?;
        let status = reply.status();
        if !(200..300).contains(&status) {
            return self.error_response(message, in_session, reply).await;
        }
        let content_type = media_type(&reply);
        let session = reply.header("mcp-session-id").map(str::to_owned);
        match (request(message), content_type.as_deref()) {
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
        let error = match media_type(&reply).as_deref() {
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
        let Some((id, request)) = request(message) else { return failed };
        // A server of before 2026-07-28 refuses the first message in whatever way it likes; the SDK then begins anew.
        let is_probe = matches!(request, ClientRequest::DiscoverRequest(_)) && (400..500).contains(&status);
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
        self.http.reader().read(&body).map_err(|error| match error {
            JsonError::TooManyValues(most) => StreamableHttpError::Client(CallError::TooManyValues(most)),
            JsonError::Invalid(error) => error.into(),
        })
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
        self.post(&message, session_id, &custom_headers).await
    }

    async fn delete_session(
        &self,
        _uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), HttpError> {
        // A server need not support it, and there is nothing to do about one that fails.
        let call = Call::get(self.url.expose()).method("DELETE");
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
        let mut call = Call::get(self.url.expose()).accept("text/event-stream");
        call.headers.extend(last_event_id.map(|id| ("Last-Event-ID".to_owned(), Secret::new(id))));
        let reply = self.send(call, session_id, &custom_headers, CALL_TIMEOUT).await?;
        match (reply.status(), media_type(&reply)) {
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

/// The media type without its parameters.
fn media_type(reply: &Reply) -> Option<String> {
    let kind = reply.header("content-type")?.split(';').next()?;
    Some(kind.trim().to_ascii_lowercase())
}

fn events(reply: Reply, fault: TransportFault) -> BoxStream<'static, Result<Sse, SseError>> {
    let event = EventSize::new(reply.reader());
    SseStream::from_bytes_stream(limit_events(reply.stream(), event, fault)).boxed()
}

/// The chunks of an event stream, cut off at an event that is too large: its reader would collect it whole.
fn limit_events(
    chunks: impl Stream<Item = Result<Bytes, CallError>> + Send + 'static,
    mut event: EventSize,
    fault: TransportFault,
) -> impl Stream<Item = Result<Bytes, CallError>> + Send + 'static {
    let mut ended = false;
    chunks
        .map(move |chunk| {
            let chunk = chunk?;
            event.grow(&chunk).map(|()| chunk)
        })
        .inspect(move |chunk| {
            if let Err(error) = chunk {
                fault.note(McpError::Call(error.clone()));
            }
        })
        .take_while(move |chunk| {
            let before = !ended;
            ended = ended || chunk.is_err();
            std::future::ready(before)
        })
}

/// Counts the bytes and values of an event; a blank line ends it.
struct EventSize {
    reader: JsonReader,
    values: ValueCounter,
    bytes: usize,
    line: usize,
    after_cr: bool,
}

impl EventSize {
    fn new(reader: JsonReader) -> Self {
        Self { reader, values: ValueCounter::default(), bytes: 0, line: 0, after_cr: false }
    }

    fn grow(&mut self, chunk: &[u8]) -> Result<(), CallError> {
        for byte in chunk {
            let is_second_half_of_an_end = *byte == b'\n' && self.after_cr;
            self.after_cr = *byte == b'\r';
            match byte {
                _ if is_second_half_of_an_end => {}
                b'\r' | b'\n' if self.line == 0 => {
                    self.check_values()?;
                    (self.bytes, self.values) = (0, ValueCounter::default());
                }
                b'\r' | b'\n' => {
                    self.line = 0;
                    self.values.feed(b"\n");
                }
                _ => {
                    self.line += 1;
                    self.bytes += 1;
                    self.values.feed(std::slice::from_ref(byte));
                }
            }
            if self.bytes > MAX_MESSAGE_BYTES {
                return Err(CallError::TooLarge(MAX_MESSAGE_BYTES));
            }
        }
        self.check_values()
    }

    fn check_values(&self) -> Result<(), CallError> {
        self.reader.check(self.values).map_err(|_| CallError::TooManyValues(self.reader.max_values()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_ends_at_a_blank_line_only_whatever_ends_lines() {
        for end in ["\n", "\r", "\r\n"] {
            let line = format!("data: {}{end}", "x".repeat(MAX_MESSAGE_BYTES / 2));
            let mut size = EventSize::new(JsonReader::embedded());
            for _ in 0..3 {
                assert_eq!(size.grow(line.as_bytes()), Ok(()), "{end:?}");
                assert_eq!(size.grow(end.as_bytes()), Ok(()), "{end:?}");
            }
            assert_eq!(size.grow(line.as_bytes()), Ok(()), "{end:?}");
            assert_eq!(size.grow(line.as_bytes()), Err(CallError::TooLarge(MAX_MESSAGE_BYTES)), "{end:?}");
        }
    }

    #[test]
    fn the_values_of_an_event_are_counted_whatever_stands_between_its_lines() {
        let mut size = EventSize::new(JsonReader::new(20));
        for _ in 0..3 {
            assert_eq!(size.grow(b"id: \"\ndata: [[[[[[\r\ndata: [[[[[[\n\n"), Ok(()));
        }
        // Whether it ends within the chunk, beyond it or just there.
        for rest in ["", "\n", "\ndata: []\n\n"] {
            let event = format!("id: \"\ndata: [[[[[[[[[[[[\r\ndata: [[[[[[[[\n{rest}");
            let mut size = EventSize::new(JsonReader::new(20));
            assert_eq!(size.grow(event.as_bytes()), Err(CallError::TooManyValues(20)), "{rest:?}");
        }
    }
}

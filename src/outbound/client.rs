use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::poll_fn;
use futures_util::{Stream, StreamExt};
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{NoProxy, Proxy};
use rustls::ClientConfig;
use serde_json::Value;
use tokio::time::timeout_at;
use tracing::Instrument;
use url::Url;

use super::checked_urls::CheckedUrls;
use super::redirect::{self, MAX_REDIRECTS};
use super::resolve::GuardedResolver;
use super::{AddressGuard, CallError, tls};
use crate::kernel::{Deadline, Error, JsonReader, Redaction, Secret, Stopwatch};
use crate::settings::Environment;

/// Longest time to reach a host, whatever the deadline allows.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections to one upstream that are kept while nobody calls it: as many as calls that go on side by side, which would else open
/// new ones all the time.
const MAX_IDLE_CONNECTIONS: usize = 256;
/// How much of the body of an error is read, and how long it is waited for.
const MAX_ERROR_BYTES: usize = 64_000;
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// One request to an upstream.
#[derive(Clone, Debug)]
pub struct Call {
    /// HTTP method.
    pub method: Method,
    /// Full URL.
    pub url: String,
    /// Sent as `Authorization`, as it is.
    pub authorization: Option<Secret>,
    /// Further headers; none of those that have a field of their own here.
    pub headers: Vec<(String, Secret)>,
    /// What is sent along.
    pub body: Option<Body>,
    /// Sent as `Accept`.
    pub accept: Cow<'static, str>,
    /// Sent as `X-Request-Id`, for upstreams that follow a piece of work by it.
    pub request_id: Option<String>,
}

/// The body of a [`Call`].
#[derive(Clone, Debug)]
pub struct Body {
    /// Its media type.
    pub content_type: String,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Body {
    /// A JSON value.
    pub fn json(value: &Value) -> Self {
        Self {
            content_type: "application/json".to_owned(),
            bytes: serde_json::to_vec(value).unwrap_or_default().into(),
        }
    }
}

impl Call {
    /// A GET that expects JSON.
    pub fn get(url: impl Into<String>) -> Self {
        let (method, url, accept) = (Method::GET, url.into(), Cow::Borrowed("application/json"));
        Self { method, url, authorization: None, headers: Vec::new(), body: None, accept, request_id: None }
    }

    /// A POST of `json` that expects JSON.
    pub fn post(url: impl Into<String>, json: &Value) -> Self {
        Self { method: Method::POST, body: Some(Body::json(json)), ..Self::get(url) }
    }

    /// With this method, by its name in upper case.
    pub fn method(self, name: &str) -> Self {
        Self { method: Method::from_bytes(name.as_bytes()).unwrap_or(Method::POST), ..self }
    }

    /// With this bearer token, unless it is empty.
    pub fn bearer(self, token: Option<&Secret>) -> Self {
        let token = token.filter(|token| !token.expose().is_empty());
        Self { authorization: token.map(|token| Secret::new(format!("Bearer {}", token.expose()))), ..self }
    }

    /// Expecting this content type.
    pub fn accept(self, accept: impl Into<Cow<'static, str>>) -> Self {
        Self { accept: accept.into(), ..self }
    }
}

/// The pooled HTTP client that all modules share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpClient {
    inner: reqwest::Client,
    guard: AddressGuard,
    urls: CheckedUrls,
    reader: JsonReader,
}

impl HttpClient {
    /// Builds the client, whose replies `reader` reads; fails only if TLS or a proxy of `environment` can't be set up.
    pub fn new(environment: &Environment, guard: AddressGuard, reader: JsonReader) -> Result<Self, Error> {
        Self::build(proxies(environment)?, guard, reader, tls::config()?)
    }

    /// A client for a sub-command that calls the server on this machine, at its own address. On loopback any certificate will do: it is
    /// made for the name that others call the server by, and nobody is in between.
    pub fn to_own_server(address: IpAddr) -> Result<Self, Error> {
        let tls = if address.is_loopback() { tls::loopback_config()? } else { tls::config()? };
        Self::build(Vec::new(), AddressGuard::new(false, &[]), JsonReader::embedded(), tls)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that builds a client")]
    fn build(proxies: Vec<Proxy>, guard: AddressGuard, reader: JsonReader, tls: ClientConfig) -> Result<Self, Error> {
        let builder = reqwest::Client::builder().no_proxy();
        let inner = proxies
            .into_iter()
            .fold(builder, reqwest::ClientBuilder::proxy)
            .user_agent(concat!("orchestrator-studio/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(GuardedResolver(guard.clone()))
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(|error| Error::internal("the HTTP client could not be built", error))?;
        Ok(Self { inner, guard, urls: CheckedUrls::default(), reader })
    }

    /// Reads JSON that upstreams send.
    pub fn reader(&self) -> JsonReader {
        self.reader
    }

    /// [`HttpClient::send`], and again where a redirect stays on the call's server, as to the same path with a `/` at its end.
    /// Any other redirect is the reply.
    pub async fn send_following(&self, call: &Call, deadline: Deadline) -> Result<Reply, CallError> {
        let mut call = Cow::Borrowed(call);
        for _ in 0..MAX_REDIRECTS {
            let reply = self.send(&call, deadline).await?;
            let Some(url) = redirected(&call, &reply) else { return Ok(reply) };
            call.to_mut().url = url.into();
        }
        self.send(&call, deadline).await
    }

    /// Sends the call and waits for the head of the reply, whatever its status.
    pub async fn send(&self, call: &Call, deadline: Deadline) -> Result<Reply, CallError> {
        let url = self.urls.read(&call.url, &self.guard)?;
        let span = tracing::debug_span!("upstream", method = %call.method, host = url.host_str());
        let mut request = self.inner.request(call.method.clone(), url).header(ACCEPT, &*call.accept);
        if let Some(authorization) = &call.authorization {
            let mut value = HeaderValue::try_from(authorization.expose())
                .map_err(|_| CallError::Invalid("its token holds characters that no header may hold".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        for (name, value) in &call.headers {
            let (name, value) = header(name, value)?;
            request = request.header(name, value);
        }
        if let Some(id) = &call.request_id {
            request = request.header("x-request-id", id);
        }
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, &body.content_type).body(body.bytes.clone());
        }
        let _wait = Stopwatch::wait();
        match timeout_at(deadline.instant(), request.send().instrument(span)).await {
            Ok(Ok(inner)) => Ok(Reply { inner, reader: self.reader }),
            Ok(Err(error)) => Err(CallError::from_reqwest(&error)),
            Err(_) => Err(CallError::Timeout),
        }
    }
}

fn redirected(call: &Call, reply: &Reply) -> Option<Url> {
    redirect::next_url(&Url::parse(&call.url).ok()?, &call.method, reply.status(), reply.header("location")?)
}

fn header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue), CallError> {
    let invalid = |what: &str| CallError::Invalid(format!("{what} is not one that HTTP allows"));
    let name = HeaderName::try_from(name).map_err(|_| invalid(&format!("the header name {name:?}")))?;
    let mut value =
        HeaderValue::try_from(value.expose()).map_err(|_| invalid(&format!("the value of the header '{name}'")))?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// The proxies of the usual variables. Unlike reqwest's own reading of them, loopback is always reached directly.
fn proxies(environment: &Environment) -> Result<Vec<Proxy>, Error> {
    let except = environment.get("NO_PROXY").unwrap_or_default();
    let except = NoProxy::from_string(&format!("localhost,127.0.0.0/8,::1,{except}"));
    type MakeProxy = fn(&str) -> reqwest::Result<Proxy>;
    let variables: [(&str, MakeProxy); 3] = [
        ("HTTPS_PROXY", |url| Proxy::https(url)),
        ("HTTP_PROXY", |url| Proxy::http(url)),
        ("ALL_PROXY", |url| Proxy::all(url)),
    ];
    let given = variables.into_iter().filter_map(|(name, proxy)| Some((name, proxy(environment.get(name)?))));
    given
        .map(|(name, proxy)| match proxy {
            Ok(proxy) => Ok(proxy.no_proxy(except.clone())),
            Err(error) => Err(Error::internal_public(format!("{name} is not the URL of a proxy"), error.without_url())),
        })
        .collect()
}

/// The head of a reply; its body is still to be read.
#[derive(Debug)]
pub struct Reply {
    inner: reqwest::Response,
    reader: JsonReader,
}

impl Reply {
    /// Reads its JSON.
    pub fn reader(&self) -> JsonReader {
        self.reader
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.inner.status().as_u16()
    }

    /// Status with its name: `404 Not Found`.
    pub fn status_text(&self) -> String {
        self.inner.status().to_string()
    }

    /// A header, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// All headers that are text, in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.inner.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
    }

    /// The whole body, at most `cap` bytes.
    pub async fn bytes(self, cap: usize, deadline: Deadline) -> Result<Bytes, CallError> {
        match self.bytes_truncated(cap, deadline).await? {
            (body, true) => Ok(body),
            (_, false) => Err(CallError::TooLarge(cap)),
        }
    }

    /// The body up to `cap` bytes, and whether that is all of it.
    pub async fn bytes_truncated(self, cap: usize, deadline: Deadline) -> Result<(Bytes, bool), CallError> {
        let (body, end) = self.read(cap, deadline).await;
        end.map(|is_whole| (body, is_whole))
    }

    /// What the body of an error says, without these credentials: its beginning, or what has come of that when the deadline
    /// passes or the connection breaks. To be cut only now: at a cut, a credential can't be recognised.
    pub async fn error_text(self, redaction: &Redaction, deadline: Deadline) -> String {
        let (body, _) = self.read(MAX_ERROR_BYTES, deadline.at_most(ERROR_BODY_TIMEOUT)).await;
        redaction.text(&String::from_utf8_lossy(&body))
    }

    /// What has come of the body, at most `cap` bytes, and whether that is all of it.
    async fn read(self, cap: usize, deadline: Deadline) -> (Bytes, Result<bool, CallError>) {
        let mut stream = Box::pin(self.stream());
        let mut body = BytesMut::new();
        let end = loop {
            match timeout_at(deadline.instant(), stream.next()).await {
                Ok(Some(Ok(chunk))) => body.extend_from_slice(&chunk),
                Ok(Some(Err(error))) => break Err(error),
                Ok(None) => break Ok(true),
                Err(_) => break Err(CallError::Timeout),
            }
            if body.len() > cap {
                body.truncate(cap);
                break Ok(false);
            }
        };
        (body.freeze(), end)
    }

    /// The body as it arrives. Dropping it closes the connection.
    pub fn stream(self) -> impl Stream<Item = Result<Bytes, CallError>> + Send + 'static {
        let mut chunks = Box::pin(self.inner.bytes_stream());
        let mut wait = None;
        poll_fn(move |context| {
            let polled = chunks.poll_next_unpin(context);
            wait = if polled.is_pending() { wait.take().or_else(Stopwatch::wait) } else { None };
            polled.map(|chunk| chunk.map(|chunk| chunk.map_err(|error| CallError::from_reqwest(&error))))
        })
    }
}

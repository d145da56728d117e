//! A client that sends what it is told to, well-formed or not.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;

/// Longest wait for any reply: a test that hangs fails.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
    /// Sent along as a bearer token.
    credential: Option<String>,
}

/// A complete reply.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

/// One server-sent event.
#[derive(Debug, PartialEq)]
pub struct Frame {
    /// Those that are no events of a log have none.
    pub id: Option<u64>,
    pub event: String,
    pub data: Value,
}

impl Client {
    pub fn new(base: String) -> Self {
        Self::trusting(base, rustls::RootCertStore::empty())
    }

    /// A client of a server that speaks TLS with a certificate of one of these authorities.
    #[expect(clippy::disallowed_methods, reason = "a client of the server under test, not of an upstream")]
    pub fn trusting(base: String, authorities: rustls::RootCertStore) -> Self {
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).no_proxy();
        let provider = rustls::crypto::ring::default_provider();
        let tls =
            rustls::ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_root_certificates(authorities).with_no_client_auth();
        Self { base, http: http.tls_backend_preconfigured(tls).build().unwrap(), credential: None }
    }

    /// A client that sends this key or token along.
    pub fn with_credential(&self, credential: &str) -> Self {
        Self { credential: Some(credential.to_owned()), ..self.clone() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method.parse().unwrap(), self.url(path));
        match &self.credential {
            Some(credential) => request.bearer_auth(credential),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request("GET", path)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request("DELETE", path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, body).await
    }

    /// A request under the condition that a header such as `if-match` names.
    pub async fn send_if(&self, header: &str, tag: &str, method: &str, path: &str, body: &Value) -> Answer {
        let request = self.request(method, path).header("content-type", "application/json").header(header, tag);
        Answer::of(request.body(body.to_string())).await
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(method, path).header("content-type", "application/json").body(body.to_string())).await
    }

    /// Sends a chat request and reads its events until the stream ends.
    pub async fn chat_events(&self, body: &Value) -> Vec<Frame> {
        self.open_stream(body).await.collect().await
    }

    /// Sends a chat request and gives its events as they come. Dropping the stream closes the connection.
    pub async fn open_stream(&self, body: &Value) -> impl futures_util::Stream<Item = Frame> + Unpin + use<> {
        let request = self
            .request("POST", "/v1/chat")
            .header("content-type", "application/json")
            .header("accept", "text/event-stream");
        Self::frames(request.body(body.to_string())).await
    }

    /// Goes on behind the event with this id.
    pub async fn follow(&self, path: &str, last: &str) -> impl futures_util::Stream<Item = Frame> + Unpin + use<> {
        Self::frames(self.request("GET", path).header("accept", "text/event-stream").header("last-event-id", last))
            .await
    }

    /// The events of a reply as they come.
    async fn frames(request: reqwest::RequestBuilder) -> impl futures_util::Stream<Item = Frame> + Unpin + use<> {
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.headers()["content-type"], "text/event-stream");
        let mut text = String::new();
        let mut bytes = reply.bytes_stream();
        Box::pin(async_stream::stream! {
            while let Some(Ok(chunk)) = bytes.next().await {
                text.push_str(std::str::from_utf8(&chunk).unwrap());
                while let Some((frame, rest)) = text.split_once("\n\n").map(|(a, b)| (a.to_owned(), b.to_owned())) {
                    text = rest;
                    if !frame.starts_with(':') {
                        yield Frame::parse(&frame);
                    }
                }
            }
        })
    }
}

impl Answer {
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let reply = request.send().await.unwrap();
        let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
        Self { status, headers, text: reply.text().await.unwrap() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Its `ETag`.
    pub fn tag(&self) -> String {
        self.headers["etag"].to_str().unwrap().to_owned()
    }

    /// The JSON of a reply that must have this status.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }
}

impl Frame {
    fn parse(text: &str) -> Self {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        Self {
            id: text.lines().find_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().unwrap()),
            event: field("event: ").to_owned(),
            data: serde_json::from_str(field("data: ")).unwrap(),
        }
    }
}

use serde_json::{Map, Value};

use super::target::RequestTarget;
use crate::kernel::Secret;
use crate::outbound::{Body, Call};
use crate::settings::HttpOptions;

/// What a model may choose from.
pub(super) const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
/// What is asked for unless somebody says otherwise.
const ACCEPT: &str = "application/json, text/*;q=0.9, */*;q=0.8";
/// Characters of one header's value.
const MAX_HEADER_VALUE_BYTES: usize = 8192;
/// Headers that describe the connection or the message, which are the client's own affair.
const RESERVED_HEADERS: [&str; 10] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "via",
];
/// Headers that say who is asking, which is the owner's affair.
const CREDENTIAL_HEADERS: [&str; 3] = ["authorization", "cookie", "cookie2"];

/// What is sent, wherever it goes.
#[derive(Debug)]
pub(super) struct OutgoingRequest {
    pub(super) method: &'static str,
    accept: String,
    headers: Vec<(String, Secret)>,
    body: Option<Body>,
}

impl OutgoingRequest {
    /// A GET of the tool's own.
    pub(super) fn get(options: &HttpOptions) -> Self {
        let accept = configured(options, "accept").unwrap_or_else(|| ACCEPT.to_owned());
        Self { method: "GET", accept, headers: Vec::new(), body: None }
    }

    /// The request that the arguments ask for.
    pub(super) fn read(options: &HttpOptions, arguments: &Map<String, Value>) -> Result<Self, String> {
        let name = arguments.get("method").and_then(Value::as_str).unwrap_or("GET");
        let method = METHODS.into_iter().find(|method| *method == name).ok_or("method: is not known")?;
        let mut headers = read_headers(options, arguments)?;
        let mut take = |name: &str| {
            let at = headers.iter().position(|(given, _)| given.eq_ignore_ascii_case(name))?;
            Some(headers.remove(at).1.expose().to_owned())
        };
        let accept = take("accept");
        let content_type = take("content-type").or_else(|| configured(options, "content-type"));
        let body = arguments.get("data").map(|data| body(data, content_type));
        if body.is_some() && matches!(method, "GET" | "HEAD") {
            return Err(format!("data: can't be sent with {method}; use params, or another method"));
        }
        let plain = Self::get(options);
        Ok(Self { method, accept: accept.unwrap_or(plain.accept), headers, body })
    }

    /// The call of one place. Credentials go only where they belong.
    pub(super) fn call(&self, options: &HttpOptions, target: &RequestTarget) -> Call {
        let mut headers = self.headers.clone();
        let mut call = Call::get(target.url.as_str()).method(self.method).accept(self.accept.clone());
        if target.is_own {
            let own =
                |name: &str| ["accept", "content-type", "authorization"].contains(&name.to_ascii_lowercase().as_str());
            headers.extend(options.headers.iter().filter(|(name, _)| !own(name)).cloned());
            call = call.bearer(options.auth_token.as_ref());
            let written = configured(options, "authorization").map(Secret::new);
            call.authorization = written.or(call.authorization);
        }
        Call { headers, body: self.body.clone(), ..call }
    }

    /// Changes it as browsers do when a reply of this status sends them elsewhere. What a model wrote into headers for one
    /// server is not told to another.
    pub(super) fn follow_redirect(&mut self, status: u16, same_server: bool) {
        if status == 303 && self.method != "HEAD" || matches!(status, 301 | 302) && self.method == "POST" {
            self.method = "GET";
            self.body = None;
        }
        if !same_server {
            self.headers.retain(|(name, _)| name.to_ascii_lowercase().starts_with("accept"));
        }
    }
}

/// The value of a header that the tool's owner has set.
fn configured(options: &HttpOptions, name: &str) -> Option<String> {
    let found = options.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.expose().to_owned())
}

fn body(data: &Value, content_type: Option<String>) -> Body {
    let json = Body::json(data);
    match data {
        Value::String(text) => Body {
            content_type: content_type.unwrap_or_else(|| "text/plain; charset=utf-8".to_owned()),
            bytes: text.clone().into(),
        },
        _ => Body { content_type: content_type.unwrap_or(json.content_type), ..json },
    }
}

fn read_headers(options: &HttpOptions, arguments: &Map<String, Value>) -> Result<Vec<(String, Secret)>, String> {
    let given = arguments.get("headers").and_then(Value::as_object);
    let mut headers: Vec<(String, Secret)> = Vec::new();
    for (name, value) in given.into_iter().flatten() {
        let shown: String = name.chars().take(60).flat_map(char::escape_debug).collect();
        let refused = |why: &str| Err(format!("headers.{shown}: {why}"));
        let (lower, text) = (name.to_ascii_lowercase(), value.as_str().unwrap_or_default());
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return refused("is not a name that a header may have");
        }
        if text.chars().any(|c| c.is_control()) || text.len() > MAX_HEADER_VALUE_BYTES {
            return refused("should have no line break or other control character, and at most 8192 bytes");
        }
        if RESERVED_HEADERS.contains(&lower.as_str()) || lower.starts_with("proxy-") {
            return refused("can't be set, it belongs to the connection");
        }
        let is_taken = configured(options, &lower).is_some() && !["accept", "content-type"].contains(&lower.as_str());
        if CREDENTIAL_HEADERS.contains(&lower.as_str()) || is_taken {
            return refused("can't be set, the tool's owner has done so in its configuration if it is needed");
        }
        if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return refused("should be given once");
        }
        headers.push((name.clone(), Secret::new(text)));
    }
    Ok(headers)
}

use std::time::Duration;

use super::{read_headers, read_secret, read_timeout, read_url};
use crate::kernel::{Fields, Secret, SecretUrl};

/// Options of `http_request`.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// `base_url`, or else `endpoint` with `port`: where relative URLs lead, and the only server that is sent the credentials.
    pub base_url: Option<SecretUrl>,
    /// `auth_token` or `api_key`: sent as a bearer token.
    pub auth_token: Option<Secret>,
    /// `headers`: sent to the own server with every request.
    pub headers: Vec<(String, Secret)>,
    /// `allowed_hosts`: other servers that may be called, as `host`, `host:port` or `*.host`.
    pub allowed_hosts: Vec<String>,
    /// `timeout`
    pub timeout: Option<Duration>,
}

impl HttpOptions {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            base_url: read_url(fields, "base_url").or_else(|| read_url(fields, "endpoint")),
            auth_token: read_secret(fields, ["auth_token", "api_key"]),
            headers: read_headers(fields),
            allowed_hosts: fields.or("allowed_hosts", Vec::new()),
            timeout: read_timeout(fields),
        }
    }
}

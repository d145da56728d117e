use std::time::Duration;

use super::fields::{read_headers, read_secret, read_service, read_timeout};
use super::host_pattern::HostPattern;
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
    /// `allowed_hosts`: other servers that may be called, without the credentials.
    pub allowed_hosts: Vec<HostPattern>,
    /// `timeout`
    pub timeout: Option<Duration>,
}

impl HttpOptions {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            base_url: read_service(fields, ["base_url", "endpoint"]),
            auth_token: read_secret(fields, ["auth_token", "api_key"]),
            headers: read_headers(fields),
            allowed_hosts: read_hosts(fields),
            timeout: read_timeout(fields),
        }
    }
}

fn read_hosts(fields: &mut Fields<'_>) -> Vec<HostPattern> {
    let mut hosts = Vec::new();
    for (text, nth) in fields.or("allowed_hosts", Vec::<String>::new()).iter().zip(1..) {
        match HostPattern::parse(text) {
            Some(host) => hosts.push(host),
            // The text itself may be what a variable holds.
            None => fields.reject(
                "allowed_hosts",
                format!("Input should be a list of hosts as host, host:port or *.host; number {nth} is none"),
            ),
        }
    }
    hosts
}

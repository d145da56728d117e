use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::bounds::PORTS;
use super::{AllowedHost, AllowedTarget, TlsSettings};
use crate::kernel::{Fields, JsonReader, ObjectLimits, SecretUrl};

/// The HTTP server itself.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// `APP_NAME`
    pub app_name: String,
    /// `APP_VERSION`
    pub app_version: String,
    /// `DEBUG`: reported, and lowers the log level.
    pub debug: bool,
    /// `LOG_LEVEL`: a level, or targets as in `info,orchestrator_studio::llm=debug`.
    pub log_level: String,
    /// `API_HOST` and `API_PORT`
    pub address: SocketAddr,
    /// `CHAT_UI_PORT`: a second port, on which an older GUI looks for the chat page.
    pub chat_ui_port: Option<u16>,
    /// `TLS_CERT` and `TLS_KEY`; `None` for HTTP without TLS.
    pub tls: Option<TlsSettings>,
    /// `API_PREFIX`: where chat and executions are mounted.
    pub api_prefix: String,
    /// `API_REFERENCES`: variables that values set through the API may refer to as `${NAME}`.
    pub api_references: Vec<String>,
    /// `CORS_ORIGINS`
    pub cors_origins: Vec<String>,
    /// `ALLOWED_HOSTS`: names of the server besides the loopback ones.
    pub allowed_hosts: Vec<AllowedHost>,
    /// `TRUSTED_PROXIES`: addresses of proxies that are believed when they say whose request they pass on.
    pub trusted_proxies: Vec<AllowedTarget>,
    /// `MAX_BODY_BYTES`
    pub max_body_bytes: usize,
    /// `MAX_BODY_VALUES`: reads bodies of at most so many values.
    pub body_reader: JsonReader,
    /// `MAX_METADATA_BYTES` and `MAX_CONFIG_BYTES`
    pub object_limits: ObjectLimits,
    /// `MAX_BUFFERED_BYTES`: bodies until they are answered and replies until they are sent, of all connections together;
    /// at least one body.
    pub max_buffered_bytes: usize,
    /// `MAX_CONNECTIONS`
    pub max_connections: usize,
    /// `MAX_CONNECTIONS_PER_ADDRESS`; `None` for no limit.
    pub max_connections_per_address: Option<usize>,
    /// `SHUTDOWN_GRACE_SECONDS`: how long requests under way may go on after a stop signal.
    pub shutdown_grace: Duration,
}

impl ServerSettings {
    /// Whether only this machine reaches the server.
    pub fn is_local(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }

    /// What the addresses of the server begin with.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Whether clients may call the server by any name: nobody said which, and it listens beyond this machine.
    pub fn accepts_any_host(&self) -> bool {
        self.allowed_hosts.is_empty() && !self.is_local()
    }

    pub(super) fn read(env: &mut Fields<'_>) -> Self {
        let host: String = env.or("API_HOST", "127.0.0.1".to_owned());
        let port = env.int_or("API_PORT", 8000, 0..=65_535);
        let chat_ui_port = read_chat_ui_port(env, port);
        let max_body_bytes = env.count_or("MAX_BODY_BYTES", 10_000_000, 1..=1_000_000_000);
        let per_address = env.count_or("MAX_CONNECTIONS_PER_ADDRESS", 1_000, 0..=1_000_000);
        Self {
            app_name: env.or("APP_NAME", "ZainOne Orchestrator Studio".to_owned()),
            app_version: env.or("APP_VERSION", "1.0.0".to_owned()),
            debug: env.or("DEBUG", false),
            log_level: env.or("LOG_LEVEL", "INFO".to_owned()),
            address: SocketAddr::new(parse_host(env, &host), u16::try_from(port).unwrap_or(8000)),
            chat_ui_port,
            tls: TlsSettings::read(env),
            api_prefix: read_prefix(env),
            api_references: env.or("API_REFERENCES", Vec::new()),
            cors_origins: read_origins(env),
            allowed_hosts: env.list("ALLOWED_HOSTS"),
            trusted_proxies: read_proxies(env),
            max_body_bytes,
            max_buffered_bytes: env
                .count_or("MAX_BUFFERED_BYTES", 256_000_000, 1..=1_000_000_000_000)
                .max(max_body_bytes),
            max_connections: env.count_or("MAX_CONNECTIONS", 10_000, 1..=1_000_000),
            max_connections_per_address: Some(per_address).filter(|most| *most > 0),
            body_reader: JsonReader::new(env.count_or("MAX_BODY_VALUES", 100_000, 1..=100_000_000)),
            object_limits: ObjectLimits {
                metadata: env.count_or("MAX_METADATA_BYTES", 100_000, 1..=1_000_000_000),
                config: env.count_or("MAX_CONFIG_BYTES", 250_000, 1..=1_000_000_000),
            },
            shutdown_grace: env.seconds_or("SHUTDOWN_GRACE_SECONDS", 20, 0..=3600),
        }
    }
}

fn read_chat_ui_port(env: &mut Fields<'_>, api_port: i64) -> Option<u16> {
    let port = env.int_optional("CHAT_UI_PORT", PORTS)?;
    if port == api_port {
        env.reject("CHAT_UI_PORT", "Input should be another port than API_PORT, which serves the chat page too");
    }
    u16::try_from(port).ok()
}

fn parse_host(env: &mut Fields<'_>, host: &str) -> IpAddr {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    let address = if literal == "localhost" { "127.0.0.1" } else { literal }.parse();
    address.unwrap_or_else(|_| {
        env.reject("API_HOST", "Input should be an IP address to listen on, such as 127.0.0.1 or 0.0.0.0");
        IpAddr::from([127, 0, 0, 1])
    })
}

fn read_prefix(env: &mut Fields<'_>) -> String {
    let prefix: String = env.or("API_PREFIX", "/v1".to_owned());
    let prefix = prefix.trim_end_matches('/');
    let segment =
        |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let plain = prefix.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment));
    if !plain || matches!(prefix, "/api" | "/docs") {
        env.reject("API_PREFIX", "Input should be a path such as /v1, other than /api and /docs");
    }
    prefix.to_owned()
}

fn read_proxies(env: &mut Fields<'_>) -> Vec<AllowedTarget> {
    let proxies: Vec<AllowedTarget> = env.list("TRUSTED_PROXIES");
    if !proxies.iter().all(AllowedTarget::is_address) {
        env.reject("TRUSTED_PROXIES", "Input should be addresses or networks such as 10.0.0.7 and 10.0.0.0/8");
    }
    proxies
}

fn read_origins(env: &mut Fields<'_>) -> Vec<String> {
    let origins: Vec<String> = env.or("CORS_ORIGINS", vec!["http://localhost:3000".to_owned()]);
    for origin in &origins {
        let is_origin = url::Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == *origin);
        if origin != "*" && !is_origin {
            let origin = SecretUrl::new(origin.as_str());
            env.reject("CORS_ORIGINS", format!("'{origin}' should be an origin such as http://localhost:3000, or *"));
        }
    }
    origins
}

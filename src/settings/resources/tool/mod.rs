//! A tool and the options of its kind, read from its `config`. To add a kind: its options in a file of their own, a variant of
//! [`ToolOptions`], its arm in [`ToolSettings::options`]; the `tools` room does the rest.

mod code;
mod host_pattern;
mod http;
mod mcp;
mod search;

pub use code::{CodeOptions, Language};
pub use host_pattern::HostPattern;
pub use http::HttpOptions;
pub use mcp::{McpOptions, McpTransport};
pub use search::{SearchOptions, SearchProvider};

use super::resource::{Resolver, check_http_url, read_kind, references_in};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Catalog, Resource};
use crate::kernel::{CredentialOrigin, FieldIssue, Fields, Properties, Secret, SecretUrl, Segment, is_credential_name};
use crate::settings::bounds::{self, MAX_DESCRIPTION_CHARS, RESERVED_HEADERS};
use crate::settings::{Environment, Settings};

/// A tool.
#[derive(Clone, Debug, Serialize)]
pub struct ToolSettings {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Settings of its kind.
    pub config: Properties,
    /// Whether it may be used.
    pub enabled: bool,
    /// What it is for, in words an LLM understands.
    pub description: Option<String>,
}

/// What a tool is configured to do.
#[derive(Clone, Debug)]
pub enum ToolOptions {
    /// `http_request`, `http`
    Http(HttpOptions),
    /// `web_search`
    Search(SearchOptions),
    /// `code_executor`
    Code(CodeOptions),
    /// `mcp`
    Mcp(McpOptions),
    /// Any other type: kept, but of no use.
    Unsupported,
}

impl ToolSettings {
    /// Whether this server can't run tools of its type.
    pub fn is_unsupported(&self) -> bool {
        !matches!(self.kind.as_str(), "http_request" | "http" | "web_search" | "code_executor" | "mcp")
    }

    /// Whether it stands for an MCP server, which has many functions instead of one.
    pub fn is_mcp(&self) -> bool {
        self.kind == "mcp"
    }

    /// The options of its kind; the error names the keys of `config` that can't work. Clients send `""` for what they leave
    /// empty, so that and null count as not set.
    pub fn options(&self) -> Result<ToolOptions, Vec<FieldIssue>> {
        let is_set = |value: &Value| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty());
        let config = self.config.expose().iter().filter(|(_, value)| is_set(value));
        let config: Map<_, _> = config.map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut fields = Fields::new(&config, vec!["config".into()]);
        let options = match self.kind.as_str() {
            "http_request" | "http" => ToolOptions::Http(HttpOptions::read(&mut fields)),
            "web_search" => ToolOptions::Search(SearchOptions::read(&mut fields)),
            "code_executor" => ToolOptions::Code(CodeOptions::read(&mut fields)),
            "mcp" => ToolOptions::Mcp(McpOptions::read(&mut fields)),
            _ => ToolOptions::Unsupported,
        };
        let issues = fields.into_issues();
        if issues.is_empty() { Ok(options) } else { Err(issues) }
    }
}

impl ToolSettings {
    /// What decides on how a process of this tool uses its credentials: all it is given, besides the credentials themselves.
    fn process(&self) -> Value {
        let config = self.config.expose();
        if !self.is_mcp() || self.config.text("command").is_none() {
            return Value::Null;
        }
        let plain = config.get("env").and_then(Value::as_object).into_iter().flatten();
        let mut plain: Vec<_> = plain.filter(|(name, _)| !is_credential_name(name)).collect();
        plain.sort_by_key(|(name, _)| *name);
        json!([config.get("args"), plain])
    }

    /// Issues quote a value; that of a variable may be anything, so the text that refers to it is quoted, masked if need be.
    fn quote_written_values(&self, issues: Vec<FieldIssue>) -> Vec<FieldIssue> {
        let shown = Value::Object(self.config.masked());
        let quote = |issue: FieldIssue| {
            let mut below = issue.loc.iter().skip(1);
            let written = below.try_fold(&shown, |value, segment| match segment {
                Segment::Key(key) => value.get(&**key),
                Segment::Index(index) => value.get(*index),
            });
            FieldIssue { input: Box::new(written.cloned().unwrap_or_default()), ..issue }
        };
        issues.into_iter().map(quote).collect()
    }
}

impl ToolOptions {
    /// The limit for one execution, if the tool has one of its own.
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Http(options) => options.timeout,
            Self::Search(options) => options.timeout,
            Self::Code(options) => options.timeout,
            Self::Mcp(options) => options.timeout,
            Self::Unsupported => None,
        }
    }
}

/// `timeout`, in seconds.
fn read_timeout(fields: &mut Fields<'_>) -> Option<Duration> {
    let seconds: f64 = fields.optional("timeout")?;
    if !bounds::TOOL_SECONDS.contains(&seconds) {
        fields.reject("timeout", "Input should be a number of seconds from 0.1 to 3600");
        return None;
    }
    Some(Duration::from_secs_f64(seconds))
}

/// A credential under the first of these keys that has one.
fn read_secret(fields: &mut Fields<'_>, keys: [&'static str; 2]) -> Option<Secret> {
    let found = keys.map(|key| {
        let text: String = fields.optional(key)?;
        if text.chars().any(char::is_control) {
            fields.reject(key, "Input should have no control characters");
        }
        Some(Secret::new(text.trim()))
    });
    found.into_iter().flatten().next()
}

/// The URL of an HTTP service.
fn read_url(fields: &mut Fields<'_>, key: &'static str) -> Option<SecretUrl> {
    let url = SecretUrl::new(fields.optional::<String>(key)?.trim());
    if let Err(expected) = check_http_url(&url) {
        fields.reject(key, expected);
        return None;
    }
    Some(url)
}

/// The URL of an HTTP service under the first of these keys that has one. Clients may send the port of `endpoint` apart from
/// it, as `port`.
fn read_service(fields: &mut Fields<'_>, keys: [&'static str; 2]) -> Option<SecretUrl> {
    let port = fields.int_optional("port", bounds::PORTS);
    let found = keys.map(|key| {
        let url = read_url(fields, key)?;
        Some(match port {
            Some(port) if key == "endpoint" => with_port(url, port),
            _ => url,
        })
    });
    found.into_iter().flatten().next()
}

/// `url` with this port, unless it names one itself.
fn with_port(url: SecretUrl, port: i64) -> SecretUrl {
    let text = url.expose();
    let start = text.find("://").map_or(0, |at| at + 3);
    let end = text.get(start..).and_then(|rest| rest.find('/')).map_or(text.len(), |at| start + at);
    let (host, path) = (text.get(start..end).unwrap_or_default(), text.get(end..).unwrap_or_default());
    let names_one = host.rsplit_once(':').is_some_and(|(_, last)| last.bytes().all(|byte| byte.is_ascii_digit()));
    match text.get(..start) {
        Some(scheme) if !names_one => SecretUrl::new(format!("{scheme}{host}:{port}{path}")),
        _ => url,
    }
}

/// `headers`: further headers of every request.
fn read_headers(fields: &mut Fields<'_>) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    for (name, value) in fields.or("headers", Map::new()) {
        match value.as_str() {
            Some(text) if is_header(&name, text) => headers.push((name, Secret::new(text))),
            _ => fields
                .reject("headers", format!("Input should map header names to texts; '{name}' is none that can be set")),
        }
    }
    headers
}

/// Whether a tool may set this header: HTTP allows it, and it is none that describes the connection or the body's length.
fn is_header(name: &str, value: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(is_token)
        && !RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str())
        && !value.chars().any(char::is_control)
}

impl Resource for ToolSettings {
    const SECTION: &'static str = "tools";
    const LABEL: &'static str = "Tool";
    const SECRETS: &'static [&'static str] = &[];

    fn read(fields: &mut Fields<'_>) -> Self {
        let description: Option<String> = fields.optional("description");
        if description.as_ref().is_some_and(|text| text.chars().count() > MAX_DESCRIPTION_CHARS) {
            fields.reject("description", format!("Input should have at most {MAX_DESCRIPTION_CHARS} characters"));
        }
        Self {
            kind: read_kind(fields),
            config: Properties::new(fields.or("config", Map::new())),
            enabled: fields.or("enabled", true),
            description,
        }
    }

    fn to_stored(&self) -> Map<String, Value> {
        let object = json!({
            "type": self.kind,
            "config": self.config.expose(),
            "enabled": self.enabled,
            "description": self.description,
        });
        object.as_object().cloned().unwrap_or_default()
    }

    fn resolve(&self, environment: &Environment) -> Result<Self, Vec<FieldIssue>> {
        let mut resolver = Resolver::new(environment);
        let config = resolver.properties("config", &self.config);
        let effective = resolver.finish(Self { config, ..self.clone() })?;
        effective.options().map_err(|issues| self.quote_written_values(issues))?;
        Ok(effective)
    }

    fn forbidden(&self, environment: &Environment) -> Vec<FieldIssue> {
        match self.options() {
            Ok(ToolOptions::Mcp(options)) => options.forbidden(environment),
            _ => Vec::new(),
        }
    }

    fn references(&self) -> Vec<(Vec<Segment>, String)> {
        references_in(vec!["config".into()], &Value::Object(self.config.expose().clone()))
    }

    fn secrets(&self) -> Vec<(&'static str, Secret)> {
        self.config.secrets().into_iter().map(|secret| ("config", secret)).collect()
    }

    fn credential_origin(&self) -> CredentialOrigin {
        // Whatever decides on where a credential goes; one of these may win over another.
        let origin = CredentialOrigin::default().setting("type", json!(self.kind)).setting("args", self.process());
        let urls = ["base_url", "endpoint", "url"].into_iter().filter_map(|key| Some((key, self.config.text(key)?)));
        let origin = urls.fold(origin, |origin, (key, text)| origin.url(key, &SecretUrl::new(text)));
        let others = ["port", "provider", "command"].into_iter().map(|key| match self.config.expose().get(key) {
            Some(Value::Number(number)) => (key, json!(number.to_string())),
            _ => (key, json!(self.config.text(key))),
        });
        others.fold(origin, |origin, (key, value)| origin.setting(key, value)).transport("config", &self.config)
    }

    fn enabled(&self) -> bool {
        self.enabled
    }

    fn kind(&self) -> Option<&str> {
        Some(&self.kind)
    }

    fn description(&self) -> Option<&str> {
        self.description.as_deref().or_else(|| self.config.text("description"))
    }

    fn catalog(settings: &Settings) -> &Arc<Catalog<Self>> {
        &settings.tools
    }

    fn with_catalog(settings: &Settings, catalog: Arc<Catalog<Self>>) -> Settings {
        Settings { tools: catalog, ..settings.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(config: Value) -> Result<Option<String>, usize> {
        let config = config.as_object().unwrap();
        let mut fields = Fields::new(config, Vec::new());
        let found = read_service(&mut fields, ["base_url", "endpoint"]).map(|url| url.expose().to_owned());
        let issues = fields.into_issues();
        if issues.is_empty() { Ok(found) } else { Err(issues.len()) }
    }

    #[test]
    fn the_port_of_an_endpoint_may_stand_apart() {
        let rows = [
            (json!({"endpoint": "http://a", "port": "8080"}), "http://a:8080"),
            (json!({"endpoint": "http://a/b:1/c", "port": 8080}), "http://a:8080/b:1/c"),
            (json!({"endpoint": "http://a:80/b", "port": "8080"}), "http://a:80/b"),
            (json!({"endpoint": "http://[::1]/b", "port": "8080"}), "http://[::1]:8080/b"),
            (json!({"endpoint": "http://[::1]:1", "port": "8080"}), "http://[::1]:1"),
            (json!({"base_url": "http://c", "endpoint": "http://a", "port": "8080"}), "http://c"),
        ];
        for (config, expected) in rows {
            assert_eq!(service(config.clone()), Ok(Some(expected.to_owned())), "{config}");
        }
        assert_eq!(service(json!({"port": "8080"})), Ok(None));
        assert_eq!(service(json!({"endpoint": "http://a", "port": "99999"})), Err(1));
        assert_eq!(service(json!({"endpoint": "http://a", "port": "http"})), Err(1));
    }
}

//! Readers of the keys that several types of tools have in their `config`.

use std::time::Duration;

use serde_json::Map;

use crate::kernel::{Fields, Secret, SecretUrl};
use crate::settings::bounds::{self, RESERVED_HEADERS};
use crate::settings::resources::resource::check_http_url;

/// `timeout`, in seconds.
pub(super) fn read_timeout(fields: &mut Fields<'_>) -> Option<Duration> {
    let seconds: f64 = fields.optional("timeout")?;
    if !bounds::TOOL_SECONDS.contains(&seconds) {
        fields.reject("timeout", "Input should be a number of seconds from 0.1 to 3600");
        return None;
    }
    Some(Duration::from_secs_f64(seconds))
}

/// A credential under the first of these keys that has one.
pub(super) fn read_secret(fields: &mut Fields<'_>, keys: [&'static str; 2]) -> Option<Secret> {
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
pub(super) fn read_url(fields: &mut Fields<'_>, key: &'static str) -> Option<SecretUrl> {
    let url = SecretUrl::new(fields.optional::<String>(key)?.trim());
    if let Err(expected) = check_http_url(&url) {
        fields.reject(key, expected);
        return None;
    }
    Some(url)
}

/// The URL of an HTTP service under the first of these keys that has one. Clients may send the port of `endpoint` apart from
/// it, as `port`.
pub(super) fn read_service(fields: &mut Fields<'_>, keys: [&'static str; 2]) -> Option<SecretUrl> {
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
pub(super) fn read_headers(fields: &mut Fields<'_>) -> Vec<(String, Secret)> {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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

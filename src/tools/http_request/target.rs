use serde_json::{Map, Value};
use url::Url;

use crate::kernel::SecretUrl;
use crate::outbound::{display_url, join_url};
use crate::settings::HttpOptions;

/// Characters of a URL, parameters included.
pub(super) const MAX_URL_CHARS: usize = 8192;

/// A URL that the tool may call.
#[derive(Debug)]
pub(super) struct RequestTarget {
    pub(super) url: Url,
    /// Whether it lies at or below `base_url`, so that the credentials go along.
    pub(super) is_own: bool,
}

/// The place that the arguments name, if the tool may call it.
pub(super) fn resolve(options: &HttpOptions, arguments: &Map<String, Value>) -> Result<RequestTarget, String> {
    let text = arguments.get("url").and_then(Value::as_str).unwrap_or_default().trim();
    let text = text.split('#').next().unwrap_or_default();
    if text.chars().any(|c| c.is_control() || c == '\\') {
        return Err("url: should have no backslash and no control character".to_owned());
    }
    let mut target = match (&options.base_url, has_scheme(text)) {
        (_, true) => permit(options, parse_whole(text)?).map_err(|why| format!("url: {why}"))?,
        (Some(base), false) if text.is_empty() => base_target(base).ok_or("url: base_url is not valid")?,
        (Some(base), false) => {
            let url = join_url(base.expose(), text)
                .map_err(|why| format!("url: {}", why.replacen("Input should", "should", 1)))?;
            RequestTarget { url: Url::parse(&url).map_err(|_| "url: is not valid")?, is_own: true }
        }
        (None, false) => {
            let places = allowed_places(options);
            return Err(format!("url: should be a whole URL, since this tool has no base_url; {places}"));
        }
    };
    if let Some(Value::Object(params)) = arguments.get("params") {
        append_params(&mut target.url, params);
    }
    if target.url.as_str().len() > MAX_URL_CHARS {
        return Err(format!("url: should have at most {MAX_URL_CHARS} characters with its parameters"));
    }
    Ok(target)
}

/// Judges a URL that was named as a whole, or that a redirect leads to.
pub(super) fn permit(options: &HttpOptions, url: Url) -> Result<RequestTarget, String> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("it should start with http:// or https://; {}", allowed_places(options)));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it should hold no user name and no password".to_owned());
    }
    if options.base_url.as_ref().is_some_and(|base| is_below(base, &url)) {
        return Ok(RequestTarget { url, is_own: true });
    }
    if options.allowed_hosts.iter().any(|host| host.matches(&url)) {
        return Ok(RequestTarget { url, is_own: false });
    }
    Err(format!("{} is not allowed; {}", display_url(url.as_str()), allowed_places(options)))
}

/// The tool's own URL as a target.
pub(super) fn base_target(base: &SecretUrl) -> Option<RequestTarget> {
    base.parse().map(|url| RequestTarget { url, is_own: true })
}

fn is_below(base: &SecretUrl, url: &Url) -> bool {
    let Some(home) = base.parse() else { return false };
    let rest = url.path().strip_prefix(home.path().trim_end_matches('/'));
    let is_inside = |rest: &str| rest.is_empty() || rest.starts_with('/') && join_url(home.as_str(), rest).is_ok();
    url.origin() == home.origin() && rest.is_some_and(is_inside)
}

/// Whether a text begins like `http:`. In a path a colon may stand only after the first `/`.
fn has_scheme(text: &str) -> bool {
    let is_scheme = |start: &str| {
        start.starts_with(|c: char| c.is_ascii_alphabetic())
            && start.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    text.split_once(':').is_some_and(|(start, _)| is_scheme(start))
}

/// Parsers take `http:host` and `http:///host` for `http://host`; whoever writes so means to get past a check.
fn parse_whole(text: &str) -> Result<Url, String> {
    let expected = || "url: should be a path such as /items/5, or start with http:// or https:// and a host".to_owned();
    let rest = text.split_once("://").map(|(_, rest)| rest).filter(|rest| !rest.starts_with('/'));
    rest.and_then(|_| Url::parse(text).ok()).ok_or_else(expected)
}

fn append_params(url: &mut Url, params: &Map<String, Value>) {
    let mut pairs = url.query_pairs_mut();
    for (name, value) in params {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            match value {
                Value::Null => {}
                Value::String(text) => drop(pairs.append_pair(name, text)),
                other => drop(pairs.append_pair(name, &other.to_string())),
            }
        }
    }
    drop(pairs);
    if url.query() == Some("") {
        url.set_query(None);
    }
}

fn allowed_places(options: &HttpOptions) -> String {
    match &options.base_url {
        Some(base) if options.allowed_hosts.is_empty() => format!("this tool calls {} only", display_base(base)),
        Some(base) => format!("this tool calls {} and {} only", display_base(base), hosts(options)),
        None => format!("this tool calls {} only", hosts(options)),
    }
}

pub(super) fn hosts(options: &HttpOptions) -> String {
    options.allowed_hosts.iter().take(20).map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn display_base(base: &SecretUrl) -> String {
    display_url(base.expose())
}

#[cfg(test)]
mod tests;

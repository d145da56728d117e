use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::openapi::schema::{parameter, text};
use crate::settings::Precondition;

/// `If-Match`: what the caller expects to change.
#[derive(Debug)]
pub struct IfMatch(pub Precondition);

/// `If-None-Match`: what the caller has already.
#[derive(Debug)]
pub struct IfNoneMatch(Option<Precondition>);

impl IfNoneMatch {
    /// Whether the caller has this version.
    pub fn has(&self, version: &str) -> bool {
        match &self.0 {
            Some(Precondition::Any) => true,
            Some(Precondition::Versions(tags)) => tags.iter().any(|tag| tag == version),
            None => false,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // `*` asks for any version; that there is one is checked anyway.
        Ok(Self(tags(&parts.headers, header::IF_MATCH).unwrap_or_default()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(tags(&parts.headers, header::IF_NONE_MATCH)))
    }
}

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let purpose = "The `ETag` that it had when the caller read it, or `*`";
        vec![parameter(ParameterIn::Header, "If-Match", purpose, text())]
    }
}

impl IntoParams for IfNoneMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![parameter(ParameterIn::Header, "If-None-Match", "The `ETag` of what the caller has", text())]
    }
}

/// The entity tags of a header, compared weakly: a proxy that compresses may have weakened ours.
fn tags(headers: &HeaderMap, name: HeaderName) -> Option<Precondition> {
    // What is no text is no tag of ours, but it is a condition all the same.
    let values: Vec<_> = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    if values.is_empty() {
        return None;
    }
    let text = values.join(",");
    if text.trim() == "*" {
        return Some(Precondition::Any);
    }
    let tag = |tag: &str| {
        let tag = tag.trim();
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag).to_owned()
    };
    Some(Precondition::Versions(text.split(',').map(tag).collect()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn tags_are_read_weak_or_strong_one_or_many() {
        let read = |text: &'static str| {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(text))]);
            IfNoneMatch(tags(&headers, header::IF_NONE_MATCH))
        };
        assert!(read("\"a\"").has("a") && read("W/\"b\", \"a\"").has("a") && read("*").has("a"));
        assert!(!read("\"b\"").has("a") && !IfNoneMatch(None).has("a"));
    }
}

use axum::http::{HeaderName, HeaderValue};

use crate::kernel::{LimitStatus, whole_seconds};

/// What limits there are (draft-ietf-httpapi-ratelimit-headers-10).
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// How much of them is left.
pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The headers that tell of a limit.
pub fn rate_limit_headers(limit: &LimitStatus) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
    let LimitStatus { policy, quota, remaining, reset, window } = limit;
    let window = window.map(|window| format!(";w={}", window.as_secs())).unwrap_or_default();
    let texts = [
        (RATE_LIMIT_POLICY, format!("\"{policy}\";q={quota}{window}")),
        (RATE_LIMIT, format!("\"{policy}\";r={remaining};t={}", whole_seconds(*reset))),
    ];
    texts.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?)))
}

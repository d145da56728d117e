use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use serde_json::Value;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::ApiError;
use super::openapi::schema::{parameter, pattern};
use crate::kernel::{Error, FieldIssue};

/// Longest silence: proxies cut streams after 30 to 60 seconds of it.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// A reply of server-sent events, as they come.
pub fn event_stream(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE_INTERVAL).text("ping");
    let headers = [(HeaderName::from_static("x-accel-buffering"), "no")];
    (headers, Sse::new(events).keep_alive(keep_alive)).into_response()
}

/// Whether the caller names server-sent events as what it accepts.
pub fn accepts_event_stream(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|kind| kind.split(';').next().unwrap_or_default().trim() == "text/event-stream")
}

const LAST_EVENT_ID: &str = "last-event-id";
/// What the header holds.
const NUMBER: &str = "^[0-9]{1,9}$";
const MAX_DIGITS: usize = 9;

/// `Last-Event-ID`: the number of the event that a reader had last, before it lost the connection.
#[derive(Clone, Copy, Debug)]
pub struct LastEventId(pub Option<i64>);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(LAST_EVENT_ID) else { return Ok(Self(None)) };
        let text = String::from_utf8_lossy(value.as_bytes());
        let is_number = (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if is_number => Ok(Self(Some(number))),
            _ => {
                let expected = format!("Input should be the id of an event: a number of at most {MAX_DIGITS} digits");
                let place = vec!["header".into(), LAST_EVENT_ID.into()];
                Err(Error::invalid(vec![FieldIssue::new("value_error", place, expected, Value::from(text))]).into())
            }
        }
    }
}

impl IntoParams for LastEventId {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let purpose = "The id of the event that came last before the connection was lost; it goes before `after`";
        vec![parameter(ParameterIn::Header, "Last-Event-ID", purpose, pattern(NUMBER))]
    }
}

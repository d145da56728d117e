//! What all sources over HTTP have in common: the call, its errors, and JSON out of the reply.

use bytes::Bytes;
use serde_json::Value;

use super::health::Authentication;
use super::source::{Source, call_error, source_error, source_failed, source_label};
use super::stack_traces::strip_stack_traces;
use super::{DataError, Outage};
use crate::kernel::{Deadline, JsonError, JsonReader};
use crate::outbound::{Call, CallError, HttpClient, Reply, error_message, join_url};

/// Size of a reply, in bytes.
const MAX_REPLY_BYTES: usize = 10_000_000;

/// The URL of an endpoint at or below `base`; `key` of the source's `config` is what `path` comes from.
pub(super) fn endpoint_url(source: &Source, base: &str, key: &str, path: &str) -> Result<String, DataError> {
    join_url(base, path).map_err(|expected| source_error(source, format_args!("config.{key}: {expected}")))
}

/// The body of a reply, and what reads JSON in it.
pub(super) async fn body(source: &Source, reply: Reply, deadline: Deadline) -> Result<(Bytes, JsonReader), DataError> {
    let reader = reply.reader();
    let bytes = reply.bytes(MAX_REPLY_BYTES, deadline).await.map_err(|error| call_error(source, &error))?;
    Ok((bytes, reader))
}

/// Sends a call and takes the body of a 2xx reply; anything else is an error that quotes what the source said.
pub(super) async fn fetch(
    http: &HttpClient,
    source: &Source,
    call: &Call,
    deadline: Deadline,
) -> Result<(Bytes, JsonReader), DataError> {
    let reply = http.send_following(call, deadline).await.map_err(|error| call_error(source, &error))?;
    match reply.status() {
        200..300 => body(source, reply, deadline).await,
        _ => Err(status_error(source, reply, deadline).await),
    }
}

/// Sends a call and reads JSON from a 2xx reply.
pub(super) async fn fetch_json(
    http: &HttpClient,
    source: &Source,
    call: &Call,
    deadline: Deadline,
) -> Result<Value, DataError> {
    let (bytes, reader) = fetch(http, source, call, deadline).await?;
    parse(source, reader, &bytes, "something other than JSON")
}

/// JSON without the source's credentials; `otherwise` is what the source answered with if this is none.
pub(super) fn parse(source: &Source, reader: JsonReader, json: &[u8], otherwise: &str) -> Result<Value, DataError> {
    let json = reader.read(json).map_err(|error| match error {
        JsonError::TooManyValues(most) => call_error(source, &CallError::TooManyValues(most)),
        JsonError::Invalid(error) => source_failed(source, format_args!("answered with {otherwise}: {error}")),
    })?;
    Ok(source.redaction().json(json))
}

/// The error that a status other than 2xx stands for.
async fn status_error(source: &Source, reply: Reply, deadline: Deadline) -> DataError {
    let (status, text) = (reply.status(), reply.status_text());
    let said = reply.error_text(source.redaction(), deadline).await;
    let json: Option<Value> = JsonReader::embedded().read(said.as_bytes()).ok();
    let message = json.as_ref().and_then(Value::as_object).and_then(error_message);
    let said = strip_stack_traces(message.as_deref().unwrap_or(&said));
    let said = if said.is_empty() { said } else { format!(": {said}") };
    let did = if is_auth_error(status) { "refused the request with" } else { "answered" };
    let outage = match status {
        502 | 503 => Outage::Yes,
        504 => Outage::Perhaps,
        _ => Outage::No,
    };
    DataError::Failed { text: format!("{} {did} {text}{said}", source_label(source)), timed_out: false, outage }
}

/// What the status of a check says of the credential; `accepted` is what a plain 200 says.
pub(super) fn authentication(status: u16, accepted: Authentication) -> Authentication {
    match status {
        200 => accepted,
        status if is_auth_error(status) => Authentication::Refused,
        _ => Authentication::Unknown,
    }
}

fn is_auth_error(status: u16) -> bool {
    matches!(status, 401 | 403)
}

//! The original's own protocol over HTTP: `POST /query`, `GET /schema`, `/tables`, `/health`. The paths can be set in
//! `config` as `query_path` and so on.

use serde_json::{Map, Value, json};

use super::client::{CheckReport, Query, Source, source_label};
use super::stack_traces::strip_stack_traces;
use super::{DataError, Outage, QueryResult};
use crate::kernel::{Deadline, JsonError, JsonReader};
use crate::outbound::{Call, CallError, HttpClient, Reply, error_message, join_url, reported_error};

/// Largest reply taken, in bytes.
pub(super) const MAX_REPLY_BYTES: usize = 10_000_000;

pub(super) async fn query(http: &HttpClient, source: &Source, query: &Query<'_>) -> Result<QueryResult, DataError> {
    let body = json!({"query": query.text, "parameters": query.parameters});
    let call = Call::post(url_of(source, "query")?, &body).bearer(source.effective.auth_token.as_ref());
    let reply = fetch_json(http, source, &call, query.deadline).await?;
    let has_data = reply.get("data").and_then(Value::as_array).is_some_and(|rows| !rows.is_empty());
    if let Some(error) = reported_error(&reply).filter(|_| !has_data) {
        let text = format!("{} answered with an error: {}", source_label(source), strip_stack_traces(&error.text));
        return Err(DataError::failed(text));
    }
    let Value::Object(mut reply) = reply else {
        return Err(DataError::failed(format!("{} answered without an object that holds data", source_label(source))));
    };
    let mut rows = match reply.remove("data") {
        Some(Value::Array(rows)) => rows,
        None | Some(Value::Null) => Vec::new(),
        Some(_) => {
            return Err(DataError::failed(format!("{} answered with data that is no list", source_label(source))));
        }
    };
    let mut metadata = match reply.remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => Map::new(),
    };
    let row_count = reply.get("row_count").and_then(Value::as_u64).unwrap_or_default();
    if rows.len() > query.max_rows {
        rows.truncate(query.max_rows);
        metadata.insert("truncated".to_owned(), json!(true));
    }
    Ok(QueryResult { rows, row_count, metadata })
}

pub(super) async fn schema(http: &HttpClient, source: &Source, deadline: Deadline) -> Result<Value, DataError> {
    get(http, source, "schema", deadline).await
}

pub(super) async fn tables(http: &HttpClient, source: &Source, deadline: Deadline) -> Result<Vec<Value>, DataError> {
    let mut reply = get(http, source, "tables", deadline).await?;
    match reply.get_mut("tables").map(Value::take) {
        Some(Value::Array(tables)) => Ok(tables),
        _ => Err(DataError::failed(format!("{} answered without a list of tables", source_label(source)))),
    }
}

/// As in the original, only a plain 200 counts.
pub(super) async fn check(http: &HttpClient, source: &Source, deadline: Deadline) -> Result<CheckReport, DataError> {
    let call = Call::get(url_of(source, "health")?).bearer(source.effective.auth_token.as_ref());
    let status =
        http.send(&call, deadline).await.map_err(|error| DataError::from_call(&source_label(source), &error))?.status();
    let authenticated = match status {
        status if is_auth_error(status) => json!(false),
        200 if source.effective.auth_token.is_some() => json!("accepted, though a health endpoint may not look at it"),
        _ => Value::Null,
    };
    let findings = json!({"reached": true, "authenticated": authenticated, "read_only": null});
    let findings = findings.as_object().cloned().unwrap_or_default();
    Ok(CheckReport { status: Some(status), ok: status == 200, findings })
}

async fn get(http: &HttpClient, source: &Source, what: &str, deadline: Deadline) -> Result<Value, DataError> {
    let call = Call::get(url_of(source, what)?).bearer(source.effective.auth_token.as_ref());
    fetch_json(http, source, &call, deadline).await
}

/// `{url}/{what}`, or the path that `config` gives for it.
fn url_of(source: &Source, what: &str) -> Result<String, DataError> {
    let key = format!("{what}_path");
    let path = source.effective.config.text(&key).unwrap_or(what);
    join_url(source.effective.url.expose(), path)
        .map_err(|expected| DataError::failed(format!("{}: config.{key}: {expected}", source_label(source))))
}

/// Sends a call and reads JSON from a 2xx reply; anything else is a failure that quotes what the source said.
pub(super) async fn fetch_json(
    http: &HttpClient,
    source: &Source,
    call: &Call,
    deadline: Deadline,
) -> Result<Value, DataError> {
    let failed = |error: CallError| DataError::from_call(&source_label(source), &error);
    let reply = http.send(call, deadline).await.map_err(failed)?;
    if !(200..300).contains(&reply.status()) {
        return Err(status_error(source, reply, deadline).await);
    }
    let reader = reply.reader();
    let bytes = reply.bytes(MAX_REPLY_BYTES, deadline).await.map_err(failed)?;
    let json = reader.read(&bytes).map_err(|error| match error {
        JsonError::TooManyValues(most) => failed(CallError::TooManyValues(most)),
        JsonError::Invalid(error) => {
            DataError::failed(format!("{} answered with something other than JSON: {error}", source_label(source)))
        }
    })?;
    Ok(source.redaction().json(json))
}

/// The failure that a status other than 2xx stands for.
pub(super) async fn status_error(source: &Source, reply: Reply, deadline: Deadline) -> DataError {
    let (status, text) = (reply.status(), reply.status_text());
    let said = reply.error_text(source.redaction(), deadline).await;
    let json: Option<Value> = JsonReader::embedded().read(said.as_bytes()).ok();
    let message = json.as_ref().and_then(Value::as_object).and_then(error_message);
    let said = strip_stack_traces(message.as_deref().unwrap_or(&said));
    let said = if said.is_empty() { said } else { format!(": {said}") };
    let did = if is_auth_error(status) { "refused the request with" } else { "answered" };
    let text = format!("{} {did} {text}{said}", source_label(source));
    let outage = match status {
        502 | 503 => Outage::Yes,
        504 => Outage::Perhaps,
        _ => Outage::No,
    };
    DataError::Failed { text, timed_out: false, outage }
}

/// Whether a status says that the service does not let this server in.
pub(super) fn is_auth_error(status: u16) -> bool {
    matches!(status, 401 | 403)
}

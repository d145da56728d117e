//! The original's own protocol over HTTP: `POST /query`, `GET /schema`, `/tables`, `/health`. The paths can be set in
//! `config` as `query_path` and so on.

use serde_json::{Value, json};

use super::DataError;
use super::health::{Authentication, CheckReport};
use super::http::{authentication, endpoint_url, fetch_json};
use super::query::{Query, QueryResult, ResultMetadata};
use super::source::{Source, call_error, source_failed};
use super::stack_traces::strip_stack_traces;
use crate::kernel::Deadline;
use crate::outbound::{Call, HttpClient, reported_error};

/// Runs a query.
pub(super) async fn query(http: &HttpClient, source: &Source, query: &Query<'_>) -> Result<QueryResult, DataError> {
    let body = json!({"query": query.text, "parameters": query.parameters});
    let call = Call::post(url_of(source, "query")?, &body).bearer(source.effective.auth_token.as_ref());
    let reply = fetch_json(http, source, &call, query.deadline).await?;
    let has_data = reply.get("data").and_then(Value::as_array).is_some_and(|rows| !rows.is_empty());
    if let Some(error) = reported_error(&reply).filter(|_| !has_data) {
        let error = strip_stack_traces(&error.text);
        return Err(source_failed(source, format_args!("answered with an error: {error}")));
    }
    let Value::Object(mut reply) = reply else {
        return Err(source_failed(source, "answered without an object that holds data"));
    };
    let mut rows = match reply.remove("data") {
        Some(Value::Array(rows)) => rows,
        None | Some(Value::Null) => Vec::new(),
        Some(_) => return Err(source_failed(source, "answered with data that is no list")),
    };
    let mut metadata = match reply.remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => serde_json::Map::new(),
    };
    let row_count = reply.get("row_count").and_then(Value::as_u64).unwrap_or_default();
    if rows.len() > query.max_rows {
        rows.truncate(query.max_rows);
        metadata.insert("truncated".to_owned(), json!(true));
    }
    Ok(QueryResult { rows, row_count, metadata: ResultMetadata::Service(metadata) })
}

/// The schema, as the service has it.
pub(super) async fn schema(http: &HttpClient, source: &Source, deadline: Deadline) -> Result<Value, DataError> {
    fetch_json(http, source, &get(source, "schema")?, deadline).await
}

/// The tables, as the service lists them.
pub(super) async fn tables(http: &HttpClient, source: &Source, deadline: Deadline) -> Result<Vec<Value>, DataError> {
    let mut reply = fetch_json(http, source, &get(source, "tables")?, deadline).await?;
    match reply.get_mut("tables").map(Value::take) {
        Some(Value::Array(tables)) => Ok(tables),
        _ => Err(source_failed(source, "answered without a list of tables")),
    }
}

/// Asks for the service's health.
pub(super) async fn check(http: &HttpClient, source: &Source, deadline: Deadline) -> Result<CheckReport, DataError> {
    let reply = http.send_following(&get(source, "health")?, deadline).await;
    let status = reply.map_err(|error| call_error(source, &error))?.status();
    let has_token = source.effective.auth_token.is_some();
    let accepted = if has_token { Authentication::Unverified } else { Authentication::Unknown };
    let authentication = authentication(status, accepted);
    Ok(CheckReport::Service { status, authentication, read_only: None, cubes: None })
}

fn get(source: &Source, what: &str) -> Result<Call, DataError> {
    Ok(Call::get(url_of(source, what)?).bearer(source.effective.auth_token.as_ref()))
}

/// `{url}/{what}`, or the path that `config` gives for it.
fn url_of(source: &Source, what: &str) -> Result<String, DataError> {
    let key = format!("{what}_path");
    let path = source.effective.config.text(&key).unwrap_or(what);
    endpoint_url(source, source.effective.url.expose(), &key, path)
}

//! Cube's REST API (docs.cube.dev, "REST API reference"): `/v1/load` for a JSON query, `/v1/cubesql` for SQL, `/v1/meta`.

use std::time::Duration;

use serde_json::{Value, json};

use super::DataError;
use super::health::{Authentication, CheckReport};
use super::http::{authentication, body, endpoint_url, fetch, fetch_json, parse, send};
use super::query::{Query, QueryResult, ResultMetadata};
use super::rows::RowCollector;
use super::source::{Source, source_error, source_failed};
use super::sql::check_sql;
use super::stack_traces::strip_stack_traces;
use crate::kernel::{Backoff, Deadline, JsonReader, Secret, new_id};
use crate::outbound::{Call, HttpClient};
use crate::settings::Protocol;

/// Pause before a query is repeated that Cube asked to wait for. Cube holds requests back itself, unless it is broken.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
/// Limit above which Cube refuses a query, unless its `CUBEJS_DB_QUERY_LIMIT` says otherwise.
const MAX_LIMIT: usize = 50_000;

/// A JSON query goes to `/load`; anything else is SQL.
pub(super) async fn query(http: &HttpClient, source: &Source, query: &Query<'_>) -> Result<QueryResult, DataError> {
    if query.text.trim_start().starts_with('{') {
        let cube = JsonReader::embedded().read(query.text.as_bytes());
        let cube = cube.map_err(|error| DataError::invalid_query(format!("Not a Cube query: {error}")))?;
        return load(http, source, cube, query).await;
    }
    let checked = check_sql(query.text, Protocol::Postgres, Vec::new()).await?;
    if checked.names().next().is_some() {
        return Err(DataError::invalid_parameter("Cube's SQL takes no parameters; write the values into the query"));
    }
    sql(http, source, query).await
}

/// Repeats the same query while Cube answers `Continue wait`, until the deadline. One id spans the whole wait.
async fn load(
    http: &HttpClient,
    source: &Source,
    mut cube: Value,
    query: &Query<'_>,
) -> Result<QueryResult, DataError> {
    let asked = cube.get("limit").and_then(Value::as_u64).and_then(|limit| usize::try_from(limit).ok());
    // One row more than wanted tells whether there are more.
    let limit = asked.unwrap_or(MAX_LIMIT).min(query.max_rows.saturating_add(1));
    if let Some(object) = cube.as_object_mut() {
        object.insert("limit".to_owned(), json!(limit));
    }
    let span = new_id();
    for attempt in 1_u32.. {
        let call = Call {
            request_id: Some(format!("{span}-span-{attempt}")),
            ..post(source, "load", &json!({"query": cube}))?
        };
        let mut reply = fetch_json(http, source, &call, query.deadline).await?;
        match reply.get("error").and_then(Value::as_str) {
            Some("Continue wait") => tokio::time::sleep(BACKOFF.after(attempt)).await,
            Some(error) => return Err(source_error(source, strip_stack_traces(error))),
            None => return load_result(source, &mut reply, query.max_rows),
        }
    }
    Err(source_failed(source, "never stopped waiting"))
}

fn load_result(source: &Source, reply: &mut Value, max_rows: usize) -> Result<QueryResult, DataError> {
    let Some(Value::Array(mut rows)) = reply.get_mut("data").map(Value::take) else {
        return Err(source_failed(source, "answered without data"));
    };
    let truncated = rows.len() > max_rows;
    rows.truncate(max_rows);
    let annotation = reply.get("annotation").and_then(Value::as_object);
    let columns: Vec<Value> = annotation
        .into_iter()
        .flat_map(|annotation| annotation.values().filter_map(Value::as_object).flatten())
        .map(|(name, about)| json!({"name": name, "type": about.get("type"), "title": about.get("title")}))
        .collect();
    let metadata = [("columns".to_owned(), json!(columns)), ("truncated".to_owned(), json!(truncated))];
    let metadata = ResultMetadata::Service(metadata.into_iter().collect());
    Ok(QueryResult { row_count: rows.len() as u64, rows, metadata })
}

/// `/v1/cubesql` answers in lines of JSON: first `{"schema": [...]}`, then `{"data": [[...]]}`, or `{"error": ...}`.
async fn sql(http: &HttpClient, source: &Source, query: &Query<'_>) -> Result<QueryResult, DataError> {
    let call = post(source, "cubesql", &json!({"query": query.text}))?;
    let (bytes, reader) = fetch(http, source, &call, query.deadline).await?;
    let mut collector = RowCollector::new(query.max_rows);
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        let line = parse(source, reader, line, "a line that is no JSON")?;
        if let Some(error) = line.get("error") {
            let error = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
            return Err(source_error(source, strip_stack_traces(&error)));
        }
        if let Some(schema) = line.get("schema").and_then(Value::as_array) {
            let text =
                |column: &Value, key: &str| column.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            collector.set_columns(schema.iter().map(|column| (text(column, "name"), text(column, "column_type"))));
        }
        let rows = line.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let full = |row: &Value| !collector.push(row.as_array().cloned().unwrap_or_default().into_iter());
        if rows.iter().any(full) {
            break;
        }
    }
    if !collector.has_columns() {
        return Err(source_failed(source, "answered without a schema of its columns"));
    }
    Ok(collector.finish())
}

/// The cubes as Cube describes them.
pub(super) async fn schema(http: &HttpClient, source: &Source, deadline: Deadline) -> Result<Value, DataError> {
    let meta = fetch_json(http, source, &get_meta(source)?, deadline).await?;
    match meta.get("cubes") {
        Some(Value::Array(_)) => Ok(meta),
        _ => Err(source_failed(source, "answered without a list of cubes")),
    }
}

/// Cubes and views, as tables.
pub(super) async fn tables(http: &HttpClient, source: &Source, deadline: Deadline) -> Result<Vec<Value>, DataError> {
    let meta = schema(http, source, deadline).await?;
    let cubes = meta.get("cubes").and_then(Value::as_array).cloned().unwrap_or_default();
    let table = |cube: &Value| {
        json!({"name": cube.get("name"), "type": cube.get("type").unwrap_or(&json!("cube")),
            "title": cube.get("title"), "comment": cube.get("description")})
    };
    Ok(cubes.iter().map(table).collect())
}

/// `/v1/meta` needs a valid token, which `/readyz` does not.
pub(super) async fn check(http: &HttpClient, source: &Source, deadline: Deadline) -> Result<CheckReport, DataError> {
    let reply = send(http, source, &get_meta(source)?, deadline).await?;
    let status = reply.status();
    let authentication = authentication(status, Authentication::Accepted);
    let mut cubes = None;
    if status == 200 {
        let (bytes, reader) = body(source, reply, deadline).await?;
        let meta: Value = reader.read(&bytes).unwrap_or_default();
        let Some(list) = meta.get("cubes").and_then(Value::as_array) else {
            return Err(source_failed(source, "answered, but not as Cube does"));
        };
        cubes = Some(list.len());
    }
    Ok(CheckReport::Service { status, authentication, read_only: Some(true), cubes })
}

fn get_meta(source: &Source) -> Result<Call, DataError> {
    Ok(authorized(source, Call::get(url_of(source, "meta")?)))
}

fn post(source: &Source, endpoint: &str, body: &Value) -> Result<Call, DataError> {
    Ok(authorized(source, Call::post(url_of(source, endpoint)?, body)))
}

/// The URL of an endpoint; the base may be given with or without `/cubejs-api` and `/v1`. A base path of its own
/// (`CUBEJS_API_BASE_PATH`) is set as `config.base_path`.
fn url_of(source: &Source, endpoint: &str) -> Result<String, DataError> {
    let own = source.effective.url.parse().map(|url| url.path().trim_matches('/').to_owned()).unwrap_or_default();
    let path = source.effective.config.text("base_path").unwrap_or("/cubejs-api").trim_matches('/');
    // What the URL has already is not added again; only whole segments count.
    let versioned = format!("{path}/v1");
    let has = |end: &str| own == end || own.ends_with(&format!("/{end}"));
    let missing = match () {
        () if has(&versioned) => endpoint.to_owned(),
        () if has(path) => format!("v1/{endpoint}"),
        () => format!("{path}/v1/{endpoint}"),
    };
    endpoint_url(source, "base_path", &missing)
}

/// Cube takes the bare token; one that was stored with `Bearer` goes as it is, which Cube takes too.
fn authorized(source: &Source, call: Call) -> Call {
    let token = source.effective.auth_token.as_ref().map(|token| Secret::new(token.expose().trim()));
    Call { authorization: token, ..call }
}

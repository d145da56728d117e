//! Cube's REST API (docs.cube.dev, "REST API reference"): `/v1/load` for a JSON query, `/v1/cubesql` for SQL, `/v1/meta`.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::DataError;
use super::cube_query::{has_many_results, is_json, read_json, with_limit, with_parameters};
use super::cube_result::load_result;
use super::cube_token::authorization;
use super::cube_url::url_of;
use super::health::{Authentication, CheckReport};
use super::http::{authentication, body, fetch, parse};
use super::query::{Query, QueryResult};
use super::rows::RowCollector;
use super::source::{Source, call_error, source_error, source_failed};
use super::sql::check_sql;
use super::stack_traces::strip_stack_traces;
use crate::kernel::{Backoff, Caller, Deadline, JsonReader, Secret, new_id};
use crate::outbound::{Call, HttpClient, Reply};
use crate::settings::Protocol;

/// Pause before a query is repeated that Cube asked to wait for. Cube holds requests back itself, unless it is broken.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// A Cube as one caller asks it, until a deadline.
pub(super) struct CubeClient<'a> {
    http: &'a HttpClient,
    source: &'a Source,
    /// One for all calls of a request, however long Cube has it wait.
    authorization: Option<Secret>,
    deadline: Deadline,
}

impl<'a> CubeClient<'a> {
    /// The Cube of this source, asked by `caller` at `now` (milliseconds since 1970).
    pub(super) fn new(http: &'a HttpClient, source: &'a Source, caller: &Caller, now: i64, deadline: Deadline) -> Self {
        Self { http, source, authorization: authorization(source, caller, now, deadline), deadline }
    }

    /// A JSON query goes to `/load`; anything else is SQL.
    pub(super) async fn query(&self, query: &Query<'_>) -> Result<QueryResult, DataError> {
        if is_json(query.text) {
            return self.load(&with_parameters(read_json(query.text)?, query.parameters), query).await;
        }
        let checked = check_sql(query.text, Protocol::Postgres, Vec::new()).await?;
        if checked.names().next().is_some() {
            return Err(DataError::invalid_parameter(
                "Cube's SQL takes no parameters; write the values into the query",
            ));
        }
        self.check_user(query.text)?;
        self.sql(query).await
    }

    /// Cube lets a query ask as somebody else by a filter on this column, if its operator allows that.
    fn check_user(&self, sql: &str) -> Result<(), DataError> {
        match !self.source.effective.session().is_empty() && sql.to_lowercase().contains("__user") {
            true => Err(DataError::invalid_query("__user is refused: the server tells Cube who asks")),
            false => Ok(()),
        }
    }

    /// Has Cube check a JSON query without running it. SQL is checked as it runs, and so is everything where Cube can't say.
    pub(super) async fn dry_run(&self, query: &str) -> Result<(), DataError> {
        let Ok(cube) = read_json(query) else { return Ok(()) };
        let reply = self.send(&self.post("dry-run", &request(&cube))?).await?;
        if reply.status() != 400 {
            return Ok(());
        }
        let (bytes, reader) = body(self.source, reply, self.deadline).await?;
        let said = parse(self.source, reader, &bytes, "something other than JSON").unwrap_or_default();
        match said.get("error").and_then(Value::as_str) {
            Some(error) => Err(source_error(self.source, strip_stack_traces(error))),
            None => Ok(()),
        }
    }

    /// Sends the same call while Cube answers `Continue wait`, until the deadline. One id spans the whole wait.
    async fn fetch_until_ready(&self, call: &Call) -> Result<(Bytes, JsonReader), DataError> {
        let span = new_id();
        for attempt in 1_u32.. {
            let call = Call { request_id: Some(format!("{span}-span-{attempt}")), ..call.clone() };
            let (bytes, reader) = fetch(self.http, self.source, &call, self.deadline).await?;
            if !asks_to_wait(reader, &bytes) {
                return Ok((bytes, reader));
            }
            tokio::time::sleep(BACKOFF.after(attempt)).await;
        }
        Err(source_failed(self.source, "never stopped waiting"))
    }

    /// Runs a JSON query, or several that are blended.
    async fn load(&self, cube: &Value, query: &Query<'_>) -> Result<QueryResult, DataError> {
        let call = self.post("load", &request(&with_limit(cube, query.max_rows)))?;
        let (bytes, reader) = self.fetch_until_ready(&call).await?;
        let mut reply = parse(self.source, reader, &bytes, "something other than JSON")?;
        let missing = || source_failed(self.source, "answered without data");
        match reply.get("error").and_then(Value::as_str) {
            Some(error) => Err(source_error(self.source, strip_stack_traces(error))),
            None => load_result(&mut reply, query.max_rows).ok_or_else(missing),
        }
    }

    /// `/v1/cubesql` answers in lines of JSON: first `{"schema": [...]}`, then `{"data": [[...]]}`, or `{"error": ...}`.
    async fn sql(&self, query: &Query<'_>) -> Result<QueryResult, DataError> {
        let call = self.post("cubesql", &json!({"query": query.text}))?;
        let (bytes, reader) = self.fetch_until_ready(&call).await?;
        let mut collector = RowCollector::new(query.max_rows);
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            let line = parse(self.source, reader, line, "a line that is no JSON")?;
            if let Some(error) = line.get("error") {
                let error = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
                return Err(source_error(self.source, strip_stack_traces(&error)));
            }
            if !take_line(&mut collector, &line) {
                break;
            }
        }
        if !collector.has_columns() {
            return Err(source_failed(self.source, "answered without a schema of its columns"));
        }
        Ok(collector.finish())
    }

    /// The cubes as Cube describes them.
    pub(super) async fn schema(&self) -> Result<Value, DataError> {
        let (bytes, reader) = self.fetch_until_ready(&self.get_meta()?).await?;
        let meta = parse(self.source, reader, &bytes, "something other than JSON")?;
        match meta.get("cubes") {
            Some(Value::Array(_)) => Ok(meta),
            _ => Err(source_failed(self.source, "answered without a list of cubes")),
        }
    }

    /// Cubes and views, as tables.
    pub(super) async fn tables(&self) -> Result<Vec<Value>, DataError> {
        let meta = self.schema().await?;
        let cubes = meta.get("cubes").and_then(Value::as_array).cloned().unwrap_or_default();
        let table = |cube: &Value| {
            json!({"name": cube.get("name"), "type": cube.get("type").unwrap_or(&json!("cube")),
                "title": cube.get("title"), "comment": cube.get("description")})
        };
        Ok(cubes.iter().map(table).collect())
    }

    /// `/v1/meta` needs a valid token, which `/readyz` does not.
    pub(super) async fn check(&self) -> Result<CheckReport, DataError> {
        let reply = self.send(&self.get_meta()?).await?;
        let status = reply.status();
        let authentication = authentication(status, Authentication::Accepted);
        let mut cubes = None;
        if status == 200 {
            let (bytes, reader) = body(self.source, reply, self.deadline).await?;
            let meta: Value = reader.read(&bytes).unwrap_or_default();
            let Some(list) = meta.get("cubes").and_then(Value::as_array) else {
                return Err(source_failed(self.source, "answered, but not as Cube does"));
            };
            cubes = Some(list.len());
        }
        Ok(CheckReport::Service { status, authentication, read_only: Some(true), cubes })
    }

    fn get_meta(&self) -> Result<Call, DataError> {
        Ok(self.authorized(Call::get(url_of(self.source, "meta")?)))
    }

    fn post(&self, endpoint: &str, body: &Value) -> Result<Call, DataError> {
        Ok(self.authorized(Call::post(url_of(self.source, endpoint)?, body)))
    }

    fn authorized(&self, call: Call) -> Call {
        Call { authorization: self.authorization.clone(), ..call }
    }

    async fn send(&self, call: &Call) -> Result<Reply, DataError> {
        self.http.send_following(call, self.deadline).await.map_err(|error| call_error(self.source, &error))
    }
}

/// What Cube is asked: one query, or several whose results belong together.
fn request(cube: &Value) -> Value {
    match has_many_results(cube) {
        true => json!({"query": cube, "queryType": "multi"}),
        false => json!({"query": cube}),
    }
}

/// Takes in the columns or the rows that a line of SQL's reply has; whether there is room for more.
fn take_line(collector: &mut RowCollector, line: &Value) -> bool {
    if let Some(schema) = line.get("schema").and_then(Value::as_array) {
        let text = |column: &Value, key: &str| column.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        collector.set_columns(schema.iter().map(|column| (text(column, "name"), text(column, "column_type"))));
    }
    let rows = line.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    rows.iter().all(|row| collector.push(row.as_array().cloned().unwrap_or_default().into_iter()))
}

/// Whether this is the reply, or the first line of one, with which Cube asks to be asked again.
fn asks_to_wait(reader: JsonReader, bytes: &[u8]) -> bool {
    // Any other reply that is so short is read twice, which costs nothing.
    const MAX_BYTES: usize = 1_000;
    let whole = bytes.trim_ascii();
    let first_line = whole.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let says_so = |text: &[u8]| {
        reader.read::<Value>(text).is_ok_and(|said| said.get("error").and_then(Value::as_str) == Some("Continue wait"))
    };
    whole.len() <= MAX_BYTES && (says_so(whole) || says_so(first_line))
}

use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::datasources::query::ResultMetadata;
use crate::datasources::schema::{SourceSchema, SourceTable};
use crate::datasources::{DataSourceService, QueryRequest, QueryResult, Source};
use crate::kernel::{Caller, Deadline, Error, Fields, Lenient, LenientResult, ResourceName};
use crate::settings::Settings;
use crate::settings::bounds::MAX_RESULT_ROWS;
use crate::storage::ConfigService;
use crate::web::openapi::schema::{Members, any_object, any_of, integer, list, or_null, text};
use crate::web::{ApiError, BodyErrors, ErrorBody, FromFields, JsonBody, JsonReply, PathName, ReadErrors};

/// A query.
pub(super) struct QueryBody(QueryRequest);

impl PartialSchema for QueryBody {
    fn schema() -> RefOr<Schema> {
        let rows = "Rows wanted at most; by default `config.max_rows` of the source, or 1000.";
        Members::new()
            .required(
                "query",
                "SQL; for Cube also a JSON query, or a list of those that are blended; for other services what they understand.",
                any_of([text(), any_object(), list(any_object())]),
            )
            .optional("parameters", "Values of its `:name` parameters.", or_null(any_object()))
            .optional("max_rows", rows, or_null(integer(&MAX_RESULT_ROWS)))
            .with_example(
                "A query.",
                json!({"query": "SELECT name, city FROM customers WHERE city = :city ORDER BY name",
                    "parameters": {"city": "Lisbon"}, "max_rows": 100}),
            )
    }
}

impl ToSchema for QueryBody {}

impl FromFields for QueryBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        let query = fields.required::<QueryText>("query").0;
        let parameters = fields.optional::<Map<_, _>>("parameters").unwrap_or_default();
        let max_rows = fields.beyond_original(|fields| fields.int_optional("max_rows", MAX_RESULT_ROWS));
        Self(QueryRequest { query, parameters, max_rows: max_rows.and_then(|rows| usize::try_from(rows).ok()) })
    }
}

/// A query as a text. Cube's JSON queries are also taken as they are.
#[derive(Default)]
struct QueryText(String);

impl Lenient for QueryText {
    fn read(value: &Value) -> LenientResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text.clone())),
            Value::Object(_) => Ok(Self(value.to_string())),
            Value::Array(queries) if queries.iter().all(Value::is_object) => Ok(Self(value.to_string())),
            _ => Err(("string_type", "Input should be a valid string")),
        }
    }
}

/// What a query gave. `metadata` has `columns` with their types, and `truncated` if there was more.
#[derive(Default, Serialize, ToSchema)]
#[schema(example = json!({
    "success": true, "datasource": "crm", "data": [{"name": "Ada", "city": "Lisbon"}], "row_count": 1,
    "metadata": {"columns": [{"name": "name", "type": "text"}, {"name": "city", "type": "text"}], "truncated": false}
}))]
pub(super) struct QueryResponse {
    success: bool,
    datasource: String,
    /// Why there is no data.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// One object per row. Whole numbers beyond 2^53 and exact decimals are texts, times are ISO 8601, bytes are Base64.
    data: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<ResultMetadata>,
}

/// The schema of a source.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "success": true, "datasource": "crm", "schema": {"tables": [{"schema": "public", "name": "customers", "type": "table",
        "comment": null, "columns": [{"name": "id", "type": "integer", "nullable": false, "default": null,
            "primary_key": true, "references": null, "comment": null}]}]}
}))]
pub(super) struct SchemaResponse {
    success: bool,
    datasource: String,
    /// `tables` for databases, `cubes` for Cube, whatever it says for other services. Of a database also `warnings`, if a table is left
    /// out, and `truncated`, if there are too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    schema: Option<SourceSchema>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The tables of a source.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "success": true, "datasource": "crm", "tables": [{"schema": "public", "name": "customers", "type": "table", "comment": null}],
    "count": 1
}))]
pub(super) struct TablesResponse {
    success: bool,
    datasource: String,
    #[schema(value_type = Vec<Value>)]
    tables: Vec<SourceTable>,
    count: usize,
    /// What is left out, in sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// Why there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Query a data source
///
/// Databases are asked one query at a time, in a transaction that is read only; `:name` parameters are bound, never written
/// into the text. A query that could do more than read is a 422. Answers 200 even if the source fails: `success` and `error`
/// tell.
#[utoipa::path(post, path = "/api/datasources/{name}/query", tag = "datasources", operation_id = "query_datasource",
    request_body = QueryBody, params(PathName),
    responses((status = 200, description = "What came of it", body = QueryResponse),
        (status = 404, description = "No such data source", body = ErrorBody), BodyErrors))]
pub(super) async fn query(
    State(sources): State<DataSourceService>,
    caller: Caller,
    PathName(name): PathName,
    JsonBody(QueryBody(request)): JsonBody<QueryBody>,
) -> Result<JsonReply<QueryResponse>, ApiError> {
    let (source, deadline) = requested_in(&sources.snapshot_for(&caller), &name)?;
    let empty = QueryResponse { datasource: name.to_string(), ..QueryResponse::default() };
    Ok(JsonReply::ok(match sources.query(&source, &caller, &request, deadline).await {
        Ok(QueryResult { rows, row_count, metadata }) => {
            QueryResponse { success: true, data: rows, row_count: Some(row_count), metadata: Some(metadata), ..empty }
        }
        Err(error) => {
            let error = error.into_failure_text(&request.query, &request.parameters)?;
            QueryResponse { error: Some(error), ..empty }
        }
    }))
}

/// The source of this name, and the deadline of a request to it.
pub(super) fn requested(sources: &DataSourceService, name: &ResourceName) -> Result<(Source, Deadline), Error> {
    requested_in(&sources.snapshot(), name)
}

fn requested_in(settings: &Settings, name: &ResourceName) -> Result<(Source, Deadline), Error> {
    let source = settings.datasources.require(name.as_str())?;
    Ok((source.clone(), Deadline::after(settings.orchestration.timeout)))
}

/// Schema of a data source
///
/// For databases every table with its columns, types, nullability, keys and comments, as far as the account may read them. Partitions
/// (without columns), heirs and the tables of extensions come last, with `part_of`.
#[utoipa::path(get, path = "/api/datasources/{name}/schema", tag = "datasources", operation_id = "datasource_schema",
    params(PathName),
    responses((status = 200, description = "The schema", body = SchemaResponse),
        (status = 404, description = "No such data source", body = ErrorBody), ReadErrors))]
pub(super) async fn schema(
    State(sources): State<DataSourceService>,
    caller: Caller,
    PathName(name): PathName,
) -> Result<JsonReply<SchemaResponse>, ApiError> {
    let (source, deadline) = requested(&sources, &name)?;
    let schema = sources.schema(&source, &caller, deadline).await;
    let error = schema.as_ref().err().map(ToString::to_string);
    let (datasource, schema) = (name.to_string(), schema.ok());
    Ok(JsonReply::ok(SchemaResponse { success: error.is_none(), datasource, schema, error }))
}

/// Tables of a data source
///
/// The names only; a source that fails gives none, and `error`.
#[utoipa::path(get, path = "/api/datasources/{name}/tables", tag = "datasources", operation_id = "datasource_tables",
    params(PathName),
    responses((status = 200, description = "The tables", body = TablesResponse),
        (status = 404, description = "No such data source", body = ErrorBody), ReadErrors))]
pub(super) async fn tables(
    State(sources): State<DataSourceService>,
    caller: Caller,
    PathName(name): PathName,
) -> Result<JsonReply<TablesResponse>, ApiError> {
    let (source, deadline) = requested(&sources, &name)?;
    let tables = sources.tables(&source, &caller, deadline).await;
    let error = tables.as_ref().err().map(ToString::to_string);
    let (datasource, success, listed) = (name.to_string(), error.is_none(), tables.unwrap_or_default());
    let (tables, warnings) = (listed.tables, listed.warnings);
    Ok(JsonReply::ok(TablesResponse { success, datasource, count: tables.len(), tables, warnings, error }))
}

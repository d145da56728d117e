use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::body::DataSourceBody;
use crate::datasources::DataSourceService;
use crate::kernel::{Properties, Secret, SecretUrl};
use crate::settings::{CatalogEntry, DataSourceSettings};
use crate::web::{
    ApiError, BodyErrors, ErrorBody, IfMatch, IfNoneMatch, JsonReply, ListQuery, OptionalBody, PathName, QueryParams,
    ReadErrors, list_reply, show_reply,
};

/// A source of data. Its credentials are never shown, only that there are some.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "name": "crm", "type": "postgres", "url": "postgres://reader:********@localhost:5432/crm", "auth_token": null,
    "timeout_seconds": 30, "enabled": true, "config": {"description": "Customers, subscriptions and sales"}
}))]
pub(super) struct DataSource {
    name: String,
    /// `postgres`, `mysql`, `sqlite`, `cubejs`, `api`, or any other text.
    #[schema(value_type = String)]
    r#type: String,
    /// Where it is; a password in it is masked.
    #[schema(value_type = String)]
    url: SecretUrl,
    /// `********` if there is a token, else null.
    #[schema(value_type = Option<String>)]
    auth_token: Option<Secret>,
    /// Limit for one query, in seconds.
    timeout_seconds: i64,
    /// Whether it may be used.
    enabled: bool,
    /// Settings of its type, such as `max_rows`. Chat reads `description` and `intents` (labels it serves).
    #[schema(value_type = Object)]
    config: Properties,
}

impl From<&CatalogEntry<DataSourceSettings>> for DataSource {
    fn from(entry: &CatalogEntry<DataSourceSettings>) -> Self {
        let source = entry.written.clone();
        Self {
            name: entry.name.to_string(),
            r#type: source.kind,
            url: source.url,
            auth_token: source.auth_token,
            timeout_seconds: source.timeout_seconds,
            enabled: source.enabled,
            config: source.config,
        }
    }
}

/// A data source that was added or changed.
#[derive(Serialize, ToSchema)]
pub(super) struct DataSourceChangeResponse {
    #[schema(example = true)]
    success: bool,
    #[schema(example = "DataSource 'crm' created successfully")]
    message: String,
    datasource: DataSource,
}

/// A data source that was removed.
#[derive(Serialize, ToSchema)]
pub(super) struct DataSourceDeleteResponse {
    #[schema(example = true)]
    success: bool,
    #[schema(example = "DataSource 'crm' deleted successfully")]
    message: String,
}

/// List data sources
///
/// All of them in the order of their creation, unless parameters narrow the list.
#[utoipa::path(get, path = "/api/datasources", tag = "datasources", operation_id = "list_datasources",
    params(ListQuery, IfNoneMatch),
    responses((status = 200, description = "The data sources", body = Vec<DataSource>),
        (status = 304, description = "The caller's list is up to date"), ReadErrors))]
pub(super) async fn list(
    State(sources): State<DataSourceService>,
    QueryParams(query): QueryParams<ListQuery>,
    known: IfNoneMatch,
) -> Response {
    list_reply::<_, DataSource>(&sources.snapshot().datasources, &query, &known)
}

/// Show a data source
///
/// As it was written: `${NAME}` stands as such, credentials are masked.
#[utoipa::path(get, path = "/api/datasources/{name}", tag = "datasources", operation_id = "get_datasource",
    params(PathName, IfNoneMatch),
    responses((status = 200, description = "The data source", body = DataSource),
        (status = 304, description = "The caller's copy is up to date"),
        (status = 404, description = "No such data source", body = ErrorBody), ReadErrors))]
pub(super) async fn get(
    State(sources): State<DataSourceService>,
    PathName(name): PathName,
    known: IfNoneMatch,
) -> Result<Response, ApiError> {
    show_reply::<_, DataSource>(&sources.snapshot().datasources, &name, &known)
}

/// Add a data source
///
/// Stored before this answers; it survives a restart.
#[utoipa::path(post, path = "/api/datasources", tag = "datasources", operation_id = "create_datasource", request_body = DataSourceBody,
    responses((status = 201, description = "Added", body = DataSourceChangeResponse),
        (status = 409, description = "The name is taken", body = ErrorBody), BodyErrors))]
pub(super) async fn create(
    State(sources): State<DataSourceService>,
    body: OptionalBody,
) -> Result<JsonReply<DataSourceChangeResponse>, ApiError> {
    let entry = sources.config().create::<DataSourceSettings>(body.into_object()?).await?;
    let message = format!("DataSource '{}' created successfully", entry.name);
    let changed = DataSourceChangeResponse { success: true, message, datasource: entry.as_ref().into() };
    Ok(JsonReply::with_status(StatusCode::CREATED, changed).tagged(&entry.version))
}

/// Change a data source
///
/// Replaces the data source as a whole. Another name in the body renames it. A stored token is not sent to another server: when
/// `url` moves, give it again.
#[utoipa::path(put, path = "/api/datasources/{name}", tag = "datasources", operation_id = "update_datasource", request_body = DataSourceBody,
    params(PathName, IfMatch),
    responses((status = 200, description = "Changed", body = DataSourceChangeResponse),
        (status = 404, description = "No such data source", body = ErrorBody),
        (status = 409, description = "The new name is taken", body = ErrorBody),
        (status = 412, description = "The data source has changed since it was read", body = ErrorBody), BodyErrors))]
pub(super) async fn update(
    State(sources): State<DataSourceService>,
    PathName(name): PathName,
    IfMatch(expected): IfMatch,
    body: OptionalBody,
) -> Result<JsonReply<DataSourceChangeResponse>, ApiError> {
    let entry = sources.update(&name, expected, body.into_object()?).await?;
    let message = format!("DataSource '{name}' updated successfully");
    let changed = DataSourceChangeResponse { success: true, message, datasource: entry.as_ref().into() };
    Ok(JsonReply::ok(changed).tagged(&entry.version))
}

/// Remove a data source
///
/// For good: one that a file or variable names stays removed after a restart.
#[utoipa::path(delete, path = "/api/datasources/{name}", tag = "datasources", operation_id = "delete_datasource",
    params(PathName, IfMatch),
    responses((status = 200, description = "Removed", body = DataSourceDeleteResponse),
        (status = 404, description = "No such data source", body = ErrorBody),
        (status = 412, description = "The data source has changed since it was read", body = ErrorBody), ReadErrors))]
pub(super) async fn delete(
    State(sources): State<DataSourceService>,
    PathName(name): PathName,
    IfMatch(expected): IfMatch,
) -> Result<JsonReply<DataSourceDeleteResponse>, ApiError> {
    sources.remove(&name, expected).await?;
    Ok(JsonReply::ok(DataSourceDeleteResponse {
        success: true,
        message: format!("DataSource '{name}' deleted successfully"),
    }))
}

use serde::Serialize;
use utoipa::ToSchema;

use super::body::DataSourceBody;
use crate::datasources::DataSourceService;
use crate::kernel::{Properties, Secret, SecretUrl};
use crate::settings::DataSourceSettings;
use crate::web::resource_routes;

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

resource_routes! {
    service: DataSourceService, settings: DataSourceSettings, view: DataSource, body: DataSourceBody,
    changed: DataSourceChangeResponse, deleted: DataSourceDeleteResponse, field: datasource, catalog: datasources,
    label: "DataSource", created: "DataSource 'crm' created successfully",
    removed: "DataSource 'crm' deleted successfully",
    noun: "data source", one: "a data source", at_start: "A data source", many: "data sources",
    moves: "A stored token is not sent to another server: when\n`url` moves, give it again.",
}

use axum::response::{IntoResponse, Response};

use super::{ApiError, IfNoneMatch, JsonReply, ListQuery, not_modified};
use crate::kernel::ResourceName;
use crate::settings::{Catalog, Resource};

/// The reply to a list of resources, or 304 if the caller has this list.
pub fn list_reply<T: Resource>(catalog: &Catalog<T>, query: &ListQuery, known: &IfNoneMatch) -> Response {
    let (entries, version) = query.select(catalog);
    if known.has(&version) {
        return not_modified(&version);
    }
    JsonReply::ok(entries).tagged(version).into_response()
}

/// The reply to a request for one resource, or 304 if the caller has this version.
pub fn show_reply<T: Resource>(
    catalog: &Catalog<T>,
    name: &ResourceName,
    known: &IfNoneMatch,
) -> Result<Response, ApiError> {
    let entry = catalog.require(name.as_str())?;
    if known.has(&entry.version) {
        return Ok(not_modified(&entry.version));
    }
    Ok(JsonReply::ok(entry).tagged(&entry.version).into_response())
}

/// The endpoints that list, show, add, change and remove resources of one sort, and what they reply. `$service` is a
/// [`crate::storage::ConfigService`], `$view` the schema of a resource as it is shown, `$body` as a client sends it; the texts name it in the
/// document of the API.
macro_rules! resource_routes {
    (
        service: $service:ident, settings: $settings:ident, view: $view:ident, body: $body:ident,
        changed: $changed:ident, deleted: $deleted:ident, field: $field:ident, catalog: $catalog:ident,
        label: $label:literal, created: $created:literal, removed: $removed:literal,
        noun: $noun:literal, one: $one:literal, at_start: $sentence_start:literal, many: $many:literal, moves: $moves:literal,
    ) => {
        use axum::extract::State;
        use axum::http::StatusCode;
        use axum::response::Response;

        use crate::storage::ConfigService as _;
        use crate::web::{
            ApiError, BodyErrors, ErrorBody, IfMatch, IfNoneMatch, JsonReply, ListQuery, OptionalBody, PathName,
            QueryParams, ReadErrors, list_reply, show_reply,
        };

        #[derive(serde::Serialize, utoipa::ToSchema)]
        #[schema(description = concat!($sentence_start, " that was added or changed."))]
        pub(super) struct $changed {
            #[schema(example = true)]
            success: bool,
            #[schema(example = $created)]
            message: String,
            #[schema(value_type = $view)]
            $field: std::sync::Arc<crate::settings::CatalogEntry<$settings>>,
        }

        #[derive(serde::Serialize, utoipa::ToSchema)]
        #[schema(description = concat!($sentence_start, " that was removed."))]
        pub(super) struct $deleted {
            #[schema(example = true)]
            success: bool,
            #[schema(example = $removed)]
            message: String,
        }

        #[utoipa::path(get, path = concat!("/api/", stringify!($catalog)), tag = stringify!($catalog),
            operation_id = concat!("list_", stringify!($catalog)), summary = concat!("List ", $many),
            description = "All of them in the order of their creation, unless parameters narrow the list.",
            params(ListQuery, IfNoneMatch),
            responses((status = 200, description = concat!("The ", $many), body = Vec<$view>),
                (status = 304, description = "The caller's list is up to date"), ReadErrors))]
        pub(super) async fn list(
            State(service): State<$service>,
            QueryParams(query): QueryParams<ListQuery>,
            known: IfNoneMatch,
        ) -> Response {
            list_reply(&service.snapshot().$catalog, &query, &known)
        }

        #[utoipa::path(get, path = concat!("/api/", stringify!($catalog), "/{name}"), tag = stringify!($catalog),
            operation_id = concat!("get_", stringify!($field)), summary = concat!("Show ", $one),
            description = "As it was written: `${NAME}` stands as such, credentials are masked.",
            params(PathName, IfNoneMatch),
            responses((status = 200, description = concat!("The ", $noun), body = $view),
                (status = 304, description = "The caller's copy is up to date"),
                (status = 404, description = concat!("No such ", $noun), body = ErrorBody), ReadErrors))]
        pub(super) async fn get(
            State(service): State<$service>,
            PathName(name): PathName,
            known: IfNoneMatch,
        ) -> Result<Response, ApiError> {
            show_reply(&service.snapshot().$catalog, &name, &known)
        }

        #[utoipa::path(post, path = concat!("/api/", stringify!($catalog)), tag = stringify!($catalog),
            operation_id = concat!("create_", stringify!($field)), summary = concat!("Add ", $one),
            description = "Stored before this answers; it survives a restart.", request_body = $body,
            responses((status = 201, description = "Added", body = $changed),
                (status = 409, description = "The name is taken", body = ErrorBody), BodyErrors))]
        pub(super) async fn create(
            State(service): State<$service>,
            body: OptionalBody,
        ) -> Result<JsonReply<$changed>, ApiError> {
            let entry = service.config().create::<$settings>(body.into_object()?).await?;
            let message = format!(concat!($label, " '{}' created successfully"), entry.name);
            let version = entry.version.clone();
            let changed = $changed { success: true, message, $field: entry };
            Ok(JsonReply::with_status(StatusCode::CREATED, changed).tagged(version))
        }

        #[utoipa::path(put, path = concat!("/api/", stringify!($catalog), "/{name}"), tag = stringify!($catalog),
            operation_id = concat!("update_", stringify!($field)), summary = concat!("Change ", $one),
            description = concat!("Replaces the ", $noun, " as a whole. Another name in the body renames it. ", $moves),
            request_body = $body, params(PathName, IfMatch),
            responses((status = 200, description = "Changed", body = $changed),
                (status = 404, description = concat!("No such ", $noun), body = ErrorBody),
                (status = 409, description = "The new name is taken", body = ErrorBody),
                (status = 412, description = concat!("The ", $noun, " has changed since it was read"), body = ErrorBody),
                BodyErrors))]
        pub(super) async fn update(
            State(service): State<$service>,
            PathName(name): PathName,
            IfMatch(expected): IfMatch,
            body: OptionalBody,
        ) -> Result<JsonReply<$changed>, ApiError> {
            let config = service.config();
            let entry = config.update::<$settings>(name.to_string(), expected, body.into_object()?).await?;
            let message = format!(concat!($label, " '{}' updated successfully"), name);
            let version = entry.version.clone();
            Ok(JsonReply::ok($changed { success: true, message, $field: entry }).tagged(version))
        }

        #[utoipa::path(delete, path = concat!("/api/", stringify!($catalog), "/{name}"), tag = stringify!($catalog),
            operation_id = concat!("delete_", stringify!($field)), summary = concat!("Remove ", $one),
            description = "For good: one that a file or variable names stays removed after a restart.",
            params(PathName, IfMatch),
            responses((status = 200, description = "Removed", body = $deleted),
                (status = 404, description = concat!("No such ", $noun), body = ErrorBody),
                (status = 412, description = concat!("The ", $noun, " has changed since it was read"), body = ErrorBody),
                ReadErrors))]
        pub(super) async fn delete(
            State(service): State<$service>,
            PathName(name): PathName,
            IfMatch(expected): IfMatch,
        ) -> Result<JsonReply<$deleted>, ApiError> {
            service.config().remove::<$settings>(name.to_string(), expected).await?;
            let message = format!(concat!($label, " '{}' deleted successfully"), name);
            Ok(JsonReply::ok($deleted { success: true, message }))
        }
    };
}
pub(crate) use resource_routes;

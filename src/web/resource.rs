use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{ApiError, IfNoneMatch, JsonReply, ListQuery, not_modified};
use crate::kernel::ResourceName;
use crate::settings::{Catalog, CatalogEntry, Resource};

/// The reply to a list of resources: each as a `V`, or 304 if the caller has this list.
pub fn list_reply<T: Resource, V>(catalog: &Catalog<T>, query: &ListQuery, known: &IfNoneMatch) -> Response
where
    V: Serialize + for<'a> From<&'a CatalogEntry<T>>,
{
    let (entries, version) = query.select(catalog);
    if known.has(&version) {
        return not_modified(&version);
    }
    let list: Vec<V> = entries.iter().map(|entry| V::from(entry.as_ref())).collect();
    JsonReply::ok(list).tagged(version).into_response()
}

/// The reply to a request for one resource: as a `V`, or 304 if the caller has this version.
pub fn show_reply<T: Resource, V>(
    catalog: &Catalog<T>,
    name: &ResourceName,
    known: &IfNoneMatch,
) -> Result<Response, ApiError>
where
    V: Serialize + for<'a> From<&'a CatalogEntry<T>>,
{
    let entry = catalog.require(name.as_str())?;
    if known.has(&entry.version) {
        return Ok(not_modified(&entry.version));
    }
    Ok(JsonReply::ok(V::from(entry.as_ref())).tagged(&entry.version).into_response())
}

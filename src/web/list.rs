use std::ops::RangeInclusive;
use std::sync::Arc;

use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::FromFields;
use super::openapi::schema::{query, query_boolean, query_integer, text};
use crate::kernel::{Fields, version_of};
use crate::settings::{Catalog, CatalogEntry, Resource};

/// How many entries a list may be limited to.
const LIMITS: RangeInclusive<i64> = 0..=1_000_000;
/// How many entries a list may leave out.
const OFFSETS: RangeInclusive<i64> = 0..=i64::MAX;

/// What to list: the query parameters that all lists of resources share. Without any, everything is listed.
#[derive(Debug)]
pub struct ListQuery {
    limit: Option<usize>,
    offset: usize,
    enabled: Option<bool>,
    kind: Option<String>,
    q: Option<String>,
}

impl FromFields for ListQuery {
    fn read(fields: &mut Fields<'_>) -> Self {
        fields.beyond_original(|fields| Self {
            limit: fields.int_optional("limit", LIMITS).and_then(|limit| usize::try_from(limit).ok()),
            offset: fields.count_or("offset", 0, OFFSETS),
            enabled: fields.optional("enabled"),
            kind: fields.optional::<String>("type").filter(|kind| !kind.is_empty()),
            q: fields.optional::<String>("q").map(|q| q.to_lowercase()),
        })
    }
}

impl IntoParams for ListQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            query("limit", "At most this many", query_integer(&LIMITS)),
            query("offset", "Leave out this many at the beginning", query_integer(&OFFSETS)),
            query("enabled", "Only enabled or only disabled ones", query_boolean()),
            query("type", "Only those of this type, where there are types", text()),
            query("q", "Only those whose name, type or description has this text in it", text()),
        ]
    }
}

impl ListQuery {
    /// The entries asked for, and a version of the list that changes with any of them.
    pub fn select<T: Resource>(&self, catalog: &Catalog<T>) -> (Vec<Arc<CatalogEntry<T>>>, String) {
        let found = catalog.iter().filter(|entry| self.fits(entry)).skip(self.offset);
        let entries: Vec<_> = found.take(self.limit.unwrap_or(usize::MAX)).cloned().collect();
        let versions: String = entries.iter().map(|entry| entry.version.as_str()).collect();
        (entries, version_of(&versions))
    }

    fn fits<T: Resource>(&self, entry: &CatalogEntry<T>) -> bool {
        let resource = &entry.effective;
        let mentions = |q: &String| {
            let texts = [Some(entry.name.as_str()), resource.description(), resource.kind()];
            texts.into_iter().flatten().any(|text| text.to_lowercase().contains(q))
        };
        self.enabled.is_none_or(|enabled| resource.enabled() == enabled)
            && self.kind.as_ref().is_none_or(|kind| resource.kind().is_none_or(|own| own.eq_ignore_ascii_case(kind)))
            && self.q.as_ref().is_none_or(mentions)
    }
}

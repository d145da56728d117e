use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde_json::{Map, Value};

use super::{ApiError, FromFields};
use crate::kernel::Fields;

/// The query string, read as `T`. As in the original, the last of repeated parameters wins and unknown ones are ignored.
#[derive(Debug)]
pub struct QueryParams<T>(pub T);

impl<S: Send + Sync, T: FromFields> FromRequestParts<S> for QueryParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let object: Map<_, _> =
            pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect();
        let mut fields = Fields::new(&object, vec!["query".into()]);
        let read = T::read(&mut fields);
        Ok(Self(fields.finish(read)?))
    }
}

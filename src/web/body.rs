use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use futures_util::StreamExt;
use serde_json::{Map, Value};

use super::python_json::beyond_json;
use super::{ApiError, FromFields};
use crate::kernel::{Error, ErrorKind, FieldIssue, Fields, JsonError, JsonReader, Segment, Stopwatch, media_type};
use crate::settings::ServerSettings;

/// How deeply a body may be nested; the JSON parser's own limit.
const MAX_JSON_DEPTH: usize = 127;
/// What a client is told whose body is beyond the limit.
pub(super) const BODY_TOO_LARGE: &str = "The body is larger than MAX_BODY_BYTES allows";

/// What the bodies of requests may hold; a layer around every route gives it to the extractors.
fn limits(request: &Request) -> Result<Arc<ServerSettings>, Error> {
    let settings = request.extensions().get().cloned();
    settings.ok_or_else(|| Error::internal("a body can't be read", "the layers of the server are missing"))
}

/// A JSON object in the body, read as `T`.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: FromFields> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let limits = limits(&request)?;
        let object = OptionalBody::from_request(request, state).await?.into_object()?;
        let mut fields = Fields::new(&object, vec!["body".into()]);
        let read = T::read(&mut fields);
        fields.extend(limits.object_limits.issues(&object));
        Ok(Self(fields.finish(read)?))
    }
}

/// Whatever JSON the body holds; `None` for no body and for `null`.
#[derive(Debug)]
pub struct OptionalBody(pub Option<Value>);

impl<S: Send + Sync> FromRequest<S> for OptionalBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let unsupported = unsupported(request.headers());
        let limits = limits(&request)?;
        let uploading = Stopwatch::wait();
        let bytes = collect(request.into_body(), limits.max_body_bytes).await?;
        drop(uploading);
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        if let Some(text) = unsupported {
            return Err(ApiError::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", text));
        }
        let value = parse(&bytes, limits.body_reader)?;
        Ok(Self(Some(value).filter(|value| !value.is_null())))
    }
}

impl OptionalBody {
    /// The body as an object.
    pub fn into_object(self) -> Result<Map<String, Value>, ApiError> {
        let (kind, msg, input) = match self.0 {
            Some(Value::Object(object)) => return Ok(object),
            None => ("missing", "Field required", Value::Null),
            Some(other) => {
                ("model_attributes_type", "Input should be a valid dictionary or object to extract fields from", other)
            }
        };
        Err(Error::invalid(vec![FieldIssue::new(kind, vec!["body".into()], msg, input)]).into())
    }
}

/// What is wrong with how the body is written, as its headers say.
fn unsupported(headers: &HeaderMap) -> Option<&'static str> {
    let all = |name: HeaderName, holds: fn(&str) -> bool| {
        headers.get_all(name).iter().all(|value| holds(&value.to_str().unwrap_or_default().to_ascii_lowercase()))
    };
    let is_plain = |coding: &str| matches!(coding.trim(), "" | "identity");
    // A missing content type counts as JSON, as in the original.
    let rules = [
        (all(header::CONTENT_TYPE, is_json), "Content-Type should be application/json"),
        (all(header::CONTENT_TYPE, is_utf8), "Content-Type: charset should be utf-8, or be left out"),
        (all(header::CONTENT_ENCODING, is_plain), "Content-Encoding should be left out"),
    ];
    rules.into_iter().find_map(|(is_kept, text)| (!is_kept).then_some(text))
}

fn is_json(content_type: &str) -> bool {
    let kind = media_type(content_type);
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn is_utf8(content_type: &str) -> bool {
    let parameters = content_type.split(';').filter_map(|parameter| parameter.split_once('='));
    let mut charsets = parameters.filter(|(name, _)| name.trim() == "charset").map(|(_, value)| value.trim());
    charsets.all(|charset| matches!(charset.trim_matches(['"', '\'']), "utf-8" | "utf8"))
}

/// The bytes of a body, copied together: small pieces would each keep the large buffer that they were read into.
async fn collect(body: Body, max_bytes: usize) -> Result<Vec<u8>, ApiError> {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(max_bytes).min(max_bytes);
    // Memory that nothing is written to yet is only promised.
    let (mut pieces, mut bytes) = (body.into_data_stream(), Vec::with_capacity(expected));
    while let Some(piece) = pieces.next().await {
        let unreadable = |_| Error::new(ErrorKind::BadRequest, "The body could not be read to its end");
        let piece = piece.map_err(unreadable)?;
        if bytes.len() + piece.len() > max_bytes {
            return Err(Error::new(ErrorKind::TooLarge, BODY_TOO_LARGE).into());
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Reads a body, after a byte order mark.
pub(super) fn parse(bytes: &[u8], reader: JsonReader) -> Result<Value, Error> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    reader.read(text).map_err(|error| {
        let error = match error {
            JsonError::Invalid(error) => error,
            JsonError::TooManyValues(most) => {
                let text = format!("The body has more than {most} values (MAX_BODY_VALUES)");
                return Error::new(ErrorKind::TooLarge, text);
            }
        };
        let cause = error.to_string();
        if cause.starts_with("recursion limit") {
            let text = format!("There was an error parsing the body: nested more than {MAX_JSON_DEPTH} levels deep");
            return Error::new(ErrorKind::BadRequest, text);
        }
        if let Some(issue) = beyond_json(text, reader) {
            return Error::invalid(vec![issue]);
        }
        let loc = vec!["body".into(), Segment::Index(offset(text, error.line(), error.column()))];
        let cause = cause.rsplit_once(" at line ").map_or(cause.as_str(), |(cause, _)| cause);
        let issue = FieldIssue::new("json_invalid", loc, "JSON decode error", Value::Object(Map::new()));
        let ctx = Map::from_iter([("error".to_owned(), cause.into())]);
        Error::invalid(vec![FieldIssue { ctx: Some(Box::new(ctx.into())), ..issue }])
    })
}

/// Where line and column (both from 1) are in the text, counted in bytes from 0.
fn offset(text: &[u8], line: usize, column: usize) -> usize {
    let before = text.split_inclusive(|b| *b == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum::<usize>();
    (before + column).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Value, Error> {
        super::parse(bytes, JsonReader::new(10_000))
    }

    #[test]
    fn malformed_json_is_told_with_its_place() {
        let error = parse(b"{\n \"a\": nul}").unwrap_err();
        assert_eq!(json!(error.issues()[0].loc), json!(["body", 11]));
        assert_eq!(parse("[".repeat(5000).as_bytes()).unwrap_err().kind(), ErrorKind::BadRequest);
        assert!(parse(format!("{}{}", "[".repeat(100), "]".repeat(100)).as_bytes()).is_ok());
        for unreadable in [b"{\"a\": 1e400}".as_slice(), b"{\"a\": \"\\ud800\"}", b"{\"a\": NaN}"] {
            assert_eq!(parse(unreadable).unwrap_err().issues()[0].path(), "body.a");
        }
        assert_eq!(parse(b"\xef\xbb\xbf{}").unwrap(), json!({}));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            drop(parse(&bytes));
        }
    }
}

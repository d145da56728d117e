use std::ops::RangeInclusive;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use serde_json::{Map, Value};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::ApiError;
use super::caller::sees_conversation;
use super::openapi::schema::{parameter, query_integer, text};
use super::openapi::texts;
use crate::kernel::{Error, FieldIssue, Fields, ResourceName, UserId, quoted};

/// Declares an extractor of the one parameter of a path: what it is called, what it is for, what it may hold and how it is read.
macro_rules! path_parameter {
    ($(#[$about:meta])* $extractor:ident($type:ty), $name:literal, $purpose:expr, $schema:expr, $parse:expr $(, $check:expr)?) => {
        $(#[$about])*
        #[derive(Debug)]
        pub struct $extractor(pub $type);

        impl<S: Send + Sync> FromRequestParts<S> for $extractor {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
                let text = read_parameter(parts, state, $name).await?;
                let value = $parse(&text).map_err(|expected| invalid_parameter($name, expected, text))?;
                $($check(parts, &value)?;)?
                Ok(Self(value))
            }
        }

        impl IntoParams for $extractor {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                vec![parameter(ParameterIn::Path, $name, $purpose, $schema)]
            }
        }
    };
}

path_parameter!(
    /// The `{user_id}` of the path, if it is the caller's.
    PathUser(UserId), "user_id", "Whose conversation", texts::user(), UserId::parse, check_own
);
path_parameter!(
    /// The `{user_id}` of the path where something is said, if it is the caller's.
    PathSpeaker(UserId), "user_id", "Whose conversation", texts::speaker(), UserId::parse_speaker, check_own
);
path_parameter!(
    /// The `{name}` of the path: of an agent, a data source or a tool.
    PathName(ResourceName), "name", "Its name", texts::name(), ResourceName::parse
);
path_parameter!(
    /// The `{name}` of the path where it may be that of a function. MCP servers give theirs almost any name.
    PathFunction(String), "name",
    "Name of the tool, or of the function as `registry/schemas` has it: `server__tool` for one of an MCP server",
    texts::plain(&(1..=MAX_FUNCTION_CHARS)), function_name
);
path_parameter!(
    /// The `{id}` of the path, as text.
    PathId(String), "id", "Its id", text(), |text: &str| Ok::<_, String>(text.to_owned())
);

path_parameter!(
    /// The `{step}` of the path: of an execution.
    PathStep(String), "step", "Id of the step", text(), |text: &str| Ok::<_, String>(text.to_owned())
);

/// Numbers of revisions.
pub const REVISIONS: RangeInclusive<i64> = 1..=999_999_999;

path_parameter!(
    /// The `{number}` of the path: of a revision.
    PathRevision(i64), "number", "Number of the revision", query_integer(&REVISIONS), revision_number
);

fn revision_number(text: &str) -> Result<i64, String> {
    let members = Map::from_iter([("number".to_owned(), Value::from(text))]);
    let mut fields = Fields::new(&members, Vec::new());
    let number = fields.int_or("number", 1, REVISIONS);
    fields.into_issues().pop().map_or(Ok(number), |issue| Err(issue.msg))
}

/// Longest name of a function, in characters: that of a server, and its own.
const MAX_FUNCTION_CHARS: usize = 260;

fn function_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().count() > MAX_FUNCTION_CHARS || text.chars().any(char::is_control) {
        return Err(format!("Input should have 1 to {MAX_FUNCTION_CHARS} characters, and no control characters"));
    }
    Ok(text.to_owned())
}

/// Somebody else's things are not there for a caller.
fn check_own(parts: &Parts, user: &UserId) -> Result<(), ApiError> {
    if sees_conversation(parts, user) {
        return Ok(());
    }
    Err(Error::not_found(format!("User {} not found", quoted(user.as_str()))).into())
}

/// A parameter of the path, percent-decoded.
async fn read_parameter<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str) -> Result<String, ApiError> {
    let parameters = RawPathParams::from_request_parts(parts, state).await.ok();
    let text = parameters.iter().flatten().find(|(known, _)| *known == name).map(|(_, text)| text.to_owned());
    let expected = "Input should be UTF-8 once percent-decoded";
    text.ok_or_else(|| invalid_parameter(name, expected.to_owned(), String::new()))
}

fn invalid_parameter(name: &str, expected: String, input: String) -> ApiError {
    let loc = vec!["path".into(), name.into()];
    Error::invalid(vec![FieldIssue::new("value_error", loc, expected, Value::String(input))]).into()
}

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde_json::Value;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::ApiError;
use super::openapi::schema::{path, text};
use super::openapi::texts;
use crate::kernel::{Error, FieldIssue, ResourceName, UserId};

/// The `{user_id}` of the path.
#[derive(Debug)]
pub struct PathUser(pub UserId);

impl<S: Send + Sync> FromRequestParts<S> for PathUser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = parameter(parts, state, "user_id").await?;
        let user = UserId::parse(&text).map_err(|expected| invalid_parameter("user_id", expected, text))?;
        Ok(Self(user))
    }
}

/// The `{name}` of the path: of an agent, a data source or a tool.
#[derive(Debug)]
pub struct PathName(pub ResourceName);

impl<S: Send + Sync> FromRequestParts<S> for PathName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = parameter(parts, state, "name").await?;
        let name = ResourceName::parse(&text).map_err(|expected| invalid_parameter("name", expected, text))?;
        Ok(Self(name))
    }
}

/// Longest name of a function, in characters: that of a server, and its own.
const MAX_FUNCTION_CHARS: usize = 260;

/// The `{name}` of the path where it may be that of a function. MCP servers give theirs almost any name.
#[derive(Debug)]
pub struct PathFunction(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathFunction {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = parameter(parts, state, "name").await?;
        if text.is_empty() || text.chars().count() > MAX_FUNCTION_CHARS || text.chars().any(char::is_control) {
            let expected = format!("Name should have 1 to {MAX_FUNCTION_CHARS} characters, and no control characters");
            return Err(invalid_parameter("name", expected, text));
        }
        Ok(Self(text))
    }
}

/// The `{id}` of the path, as text.
#[derive(Debug)]
pub struct PathId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        parameter(parts, state, "id").await.map(Self)
    }
}

impl IntoParams for PathUser {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![path("user_id", "Whose conversation", texts::user())]
    }
}

impl IntoParams for PathName {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![path("name", "Its name", texts::name())]
    }
}

impl IntoParams for PathFunction {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let purpose = "Name of the tool, or of the function as `registry/schemas` has it: `server__tool` for one of an MCP server";
        vec![path("name", purpose, texts::plain(&(1..=MAX_FUNCTION_CHARS)))]
    }
}

impl IntoParams for PathId {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![path("id", "Its id", text())]
    }
}

/// The only parameter of the path, percent-decoded.
#[expect(clippy::disallowed_types, reason = "the one place that wraps axum's own extractor")]
async fn parameter<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str) -> Result<String, ApiError> {
    match axum::extract::Path::<String>::from_request_parts(parts, state).await {
        Ok(axum::extract::Path(text)) => Ok(text),
        Err(_) => Err(invalid_parameter(name, "Input should be UTF-8 once percent-decoded".to_owned(), String::new())),
    }
}

fn invalid_parameter(name: &str, expected: String, input: String) -> ApiError {
    let loc = vec!["path".into(), name.into()];
    Error::invalid(vec![FieldIssue::new("value_error", loc, expected, Value::String(input))]).into()
}

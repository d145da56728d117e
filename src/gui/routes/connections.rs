use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::gui::connection::{self, ConnectionTest};
use crate::kernel::Secret;
use crate::llm::{LlmError, LlmService};
use crate::settings::{LlmSettings, bounds};
use crate::storage::ConfigService;
use crate::web::openapi::schema::{Members, anything, decimal, integer, or_blank, or_null};
use crate::web::openapi::texts;
use crate::web::{ApiError, BodyErrors, ErrorBody, JsonReply, OptionalBody, PathId, ReadErrors};

/// A connection as the page shows it.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "default", "name": "Default LLM", "base_url": "http://localhost:11434", "api_key": null, "model": "llama3.2",
    "timeout": 60, "max_tokens": null, "temperature": 0.7
}))]
struct LlmConnection {
    id: &'static str,
    name: &'static str,
    base_url: Option<String>,
    /// `********` if there is a key, else null.
    #[schema(value_type = Option<String>)]
    api_key: Option<Secret>,
    model: Option<String>,
    /// In seconds.
    timeout: i64,
    max_tokens: Option<i64>,
    /// Null if it is left to the server.
    temperature: Option<f64>,
}

impl From<&LlmSettings> for LlmConnection {
    fn from(llm: &LlmSettings) -> Self {
        Self {
            id: connection::ID,
            name: connection::NAME,
            base_url: llm.base_url.clone(),
            api_key: llm.api_key.clone(),
            model: llm.default_model.clone(),
            timeout: llm.timeout_seconds,
            max_tokens: llm.max_tokens,
            temperature: llm.temperature,
        }
    }
}

/// The connections.
#[derive(Serialize, ToSchema)]
pub(super) struct LlmConnections {
    success: bool,
    /// One at most: none if no LLM is configured.
    connections: Vec<LlmConnection>,
    #[schema(example = 1)]
    total: usize,
}

/// The page's form.
pub(super) struct ConnectionForm;

impl PartialSchema for ConnectionForm {
    fn schema() -> RefOr<Schema> {
        Members::new()
            .optional("id", "The page's own; ignored.", anything())
            .optional("name", "The page's own; ignored.", anything())
            .optional("base_url", "With or without `/v1`.", or_null(or_blank(texts::trimmed_http_url())))
            .optional("api_key", "The mask keeps the key.", or_null(texts::key()))
            .optional("model", "Used where a request names none.", or_null(texts::trimmed()))
            .optional("timeout", "Limit for one call, in seconds.", or_null(integer(&bounds::CALL_SECONDS)))
            .optional(
                "max_tokens",
                "Longest answer; null: no limit.",
                or_null(or_blank(integer(&bounds::ANSWER_TOKENS))),
            )
            .optional("temperature", "Sampling temperature.", or_null(or_blank(decimal(&bounds::TEMPERATURES))))
            .with_example(
                "The page's form. Other members are ignored.",
                json!({"id": "llm-1", "name": "Mine", "model": "llama3.2", "timeout": 60, "temperature": 0.7}),
            )
    }
}

impl ToSchema for ConnectionForm {}

/// A connection was saved or reset.
#[derive(Serialize, ToSchema)]
pub(super) struct ConnectionChange {
    success: bool,
    #[schema(example = "LLM connection saved")]
    message: &'static str,
    connection: LlmConnection,
}

/// A connection was tested and saved.
#[derive(Serialize, ToSchema)]
pub(super) struct SavedConnection {
    success: bool,
    #[schema(example = "LLM connection saved")]
    message: &'static str,
    connection: LlmConnection,
    test_result: TestedConnection,
}

/// How a server answers.
#[derive(Serialize, ToSchema)]
pub(super) struct TestedConnection {
    connected: bool,
    #[schema(example = 12.5)]
    latency_ms: f64,
    /// What was found, or what is wrong.
    #[schema(example = "The server answers and offers 3 model(s)")]
    message: String,
}

impl From<ConnectionTest> for TestedConnection {
    fn from(test: ConnectionTest) -> Self {
        let ConnectionTest { connected, latency_ms, message } = test;
        Self { connected, latency_ms, message }
    }
}

/// The models of a connection's server.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"success": true, "models": [{"id": "llama3.2", "name": "llama3.2"}], "message": null}))]
pub(super) struct ConnectionModels {
    success: bool,
    models: Vec<ConnectionModel>,
    /// Why there are none.
    message: Option<String>,
}

/// A model.
#[derive(Serialize, ToSchema)]
struct ConnectionModel {
    id: String,
    name: String,
}

/// Save the LLM page's form
///
/// For the existing GUI. The same as `PUT /api/llm/config` with the names of the form.
#[utoipa::path(post, path = "/api/llm/config", tag = "gui", operation_id = "post_llm_config", request_body = ConnectionForm,
    responses((status = 200, description = "Saved", body = ConnectionChange), BodyErrors))]
pub(super) async fn save_config(
    State(llm): State<LlmService>,
    body: OptionalBody,
) -> Result<JsonReply<ConnectionChange>, ApiError> {
    let saved = connection::save(&llm, &body.into_object()?).await?;
    let (message, connection) = ("LLM configuration updated successfully", LlmConnection::from(&saved));
    Ok(JsonReply::ok(ConnectionChange { success: true, message, connection }))
}

/// List LLM connections
///
/// For the existing GUI. There is one, `default`, once an LLM is configured.
#[utoipa::path(get, path = "/api/config/llm-connections", tag = "gui", operation_id = "list_llm_connections",
    responses((status = 200, description = "The connections", body = LlmConnections)))]
pub(super) async fn list(State(llm): State<LlmService>) -> JsonReply<LlmConnections> {
    let settings = llm.snapshot();
    let shown = Some(settings.llm.written()).filter(|llm| llm.base_url.is_some());
    let connections: Vec<_> = shown.map(LlmConnection::from).into_iter().collect();
    JsonReply::ok(LlmConnections { success: true, total: connections.len(), connections })
}

/// Test and save an LLM connection
///
/// For the existing GUI. Whatever its `id`, the form is that of the one connection. Nothing is saved if its server does not answer.
#[utoipa::path(post, path = "/api/config/llm-connections", tag = "gui", operation_id = "save_llm_connection",
    request_body = ConnectionForm,
    responses((status = 200, description = "It answers, and is saved", body = SavedConnection),
        (status = 400, description = "A field is wrong, or the server does not answer; nothing was saved", body = ErrorBody),
        BodyErrors))]
pub(super) async fn save(
    State(llm): State<LlmService>,
    body: OptionalBody,
) -> Result<JsonReply<SavedConnection>, ApiError> {
    let (saved, tested) = connection::save_tested(&llm, &llm.snapshot(), body.into_object()?).await?;
    let (message, connection) = ("LLM connection saved", LlmConnection::from(&saved));
    Ok(JsonReply::ok(SavedConnection { success: true, message, connection, test_result: tested.into() }))
}

/// Reset an LLM connection
///
/// For the existing GUI. The same as `DELETE /api/llm/config`: environment and files count again.
#[utoipa::path(delete, path = "/api/config/llm-connections/{id}", tag = "gui", operation_id = "delete_llm_connection",
    params(PathId),
    responses((status = 200, description = "Reset", body = ConnectionChange),
        (status = 404, description = "No such connection", body = ErrorBody), ReadErrors))]
pub(super) async fn remove(
    State(llm): State<LlmService>,
    PathId(id): PathId,
) -> Result<JsonReply<ConnectionChange>, ApiError> {
    connection::require(&id)?;
    let (message, connection) =
        ("LLM connection reset to files and environment", LlmConnection::from(&llm.reset().await?));
    Ok(JsonReply::ok(ConnectionChange { success: true, message, connection }))
}

/// Models of an LLM connection
///
/// For the existing GUI. What the server lists; where it lists none, the default model, and `message` says why.
#[utoipa::path(get, path = "/api/config/llm-connections/{id}/models", tag = "gui", operation_id = "llm_connection_models",
    params(PathId),
    responses((status = 200, description = "The models", body = ConnectionModels),
        (status = 404, description = "No such connection", body = ErrorBody), ReadErrors))]
pub(super) async fn models(
    State(llm): State<LlmService>,
    PathId(id): PathId,
) -> Result<JsonReply<ConnectionModels>, ApiError> {
    connection::require(&id)?;
    let settings = llm.snapshot();
    let (ids, error) = match llm.models(&settings).await {
        Ok(models) => (models.iter().filter_map(|model| model.get("id")?.as_str().map(str::to_owned)).collect(), None),
        Err(error) => (settings.llm.written().default_model.iter().cloned().collect::<Vec<_>>(), Some(error)),
    };
    let success = !error.as_ref().is_some_and(|error| matches!(error, LlmError::NoBaseUrl) || error.is_refused_key());
    let models = ids.into_iter().map(|id| ConnectionModel { name: id.clone(), id }).collect();
    let message = error.map(|error| error.to_string());
    Ok(JsonReply::ok(ConnectionModels { success, models, message }))
}

/// Test an LLM connection
///
/// For the existing GUI. Asks the server, but no model. Answers 200 whatever comes of it: `connected` and `message` tell.
#[utoipa::path(post, path = "/api/config/llm-connections/{id}/test", tag = "gui", operation_id = "test_llm_connection",
    params(PathId),
    responses((status = 200, description = "How the server answers", body = TestedConnection),
        (status = 404, description = "No such connection", body = ErrorBody), ReadErrors))]
pub(super) async fn test(
    State(llm): State<LlmService>,
    PathId(id): PathId,
) -> Result<JsonReply<TestedConnection>, ApiError> {
    connection::require(&id)?;
    Ok(JsonReply::ok(connection::test(&llm, &llm.snapshot()).await.into()))
}

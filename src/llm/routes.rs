//! `/api/llm`: configure, test, list models, health.

use std::time::Duration;

use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{LlmError, LlmPing, LlmService};
use crate::kernel::{Caller, Deadline, Error, ErrorKind, Fields, Secret};
use crate::settings::{LlmProvider, LlmSettings, bounds};
use crate::storage::ConfigService;
use crate::web::openapi::schema::{Members, decimal, integer, list_or_text, one_of, or_blank, or_null, text, word};
use crate::web::openapi::texts;
use crate::web::{ApiError, BodyErrors, ErrorBody, FromFields, JsonBody, JsonReply, OptionalBody, ReadErrors};

/// Longest wait for a sign of life. The original's.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// The module's routes.
pub fn router() -> OpenApiRouter<LlmService> {
    OpenApiRouter::new()
        .routes(routes!(get_config, put_config, delete_config))
        .routes(routes!(test))
        .routes(routes!(models))
        .routes(routes!(health))
}

one_of!(
    /// Wire format of an LLM server.
    Provider,
    LlmProvider::NAMES
);

/// The LLM connection. The key is never shown, only that there is one.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "base_url": "http://localhost:11434", "default_model": "llama3.2", "api_key": null, "timeout_seconds": 60,
    "max_retries": 3, "temperature": 0.7, "max_tokens": null, "provider": "auto", "fallback_models": []
}))]
struct LlmConfig {
    /// With or without `/v1`.
    base_url: Option<String>,
    /// Used where a request names no model.
    default_model: Option<String>,
    /// `********` if there is a key, else null.
    #[schema(value_type = Option<String>)]
    api_key: Option<Secret>,
    /// Limit for one call with its retries, in seconds; for a stream, the longest silence.
    timeout_seconds: i64,
    /// Attempts in all; 0 and 1 mean a single one.
    max_retries: i64,
    /// Sampling temperature, 0 to 2; null leaves it to the server.
    temperature: Option<f64>,
    /// Longest answer, in tokens; null leaves it to the server.
    max_tokens: Option<i64>,
    /// `auto`, `openai` or `ollama`.
    #[schema(value_type = Provider)]
    provider: &'static str,
    /// Models tried in this order after the first one failed.
    fallback_models: Vec<String>,
}

/// A partial change.
struct LlmConfigChange;

impl PartialSchema for LlmConfigChange {
    fn schema() -> RefOr<Schema> {
        let provider = or_blank(word(&LlmProvider::NAMES));
        let models = list_or_text(texts::without_control(), texts::trimmed());
        Members::new()
            .optional("base_url", "With or without `/v1`.", or_null(or_blank(texts::trimmed_http_url())))
            .optional("default_model", "Used where a request names no model.", or_null(texts::trimmed()))
            .optional("api_key", "Sent as a bearer token.", or_null(texts::key()))
            .optional("timeout_seconds", "Limit for one call.", or_null(integer(&bounds::CALL_SECONDS)))
            .optional("max_retries", "Attempts in all; 0 and 1 mean one.", or_null(integer(&bounds::LLM_ATTEMPTS)))
            .optional("temperature", "Sampling temperature.", or_null(or_blank(decimal(&bounds::TEMPERATURES))))
            .optional("max_tokens", "Longest answer.", or_null(or_blank(integer(&bounds::ANSWER_TOKENS))))
            .optional("provider", "`auto`, `openai` or `ollama`.", or_null(provider))
            .optional("fallback_models", "Models tried after the first one failed.", or_null(models))
            .with_example(
                "A partial change: missing and null fields keep their value, `\"\"` clears, the mask keeps the key.",
                json!({"base_url": "http://localhost:11434", "default_model": "llama3.2", "temperature": 0.2}),
            )
    }
}

impl ToSchema for LlmConfigChange {}

/// The configuration after a change.
#[derive(Serialize, ToSchema)]
struct LlmConfigResponse {
    #[schema(example = true)]
    success: bool,
    #[schema(example = "LLM configuration updated successfully")]
    message: &'static str,
    #[schema(value_type = LlmConfig)]
    config: LlmSettings,
}

/// What to test the connection with.
struct LlmTestRequest {
    prompt: String,
    model: Option<String>,
}

/// What a test says if it is not told.
const GREETING: &str = "Hello, how are you?";

impl PartialSchema for LlmTestRequest {
    fn schema() -> RefOr<Schema> {
        Members::new()
            .with_default("prompt", "What to say.", text(), GREETING)
            .optional("model", "Null or `\"\"` means the default model.", or_null(text()))
            .with_example("What to test the connection with.", json!({"prompt": GREETING}))
    }
}

impl ToSchema for LlmTestRequest {}

impl FromFields for LlmTestRequest {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { prompt: fields.or("prompt", GREETING.to_owned()), model: fields.optional("model") }
    }
}

/// How the test went.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "success": true, "message": "LLM connection successful",
    "response": {"response": {"choices": [{"message": {"role": "assistant", "content": "Hello!"}}]},
        "model_used": "llama3.2", "attempts": 1, "success": true},
    "error": null, "response_time_ms": 412.7
}))]
struct LlmTestResponse {
    success: bool,
    message: &'static str,
    response: Option<Value>,
    error: Option<String>,
    /// What kind of error it is, for a program; only there if the LLM was asked in vain.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    response_time_ms: Option<f64>,
}

/// The models a server offers, as it lists them.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "success": true, "models": [{"id": "llama3.2", "name": "llama3.2"}], "default_model": "llama3.2"
}))]
struct LlmModels {
    /// False if the server does not take the key.
    success: bool,
    models: Vec<Value>,
    default_model: Option<String>,
    /// Only there when the server lists no models.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    /// Why it lists none.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Whether the LLM server is up. `error` or `message` say why not.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "healthy": true, "status_code": 200, "base_url": "http://localhost:11434", "default_model": "llama3.2",
    "provider": "ollama", "response_time_ms": 3.1, "adaptations": [], "context_tokens": 2000
}))]
struct LlmHealth {
    healthy: bool,
    status_code: Option<u16>,
    base_url: Option<String>,
    default_model: Option<String>,
    provider: Option<String>,
    response_time_ms: Option<f64>,
    error: Option<String>,
    message: Option<String>,
    /// What requests differ in from the usual, by model, because the server refuses that.
    adaptations: Option<Vec<String>>,
    /// Tokens of a conversation that the default model is shown.
    context_tokens: Option<usize>,
}

/// Show the LLM connection
///
/// The effective configuration: built-in defaults, then files, then environment, then what was changed here.
#[utoipa::path(get, path = "/api/llm/config", tag = "llm", operation_id = "get_llm_config",
    responses((status = 200, description = "The configuration", body = LlmConfig)))]
async fn get_config(State(llm): State<LlmService>) -> JsonReply<LlmSettings> {
    JsonReply::ok(llm.snapshot().llm.written().clone())
}

/// Change the LLM connection
///
/// Checked, stored, then effective for the next request; it survives a restart. When `base_url` moves to another server
/// while a key is stored, the key must be given again.
#[utoipa::path(put, path = "/api/llm/config", tag = "llm", operation_id = "put_llm_config", request_body = LlmConfigChange,
    responses((status = 200, description = "Changed", body = LlmConfigResponse), BodyErrors))]
async fn put_config(
    State(llm): State<LlmService>,
    body: OptionalBody,
) -> Result<JsonReply<LlmConfigResponse>, ApiError> {
    let config = llm.update(body.into_object()?).await?;
    Ok(JsonReply::ok(LlmConfigResponse { success: true, message: "LLM configuration updated successfully", config }))
}

/// Forget the changes to the LLM connection
///
/// Drops what was set through the API; environment and files count again.
#[utoipa::path(delete, path = "/api/llm/config", tag = "llm", operation_id = "delete_llm_config",
    responses((status = 200, description = "Back to environment and files", body = LlmConfigResponse), ReadErrors))]
async fn delete_config(State(llm): State<LlmService>) -> Result<JsonReply<LlmConfigResponse>, ApiError> {
    let config = llm.reset().await?;
    Ok(JsonReply::ok(LlmConfigResponse { success: true, message: "LLM configuration reset successfully", config }))
}

/// Test the LLM connection
///
/// Sends a prompt to the model. Answers 200 whatever comes of it: `success` and `error` tell.
#[utoipa::path(post, path = "/api/llm/test", tag = "llm", operation_id = "test_llm", request_body = LlmTestRequest,
    responses((status = 200, description = "How the test went", body = LlmTestResponse), BodyErrors))]
async fn test(
    State(llm): State<LlmService>,
    caller: Caller,
    JsonBody(body): JsonBody<LlmTestRequest>,
) -> Result<JsonReply<LlmTestResponse>, ApiError> {
    let (settings, started) = (llm.snapshot(), Instant::now());
    let answer = llm.test(&settings, &body.prompt, body.model, &caller).await;
    let response_time_ms = answer.is_ok().then(|| started.elapsed().as_secs_f64() * 1000.0);
    let (message, error) = match &answer {
        Ok(_) => ("LLM connection successful", None),
        Err(LlmError::LimitReached(reached)) => return Err(Error::from(reached.clone()).into()),
        Err(LlmError::NoBaseUrl) => ("LLM base URL not configured", Some("LLM base URL is required".to_owned())),
        Err(LlmError::NoModel) => {
            let error = "Either configure a default model or specify one in the request";
            ("No LLM model specified", Some(error.to_owned()))
        }
        Err(error) => ("LLM connection failed", Some(error.to_string())),
    };
    let is_configured = |error: &&LlmError| !matches!(error, LlmError::NoBaseUrl | LlmError::NoModel);
    let code =
        answer.as_ref().err().filter(is_configured).map(|error| ApiError::from(Error::from(error.clone())).code());
    let response = answer.ok().map(|answer| {
        json!({"response": answer.raw, "model_used": answer.model, "attempts": answer.attempts, "success": true})
    });
    Ok(JsonReply::ok(LlmTestResponse { success: response.is_some(), message, response, error, code, response_time_ms }))
}

/// List models
///
/// What the server offers: `/v1/models`, or `/api/tags` of Ollama. Where it lists none, the default model, and `error` says why.
#[utoipa::path(get, path = "/api/llm/models", tag = "llm", operation_id = "list_llm_models", responses(
    (status = 200, description = "The models", body = LlmModels),
    (status = 400, description = "No LLM is configured", body = ErrorBody),
    ReadErrors))]
async fn models(State(llm): State<LlmService>) -> Result<JsonReply<LlmModels>, ApiError> {
    let settings = llm.snapshot();
    let default_model = settings.llm.written().default_model.clone();
    let (models, error) = match llm.models(&settings).await {
        Ok(models) => (models, None),
        Err(error @ LlmError::NoBaseUrl) => return Err(Error::new(ErrorKind::BadRequest, error.to_string()).into()),
        Err(error) => (default_model.iter().map(|name| json!({"id": name, "name": name})).collect(), Some(error)),
    };
    Ok(JsonReply::ok(LlmModels {
        success: !error.as_ref().is_some_and(LlmError::is_refused_key),
        models,
        default_model,
        message: error.as_ref().map(|_| "Using configured default model"),
        error: error.map(|error| error.to_string()),
    }))
}

/// Health of the LLM server
///
/// Asks the server for a sign of life where its kind has one: `/api/version` of Ollama; `/v1/models`, then `/health`, of others.
#[utoipa::path(get, path = "/api/llm/health", tag = "llm", operation_id = "llm_health",
    responses((status = 200, description = "Whether it is up", body = LlmHealth)))]
async fn health(State(llm): State<LlmService>) -> JsonReply<Value> {
    let settings = llm.snapshot();
    let LlmSettings { base_url, default_model, .. } = settings.llm.written();
    let (adaptations, context_tokens) = (llm.adaptations(&settings), llm.context_tokens(&settings));
    JsonReply::ok(match llm.health(&settings, Deadline::after(HEALTH_TIMEOUT)).await {
        Ok(LlmPing { status, provider, response_time_ms }) => json!({
            "healthy": status == 200,
            "status_code": status,
            "base_url": base_url,
            "default_model": default_model,
            "provider": provider,
            "response_time_ms": response_time_ms,
            "adaptations": adaptations,
            "context_tokens": context_tokens,
        }),
        Err(LlmError::NoBaseUrl) => json!({"healthy": false, "message": "LLM not configured"}),
        Err(error) => json!({
            "healthy": false,
            "error": error.to_string(),
            "base_url": base_url,
            "adaptations": adaptations,
            "context_tokens": context_tokens,
        }),
    })
}

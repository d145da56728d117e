use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{ChatRequest, LlmClient, LlmError};
use crate::kernel::{Deadline, Error, ErrorKind, FieldIssue, check_credential_origin};
use crate::settings::{Environment, LlmPatch, LlmSettings, Settings, SharedSettings};
use crate::storage::ConfigStore;

const MODELS_TIMEOUT: Duration = Duration::from_secs(10);
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// Configures and tests the LLM connection.
#[derive(Clone, Debug)]
pub struct LlmService {
    settings: SharedSettings,
    store: ConfigStore,
    client: LlmClient,
}

/// How a test of the connection went. Every field is always part of the reply.
#[derive(Debug)]
pub struct LlmTestResult {
    /// Whether the model answered.
    pub success: bool,
    /// What happened, in a sentence.
    pub message: &'static str,
    /// The model's answer.
    pub response: Option<Value>,
    /// What went wrong.
    pub error: Option<String>,
    /// How long the answer took.
    pub response_time_ms: Option<f64>,
}

/// The models that can be asked.
#[derive(Debug)]
pub struct ModelList {
    /// As the server lists them, or else the default one.
    pub models: Vec<Value>,
    /// The default one.
    pub default_model: Option<String>,
    /// Why the server gave no list.
    pub error: Option<LlmError>,
}

impl LlmService {
    /// The section of the configuration store that holds what was changed through the API.
    pub const SECTION: &str = "llm";

    /// A service on these settings, whose changes go to `store`.
    pub fn new(settings: SharedSettings, store: ConfigStore, client: LlmClient) -> Self {
        Self { settings, store, client }
    }

    /// The configuration, as written.
    pub fn config(&self) -> LlmSettings {
        self.settings.snapshot().llm.written().clone()
    }

    /// Changes the configuration: missing and null fields keep, `""` clears. Persisted before this returns.
    pub async fn update(&self, body: Map<String, Value>) -> Result<LlmSettings, Error> {
        let (patch, mut issues) = LlmPatch::from_put(&body);
        self.store_layer(move |current, environment| {
            let refused = patch.check_references(&current.server.api_references);
            let stored = patch.clone().over(current.llm.stored().clone());
            match current.llm.with_stored(stored, environment) {
                _ if !refused.is_empty() => issues.extend(refused),
                Ok(next) => {
                    issues.extend(refuse_moved_key(current.llm.effective(), next.effective(), &patch));
                    if issues.is_empty() {
                        return Ok(Settings { llm: Arc::new(next), ..current.clone() });
                    }
                }
                Err(unusable) => issues.extend(unusable),
            }
            Err(Error::invalid(LlmPatch::issues_in_body(issues)))
        })
        .await
    }

    /// Forgets what was changed through the API: back to environment and files.
    pub async fn reset(&self) -> Result<LlmSettings, Error> {
        self.store_layer(|current, environment| {
            let llm = current.llm.with_stored(LlmPatch::default(), environment).map_err(Error::invalid)?;
            Ok(Settings { llm: Arc::new(llm), ..current.clone() })
        })
        .await
    }

    async fn store_layer(
        &self,
        edit: impl FnOnce(&Settings, &Environment) -> Result<Settings, Error> + Send + 'static,
    ) -> Result<LlmSettings, Error> {
        let store = self.store.clone();
        let persist = |next: Settings| async move {
            let layer = next.llm.stored();
            let value = (*layer != LlmPatch::default()).then(|| layer.to_stored());
            store.write(Self::SECTION, value).await
        };
        let next = self.settings.change(edit, persist).await?;
        Ok(next.llm.written().clone())
    }

    /// Sends a prompt to the model. Never fails: what goes wrong is the outcome.
    pub async fn test(&self, prompt: &str, model: Option<String>) -> LlmTestResult {
        let settings = self.settings.snapshot();
        let started = Instant::now();
        let request = ChatRequest { model, ..ChatRequest::question(prompt) };
        let deadline = Deadline::after(settings.orchestration.timeout);
        // The model in question, not one that may stand in for it.
        let llm = LlmSettings { fallback_models: Vec::new(), ..settings.llm.effective().clone() };
        match self.client.complete(&llm, &request, deadline).await {
            Ok(answer) => LlmTestResult {
                success: true,
                message: "LLM connection successful",
                response: Some(json!({
                    "response": answer.raw,
                    "model_used": answer.model,
                    "attempts": answer.attempts,
                    "success": true,
                })),
                error: None,
                response_time_ms: Some(started.elapsed().as_secs_f64() * 1000.0),
            },
            Err(error) => failed_test(&error),
        }
    }

    /// The models the server offers; if it gives no list, the default model and why.
    pub async fn models(&self) -> Result<ModelList, Error> {
        let settings = self.settings.snapshot();
        let llm = settings.llm.effective();
        if llm.base_url.is_none() {
            return Err(Error::new(ErrorKind::BadRequest, LlmError::NoBaseUrl.to_string()));
        }
        let default_model = settings.llm.written().default_model.clone();
        let listed = self.client.models(llm, Deadline::after(MODELS_TIMEOUT)).await.inspect_err(|error| {
            tracing::warn!(error = error.log_safe(), untrusted = %error, "the LLM server lists no models");
        });
        let (models, error) = match listed {
            Ok(models) => (models, None),
            Err(error) => (default_model.iter().map(|name| json!({"id": name, "name": name})).collect(), Some(error)),
        };
        Ok(ModelList { models, default_model, error })
    }

    /// Whether the server is up, as an object of the original's shape.
    pub async fn health(&self) -> Value {
        let settings = self.settings.snapshot();
        let llm = settings.llm.effective();
        let shown = settings.llm.written();
        let Some(base_url) = shown.base_url.as_deref() else {
            return json!({"healthy": false, "message": "LLM not configured"});
        };
        let started = Instant::now();
        match self.client.ping(llm, Deadline::after(HEALTH_TIMEOUT)).await {
            Ok((status, provider)) => json!({
                "healthy": status == 200,
                "status_code": status,
                "base_url": base_url,
                "default_model": shown.default_model,
                "provider": provider,
                "response_time_ms": started.elapsed().as_secs_f64() * 1000.0,
            }),
            Err(error) => json!({"healthy": false, "error": error.to_string(), "base_url": base_url}),
        }
    }
}

/// A stored key does not follow the base URL to somebody else's server: whoever moves it must know the key. One without a
/// server so far goes to the first.
fn refuse_moved_key(before: &LlmSettings, after: &LlmSettings, patch: &LlmPatch) -> Option<FieldIssue> {
    let same_key = before.api_key.is_some() && before.api_key == after.api_key;
    let is_kept = before.base_url.is_some() && same_key && !patch.sets_literal_key();
    let kept = || is_kept.then(|| vec!["api_key".into()]);
    check_credential_origin(&before.credential_origin(), &after.credential_origin(), kept).err()
}

fn failed_test(error: &LlmError) -> LlmTestResult {
    let (message, text) = match error {
        LlmError::NoBaseUrl => ("LLM base URL not configured", "LLM base URL is required".to_owned()),
        LlmError::NoModel => {
            ("No LLM model specified", "Either configure a default model or specify one in the request".to_owned())
        }
        other => ("LLM connection failed", other.to_string()),
    };
    LlmTestResult { success: false, message, response: None, error: Some(text), response_time_ms: None }
}

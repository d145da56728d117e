use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{ChatRequest, Completion, LlmClient, LlmError};
use crate::kernel::{Caller, Deadline, Error};
use crate::settings::{LlmSettings, Settings};
use crate::storage::{ConfigRepository, ConfigService};

/// Pages of the GUI wait for it, and have the configured models to show where the server says nothing.
const MODELS_TIMEOUT: Duration = Duration::from_millis(3500);

/// Configures and tests the LLM connection.
#[derive(Clone, Debug)]
pub struct LlmService {
    config: ConfigRepository,
    client: LlmClient,
}

/// The answer of an LLM server that was asked for its health.
#[derive(Clone, Debug)]
pub struct LlmPing {
    /// HTTP status.
    pub status: u16,
    /// The dialect it is spoken to in.
    pub provider: &'static str,
    /// How long that took.
    pub response_time_ms: f64,
}

impl LlmPing {
    /// Whether that is the answer of a server that is well.
    pub fn is_healthy(&self) -> bool {
        self.status == 200
    }
}

impl ConfigService for LlmService {
    fn config(&self) -> &ConfigRepository {
        &self.config
    }
}

impl LlmService {
    /// A service that is configured in `config`.
    pub fn new(config: ConfigRepository, client: LlmClient) -> Self {
        Self { config, client }
    }

    /// Changes the configuration: missing and null fields keep, `""` clears. Persisted before this returns.
    pub async fn update(&self, body: Map<String, Value>) -> Result<LlmSettings, Error> {
        self.config
            .change(move |settings, environment| {
                let next = settings.llm.with_change(&body, &settings.server.api_references, environment)?;
                let written = next.written().clone();
                Ok((next, written))
            })
            .await
    }

    /// The settings as [`LlmService::update`] would make them of these. Nothing is changed.
    pub fn preview(&self, settings: &Settings, body: &Map<String, Value>) -> Result<Settings, Error> {
        let next = settings.llm.with_change(body, &settings.server.api_references, self.config.environment())?;
        Ok(settings.with(next))
    }

    /// Forgets what was changed through the API: back to environment and files.
    pub async fn reset(&self) -> Result<LlmSettings, Error> {
        self.config
            .change(|settings, environment| {
                let next = settings.llm.without_changes(environment)?;
                let written = next.written().clone();
                Ok((next, written))
            })
            .await
    }

    /// Sends a prompt to the model in question, and to none that may stand in for it.
    pub async fn test(
        &self,
        settings: &Settings,
        prompt: &str,
        model: Option<String>,
        caller: &Caller,
    ) -> Result<Completion, LlmError> {
        let request = ChatRequest { model, ..ChatRequest::question(prompt) };
        let llm = LlmSettings { fallback_models: Vec::new(), ..settings.llm.effective().clone() };
        self.client.complete(&llm, &request, caller, Deadline::after(settings.orchestration.timeout)).await
    }

    /// The models the server offers, as it lists them.
    pub async fn models(&self, settings: &Settings) -> Result<Vec<Value>, LlmError> {
        let models = self.client.models(settings.llm.effective(), Deadline::after(MODELS_TIMEOUT)).await;
        models.inspect_err(|error| {
            if !matches!(error, LlmError::NoBaseUrl) {
                tracing::warn!(error = error.log_safe(), untrusted = %error, "the LLM server lists no models");
            }
        })
    }

    /// In what requests to the server differ from the usual ones, by model.
    pub fn adaptations(&self, settings: &Settings) -> Vec<String> {
        self.client.adaptations.texts(settings.llm.effective())
    }

    /// Tokens of a conversation that the default model is shown.
    pub fn context_tokens(&self, settings: &Settings) -> usize {
        self.client.context_tokens(settings, None)
    }

    /// Whether the server is up, as far as it says so before `deadline`.
    pub async fn health(&self, settings: &Settings, deadline: Deadline) -> Result<LlmPing, LlmError> {
        let started = Instant::now();
        let (status, provider) = self.client.ping(settings.llm.effective(), deadline).await?;
        Ok(LlmPing { status, provider, response_time_ms: started.elapsed().as_secs_f64() * 1000.0 })
    }
}

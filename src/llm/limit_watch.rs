use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::api_dialect::ApiDialect;
use super::client::LlmClient;
use super::context_limits::{self, MAX_MODELS, ServerLimits};
use super::endpoint::Endpoint;
use super::{LlmError, common_json};
use crate::kernel::Deadline;
use crate::outbound::Call;
use crate::settings::{LlmSection, LlmSettings, Settings, SharedSettings};

/// How often a server is asked: it may have been started with other models since.
const INTERVAL: Duration = Duration::from_secs(600);
/// How soon one is asked again that did not answer.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// Longest wait for its answers.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Models that are asked about one by one, where the list says nothing of them.
const MAX_SHOWN: usize = 8;

impl LlmClient {
    /// Keeps up with how many tokens the models of the configured server take, unless `CONTEXT_TOKENS` says what to show of a
    /// conversation. Never ends; no request waits for it.
    pub async fn watch_limits(self, settings: SharedSettings) {
        let mut changes = settings.subscribe();
        let mut asked: Option<(Arc<LlmSection>, Instant)> = None;
        loop {
            let current = changes.borrow_and_update().clone();
            let is_due =
                asked.as_ref().is_none_or(|(of, next)| !Arc::ptr_eq(of, &current.llm) || *next <= Instant::now());
            if is_due {
                let pause = self.learn_limits(&current).await;
                asked = Some((current.llm.clone(), Instant::now() + pause));
            }
            let next = asked.as_ref().map_or_else(Instant::now, |(_, next)| *next);
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = sleep_until(next) => {}
            }
        }
    }

    /// Asks the server, and tells when to ask again.
    async fn learn_limits(&self, settings: &Settings) -> Duration {
        let llm = settings.llm.effective();
        let Some(base_url) = llm.base_url.clone() else { return INTERVAL };
        if settings.memory.context_tokens.is_some() || !settings.memory.enabled {
            return INTERVAL;
        }
        match self.limits_of(llm).await {
            Ok(tokens) => {
                self.limits.set(ServerLimits { base_url, tokens });
                INTERVAL
            }
            Err(error) => {
                tracing::debug!(error = error.log_safe(), untrusted = %error, "the LLM server does not tell what its models take");
                RETRY_INTERVAL
            }
        }
    }

    async fn limits_of(&self, llm: &LlmSettings) -> Result<HashMap<String, u64>, LlmError> {
        let deadline = Deadline::after(TIMEOUT);
        let endpoint = self.endpoint(llm, deadline).await?;
        match endpoint.dialect {
            ApiDialect::OpenAi => self.limits_listed(llm, &endpoint, deadline).await,
            ApiDialect::Ollama => {
                let mut tokens = HashMap::new();
                for model in llm.default_model.iter().chain(&llm.fallback_models).take(MAX_SHOWN) {
                    let call = Call::post(ApiDialect::show_url(&endpoint.base), &common_json::show_body(model));
                    let shown = self.ask(&endpoint, call, deadline).await?;
                    tokens.extend(context_limits::limit_shown(&shown).map(|limit| (model.clone(), limit)));
                }
                Ok(tokens)
            }
        }
    }

    async fn limits_listed(
        &self,
        llm: &LlmSettings,
        endpoint: &Endpoint,
        deadline: Deadline,
    ) -> Result<HashMap<String, u64>, LlmError> {
        let list = self.models(llm, deadline).await?;
        let entries = list.iter().take(MAX_MODELS);
        let limit = |entry: &Value| Some((entry.get("id")?.as_str()?.to_owned(), context_limits::limit_in(entry)?));
        let mut tokens: HashMap<_, _> = entries.filter_map(limit).collect();
        if list.iter().any(context_limits::is_of_training)
            && let Ok(reply) = self.ask(endpoint, Call::get(ApiDialect::props_url(&endpoint.base)), deadline).await
            && let Some(most) = context_limits::limit_of_slot(&reply)
        {
            tokens.values_mut().for_each(|limit| *limit = most.min(*limit));
        }
        Ok(tokens)
    }

    async fn ask(&self, endpoint: &Endpoint, call: Call, deadline: Deadline) -> Result<Value, LlmError> {
        let reply = self.checked(endpoint, &call.bearer(endpoint.key.as_ref()), deadline).await?;
        endpoint.read_json(reply, deadline).await
    }
}

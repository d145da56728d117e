use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::settings::LlmSettings;

/// How long a model is not offered tools after it refused them: it may have been given another template since.
const REFUSAL_TTL: Duration = Duration::from_secs(600);
/// Models that are remembered at most.
const MAX_MODELS: usize = 256;

/// Remembers which models on which servers refuse requests that offer tools. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct ToolSupport {
    refused: Arc<Mutex<HashMap<(String, String), Instant>>>,
}

impl ToolSupport {
    /// Whether this model refused tools a short while ago.
    pub(super) fn is_refused(&self, llm: &LlmSettings, model: Option<&str>) -> bool {
        let refused = self.refused.lock();
        refused.get(&key(llm, model)).is_some_and(|since| since.elapsed() < REFUSAL_TTL)
    }

    /// This model has just refused tools.
    pub(super) fn note_refusal(&self, llm: &LlmSettings, model: Option<&str>) {
        let mut refused = self.refused.lock();
        refused.retain(|_, since| since.elapsed() < REFUSAL_TTL);
        if refused.len() < MAX_MODELS {
            refused.insert(key(llm, model), Instant::now());
        }
    }
}

fn key(llm: &LlmSettings, model: Option<&str>) -> (String, String) {
    let model = model.filter(|model| !model.is_empty()).or(llm.default_model.as_deref());
    (llm.base_url.clone().unwrap_or_default(), model.unwrap_or_default().to_owned())
}

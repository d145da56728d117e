use serde_json::Value;

use crate::llm::LlmError;
use crate::settings::LlmSettings;

/// Models that the page is told of.
const MAX_MODELS: usize = 1000;

/// The models that a user of the page may choose from.
#[derive(Debug)]
pub(super) struct ModelList {
    /// Ids of models, which are their names too.
    pub(super) ids: Vec<String>,
    pub(super) default: Option<String>,
    pub(super) source: ModelSource,
    /// Why there are no others, in words.
    pub(super) message: Option<String>,
}

/// Who knows these models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModelSource {
    /// The LLM server has listed them.
    Server,
    /// The configuration: the server lists none.
    Configuration,
    /// Nobody: there is no server.
    Nobody,
}

impl ModelList {
    /// What the server has listed, or else what is configured.
    pub(super) fn of(listed: Result<Vec<Value>, LlmError>, settings: &LlmSettings) -> Self {
        let default = settings.default_model.clone();
        let configured = |source, message: String| Self {
            ids: default.iter().chain(&settings.fallback_models).cloned().collect(),
            default: default.clone(),
            source,
            message: Some(message),
        };
        match listed {
            Ok(listed) => {
                let ids: Vec<_> = listed.iter().filter_map(id).take(MAX_MODELS).collect();
                if ids.is_empty() {
                    let message = "The LLM server lists no models; those of the configuration are shown".to_owned();
                    return configured(ModelSource::Configuration, message);
                }
                Self { ids, default, source: ModelSource::Server, message: None }
            }
            Err(error @ LlmError::NoBaseUrl) => configured(
                ModelSource::Nobody,
                format!("No LLM is configured yet ({error}); see the page LLM Connections"),
            ),
            Err(error) => configured(
                ModelSource::Configuration,
                format!("The LLM server lists no models, so those of the configuration are shown: {error}"),
            ),
        }
    }
}

/// The id of a model as a server lists it: OpenAI's `id`, Ollama's `name`.
fn id(model: &Value) -> Option<String> {
    let text = |name: &str| model.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text("id").or_else(|| text("name")).map(str::to_owned)
}

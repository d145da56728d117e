use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::kernel::{Fields, Lenient, LenientResult, read_word};

/// Who decides what a prompt asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntentClassifier {
    /// Words only.
    Rules,
    /// The LLM where words are not clear: while it answers, or before if it can't be offered functions.
    Auto,
    /// The LLM always, words where it fails.
    Llm,
}

impl Lenient for IntentClassifier {
    fn read(value: &Value) -> LenientResult<Self> {
        read_word(value.as_str(), "Input should be 'rules', 'auto' or 'llm'")
    }
}

/// How a chat request is carried out.
#[derive(Clone, Debug)]
pub struct OrchestrationSettings {
    /// `ORCHESTRATION_MAX_ITERATIONS`: rounds of ready tasks.
    pub max_iterations: usize,
    /// `ORCHESTRATION_TIMEOUT_SECONDS`: the deadline of a whole chat request.
    pub timeout: Duration,
    /// `INTENT_CLASSIFIER`
    pub intent_classifier: IntentClassifier,
    /// `GROUNDING_ENABLED`: whether data sources may be consulted.
    pub grounding_enabled: bool,
    /// `GROUNDING_TOP_K`
    pub grounding_top_k: usize,
    /// `GROUNDING_SIMILARITY_THRESHOLD`
    pub grounding_threshold: f64,
    /// `GROUNDING_REFRESH_SECONDS`: how often resources are asked what they offer; zero for never.
    pub grounding_refresh: Duration,
    /// `EMBEDDING_MODEL`: the model of the LLM server that embeds texts.
    pub embedding_model: Option<String>,
}

impl OrchestrationSettings {
    pub(super) fn read(env: &mut Fields<'_>) -> Self {
        Self {
            max_iterations: env.count_or("ORCHESTRATION_MAX_ITERATIONS", 10, 1..=1000),
            timeout: env.seconds_or("ORCHESTRATION_TIMEOUT_SECONDS", 300, 1..=86_400),
            intent_classifier: env.or("INTENT_CLASSIFIER", IntentClassifier::Auto),
            grounding_enabled: env.or("GROUNDING_ENABLED", true),
            grounding_top_k: env.count_or("GROUNDING_TOP_K", 5, 1..=100),
            grounding_threshold: env.float_or("GROUNDING_SIMILARITY_THRESHOLD", 0.7, 0.0..=1.0),
            grounding_refresh: read_refresh(env),
            embedding_model: env
                .optional::<String>("EMBEDDING_MODEL")
                .map(|model| model.trim().to_owned())
                .filter(|model| !model.is_empty()),
        }
    }
}

/// Zero, or a time that leaves upstreams alone for a while.
fn read_refresh(env: &mut Fields<'_>) -> Duration {
    const NAME: &str = "GROUNDING_REFRESH_SECONDS";
    let seconds = env.int_or(NAME, 300, 0..=86_400);
    if (1..10).contains(&seconds) {
        env.reject(NAME, "Input should be 0 or from 10 to 86400");
    }
    Duration::from_secs(seconds.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use crate::settings::{Environment, load};

    #[test]
    fn resources_are_asked_now_and_then_or_never() {
        let read = |seconds: &str| {
            let environment =
                Environment::from_pairs([("GROUNDING_REFRESH_SECONDS", seconds), ("EMBEDDING_MODEL", " ")]);
            load(environment).ok().map(|loaded| loaded.settings.orchestration)
        };
        for (seconds, expected) in [("0", Some(0)), ("10", Some(10)), ("9", None), ("86401", None)] {
            let orchestration = read(seconds);
            assert_eq!(orchestration.as_ref().map(|read| read.grounding_refresh.as_secs()), expected, "{seconds}");
            assert!(orchestration.is_none_or(|read| read.embedding_model.is_none()));
        }
    }
}

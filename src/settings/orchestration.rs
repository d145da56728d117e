use std::time::Duration;

use serde_json::Value;

use crate::kernel::{Fields, Lenient, LenientResult, read_word};

/// Who decides what a prompt asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentClassifier {
    /// Word rules only.
    Rules,
    /// The LLM where the rules are unsure.
    Auto,
    /// The LLM always, the rules where it fails.
    Llm,
}

impl Lenient for IntentClassifier {
    fn read(value: &Value) -> LenientResult<Self> {
        read_word(
            value.as_str(),
            &[("rules", Self::Rules), ("auto", Self::Auto), ("llm", Self::Llm)],
            "Input should be 'rules', 'auto' or 'llm'",
        )
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
}

impl OrchestrationSettings {
    pub(super) fn read(env: &mut Fields<'_>) -> Self {
        let seconds = |value: i64| Duration::from_secs(value.unsigned_abs());
        let count = |value: i64| usize::try_from(value).unwrap_or(1);
        Self {
            max_iterations: count(env.int_or("ORCHESTRATION_MAX_ITERATIONS", 10, 1..=1000)),
            timeout: seconds(env.int_or("ORCHESTRATION_TIMEOUT_SECONDS", 300, 1..=86_400)),
            intent_classifier: env.or("INTENT_CLASSIFIER", IntentClassifier::Rules),
            grounding_enabled: env.or("GROUNDING_ENABLED", true),
            grounding_top_k: count(env.int_or("GROUNDING_TOP_K", 5, 1..=100)),
            grounding_threshold: env.float_or("GROUNDING_SIMILARITY_THRESHOLD", 0.7, 0.0..=1.0),
        }
    }
}

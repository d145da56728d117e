use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

/// The part of what a model takes that a conversation may fill: the rest is for instructions, data, functions and the answer.
const HISTORY_PART: u64 = 4;
/// Most tokens of a conversation that are shown without being asked for: they are paid for with each request.
const MAX_HISTORY_TOKENS: u64 = 32_768;
/// Models of a list that are remembered.
pub(super) const MAX_MODELS: usize = 2_000;
/// Up to here the window of a model of Ollama is what it runs with, whatever is configured there.
const OLLAMA_DEFAULT_TOKENS: u64 = 4_096;

/// Where the lists of models tell how many tokens a model takes: LM Studio, llama.cpp, vLLM, OpenRouter and Together, Groq, Mistral,
/// LiteLLM. What a server runs a model with goes before what the model was made for.
const PLACES: [&str; 10] = [
    "/loaded_context_length",
    "/meta/n_ctx",
    "/n_ctx",
    "/max_model_len",
    "/top_provider/context_length",
    "/context_length",
    "/context_window",
    "/max_context_length",
    "/max_input_tokens",
    "/meta/n_ctx_train",
];

/// How many tokens the models of the server take, as far as it tells. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct ContextLimits(Arc<Mutex<ServerLimits>>);

/// What is known of one server.
#[derive(Debug, Default)]
pub(super) struct ServerLimits {
    pub(super) base_url: String,
    /// Tokens, by the name of the model.
    pub(super) tokens: HashMap<String, u64>,
}

impl ContextLimits {
    /// Takes the place of what was known.
    pub(super) fn set(&self, limits: ServerLimits) {
        *self.0.lock() = limits;
    }

    /// Tokens of a conversation that a model may be shown, if it is known what it takes.
    pub(super) fn history_tokens(&self, base_url: &str, model: &str) -> Option<usize> {
        let known = self.0.lock();
        if known.base_url != base_url {
            return None;
        }
        // A server of one model, as llama.cpp, serves it under any name.
        let only = || known.tokens.values().next().filter(|_| known.tokens.len() == 1);
        let tokens = known.tokens.get(model).or_else(only)?;
        usize::try_from((tokens / HISTORY_PART).min(MAX_HISTORY_TOKENS)).ok()
    }
}

/// The tokens that a model takes, in an entry of a list of models.
pub(super) fn limit_in(entry: &Value) -> Option<u64> {
    PLACES.iter().find_map(|place| count(entry.pointer(place)?))
}

/// Whether an entry only tells what the model was made for, as llama.cpp does.
pub(super) fn is_of_training(entry: &Value) -> bool {
    let mut places = PLACES.iter().filter(|place| entry.pointer(place).and_then(count).is_some());
    places.next().is_some_and(|place| place.ends_with("n_ctx_train"))
}

/// The tokens of each slot, in llama.cpp's reply to `GET /props`.
pub(super) fn limit_of_slot(reply: &Value) -> Option<u64> {
    reply.pointer("/default_generation_settings/n_ctx").and_then(count)
}

/// The tokens that a model takes, in Ollama's reply to `POST /api/show`: what it is run with if the model says so, or what it was made
/// for if that is no more than what any model is run with. Ollama cuts what is longer without a word.
pub(super) fn limit_shown(reply: &Value) -> Option<u64> {
    let parameters = reply.get("parameters").and_then(Value::as_str).unwrap_or_default();
    let mut words = parameters.lines().map(str::split_whitespace);
    let set = words.find_map(|mut line| (line.next() == Some("num_ctx")).then(|| line.next()).flatten()?.parse().ok());
    let info = reply.get("model_info").and_then(Value::as_object).into_iter().flatten();
    let made_for = info.filter(|(name, _)| name.ends_with(".context_length")).find_map(|(_, tokens)| count(tokens));
    match (set, made_for) {
        (Some(set), Some(made_for)) => Some(made_for.min(set)),
        (Some(set), None) => Some(set),
        (None, made_for) => made_for.filter(|tokens| *tokens <= OLLAMA_DEFAULT_TOKENS),
    }
}

fn count(value: &Value) -> Option<u64> {
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    number.filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_of_models_tell_what_they_take_in_many_places() {
        for (entry, expected) in [
            (json!({"id": "m", "max_model_len": 8192}), Some(8192)),
            (json!({"id": "m", "meta": {"n_ctx_train": 32768, "n_ctx": 4096}}), Some(4096)),
            (json!({"id": "m", "meta": {"n_ctx_train": 32768}}), Some(32768)),
            (json!({"id": "m", "context_length": 65536, "top_provider": {"context_length": 32000}}), Some(32000)),
            (json!({"id": "m", "context_window": 131072}), Some(131_072)),
            (json!({"id": "m", "max_context_length": 32768, "loaded_context_length": 4096}), Some(4096)),
            (json!({"id": "m", "context_length": "16384"}), Some(16384)),
            (json!({"id": "m", "context_length": 0}), None),
            (json!({"id": "m", "max_model_len": null}), None),
            (json!("m"), None),
        ] {
            assert_eq!(limit_in(&entry), expected, "{entry}");
        }
        assert!(is_of_training(&json!({"meta": {"n_ctx_train": 1}})));
        assert!(!is_of_training(&json!({"meta": {"n_ctx_train": 1, "n_ctx": 1}})) && !is_of_training(&json!({})));
    }

    #[test]
    fn ollama_is_taken_at_its_word_only_where_it_runs_the_model_so() {
        let info = json!({"general.architecture": "llama", "llama.context_length": 131_072});
        let with = |parameters: &str| json!({"parameters": parameters, "model_info": info});
        assert_eq!(limit_shown(&with("stop \"x\"\nnum_ctx                        8192")), Some(8192));
        assert_eq!(limit_shown(&with("")), None);
        assert_eq!(limit_shown(&json!({"model_info": {"bert.context_length": 2048}})), Some(2048));
        assert_eq!(limit_shown(&json!({})), None);
    }

    #[test]
    fn a_quarter_of_what_a_model_takes_is_for_the_conversation() {
        let limits = ContextLimits::default();
        let tokens = HashMap::from([("small".to_owned(), 4096), ("huge".to_owned(), 1_000_000)]);
        limits.set(ServerLimits { base_url: "http://a".to_owned(), tokens });
        assert_eq!(limits.history_tokens("http://a", "small"), Some(1024));
        assert_eq!(limits.history_tokens("http://a", "huge"), Some(32_768));
        assert_eq!(limits.history_tokens("http://a", "other"), None);
        assert_eq!(limits.history_tokens("http://b", "small"), None);
        limits.set(ServerLimits { base_url: "http://a".to_owned(), tokens: [("one.gguf".to_owned(), 8192)].into() });
        assert_eq!(limits.history_tokens("http://a", "whatever"), Some(2048));
    }
}

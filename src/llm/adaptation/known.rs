use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use super::change::Adaptation;
use super::refusal;
use crate::kernel::truncate_chars;
use crate::llm::{ChatRequest, LlmError};
use crate::settings::LlmSettings;
use crate::telemetry::metrics;

/// Adaptations that one request may find out about.
const MAX_NEW: usize = 6;
/// Models that are remembered.
const MAX_MODELS: usize = 256;
/// Adaptations of one model: one function each may be left out.
const MAX_OF_MODEL: usize = 64;
/// Characters of a model's name that people are shown.
const MAX_NAME_CHARS: usize = 100;
/// How long a model is not offered functions after it refused them: it may have been given another template since.
const NO_TOOLS_TTL: Duration = Duration::from_secs(600);

/// What is known of the server that is configured: which models need which adaptations. All of it is forgotten when the connection
/// changes. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(in crate::llm) struct Adaptations(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// The connection that it is known of.
    connection: Option<LlmSettings>,
    models: BTreeMap<String, Vec<(Adaptation, Instant)>>,
}

impl Adaptations {
    /// What a model on this server needs, as far as it is known.
    pub(in crate::llm) fn of(&self, llm: &LlmSettings, model: &str) -> Vec<Adaptation> {
        let known = self.0.lock();
        let of_model = known.of_connection(llm).and_then(|models| models.get(model)).into_iter().flatten();
        of_model.filter(|(adaptation, since)| is_current(adaptation, *since)).map(|(known, _)| known.clone()).collect()
    }

    /// Whether a model has refused functions a short while ago.
    pub(in crate::llm) fn takes_no_tools(&self, llm: &LlmSettings, model: &str) -> bool {
        self.of(llm, model).contains(&Adaptation::NoTools)
    }

    /// Remembers what a model needs; what is new is logged and counted.
    pub(in crate::llm) fn remember(&self, llm: &LlmSettings, model: &str, needed: &[Adaptation], why: &LlmError) {
        let mut known = self.0.lock();
        if known.of_connection(llm).is_none() {
            *known = Known { connection: Some(llm.clone()), models: BTreeMap::new() };
        }
        if known.models.len() >= MAX_MODELS && !known.models.contains_key(model) {
            return;
        }
        let of_model = known.models.entry(model.to_owned()).or_default();
        of_model.retain(|(adaptation, since)| is_current(adaptation, *since));
        for adaptation in needed.iter().filter(|adaptation| adaptation.is_lasting()) {
            if of_model.len() < MAX_OF_MODEL && !of_model.iter().any(|(known, _)| known == adaptation) {
                let text = adaptation.text();
                tracing::info!(model, adaptation = text, error = why.log_safe(), untrusted = %why, "the LLM server refuses a part of requests; from now on it is adapted");
                metrics::llm_adaptation(model, adaptation.label());
                of_model.push((adaptation.clone(), Instant::now()));
            }
        }
    }

    /// All that is known of the server, for people.
    pub(in crate::llm) fn texts(&self, llm: &LlmSettings) -> Vec<String> {
        let known = self.0.lock();
        let models = known.of_connection(llm).into_iter().flatten();
        let texts = models.flat_map(|(model, adaptations)| {
            let current = adaptations.iter().filter(|(adaptation, since)| is_current(adaptation, *since));
            let name = truncate_chars(model, MAX_NAME_CHARS);
            current.map(move |(adaptation, _)| format!("{name}: {}", adaptation.text()))
        });
        texts.collect()
    }

    /// Sends a request as the model needs it. If the server refuses a part of it for which there is another form, it is asked once
    /// more at once, without another attempt being counted; what it takes then is remembered, without what was no help. Gives what was
    /// changed, too.
    pub(in crate::llm) async fn negotiate<T, F: Future<Output = Result<T, LlmError>>>(
        &self,
        llm: &LlmSettings,
        model: &str,
        request: &ChatRequest,
        body: impl Fn(&[Adaptation]) -> Value,
        send: impl Fn(&Value) -> F,
    ) -> Result<(T, Vec<Adaptation>), LlmError> {
        let mut adaptations = self.of(llm, model);
        let before = adaptations.len();
        // With what was no help, which is not done again either.
        let mut tried = adaptations.clone();
        let mut refused: Option<LlmError> = None;
        loop {
            let sent = body(&adaptations);
            let error = match send(&sent).await {
                Ok(reply) => {
                    if let Some(why) = &refused {
                        self.remember(llm, model, adaptations.get(before..).unwrap_or_default(), why);
                    }
                    return Ok((reply, adaptations));
                }
                Err(error) => error,
            };
            let is_in_vain =
                |last: &Adaptation| refused.as_ref().is_some_and(|refused| refusal::is_in_vain(last, refused, &error));
            adaptations.pop_if(|last| is_in_vain(last));
            match refusal::adaptation(&error, request, &sent, &tried) {
                Some(next) if tried.len() < before + MAX_NEW => {
                    tried.push(next.clone());
                    adaptations.push(next);
                }
                _ => return Err(error),
            }
            refused = Some(error);
        }
    }
}

impl Known {
    /// What is known, if it is of this connection.
    fn of_connection(&self, llm: &LlmSettings) -> Option<&BTreeMap<String, Vec<(Adaptation, Instant)>>> {
        let is_same = |known: &&LlmSettings| {
            known.base_url == llm.base_url
                && known.provider == llm.provider
                && known.default_model == llm.default_model
                && known.api_key == llm.api_key
                && (known.temperature, known.max_tokens) == (llm.temperature, llm.max_tokens)
        };
        self.connection.as_ref().filter(is_same).map(|_| &self.models)
    }
}

fn is_current(adaptation: &Adaptation, since: Instant) -> bool {
    *adaptation != Adaptation::NoTools || since.elapsed() < NO_TOOLS_TTL
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Redaction;
    use crate::llm::ErrorReport;

    fn server(base_url: &str) -> LlmSettings {
        let mut llm = crate::settings::LlmSection::default().effective().clone();
        llm.base_url = Some(base_url.to_owned());
        llm
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_model_needs_is_known_until_the_connection_changes() {
        let (known, one) = (Adaptations::default(), server("http://a"));
        let needed = [Adaptation::Without("temperature".to_owned()), Adaptation::WithoutLimitOnce];
        known.remember(&one, "m", &needed, &LlmError::NoModel);
        known.remember(&one, "m", &needed, &LlmError::NoModel);
        assert_eq!(known.of(&one, "m"), needed[..1]);
        assert_eq!(known.of(&one, "other"), []);
        assert_eq!(known.texts(&one), ["m: 'temperature' is not sent"]);
        let changed = LlmSettings { max_retries: 7, fallback_models: vec!["x".to_owned()], ..one.clone() };
        assert_eq!(known.of(&changed, "m"), needed[..1], "retries have nothing to do with it");
        let two = server("http://b");
        assert_eq!(known.of(&two, "m"), []);
        known.remember(&two, "m", &[Adaptation::SystemAsUser], &LlmError::NoModel);
        assert_eq!(known.of(&one, "m"), [], "it begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn functions_are_offered_again_after_a_while_and_memory_is_bounded() {
        let (known, llm) = (Adaptations::default(), server("http://a"));
        known.remember(&llm, "m", &[Adaptation::NoTools], &LlmError::NoModel);
        assert!(known.takes_no_tools(&llm, "m") && !known.takes_no_tools(&llm, "other"));
        tokio::time::advance(NO_TOOLS_TTL).await;
        assert!(!known.takes_no_tools(&llm, "m"));
        for number in 0..MAX_MODELS * 2 {
            let many: Vec<_> = (0..100).map(Adaptation::FewerTools).collect();
            known.remember(&llm, &format!("model-{number}"), &many, &LlmError::NoModel);
        }
        assert!(known.texts(&llm).len() <= MAX_MODELS * MAX_OF_MODEL);
        assert_eq!(known.of(&llm, &format!("model-{}", MAX_MODELS * 2 - 1)), []);
    }

    #[tokio::test]
    async fn what_was_no_help_is_taken_back_and_not_remembered() {
        let (known, llm) = (Adaptations::default(), server("http://a"));
        let refusal = |text: &str| LlmError::Status {
            server: "s".to_owned(),
            code: 400,
            status: String::new(),
            said: Box::new(ErrorReport::read(text, &Redaction::default())),
            retry_after: None,
        };
        let sent = Mutex::new(Vec::new());
        let body = |done: &[Adaptation]| {
            let mut body = serde_json::Map::new();
            ["max_tokens", "stop"].into_iter().for_each(|name| drop(body.insert(name.to_owned(), 1.into())));
            done.iter().for_each(|adaptation| adaptation.apply(&mut body));
            Value::Object(body)
        };
        let send = |body: &Value| {
            sent.lock().push(body.to_string());
            let refused = body.get("stop").map(|_| refusal("Unknown parameter: 'max_tokens' or 'stop'"));
            async move { refused.map_or(Ok(()), Err) }
        };
        let request = ChatRequest::default();
        let ((), needed) = known.negotiate(&llm, "m", &request, body, send).await.unwrap();
        let without_stop = [Adaptation::Without("stop".to_owned())];
        assert_eq!((needed.as_slice(), known.of(&llm, "m").as_slice()), (&without_stop[..], &without_stop[..]));
        let sent = sent.into_inner();
        assert_eq!(sent.last().map(String::as_str), Some("{\"max_tokens\":1}"), "{sent:?}");
        assert_eq!(sent.iter().collect::<std::collections::BTreeSet<_>>().len(), sent.len(), "none is sent twice");
    }
}

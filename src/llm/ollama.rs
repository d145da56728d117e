use serde_json::{Map, Value, json};

use super::adaptation::Adaptation;
use super::common_json::items;
use super::sending::{SentCall, SentTurn};
use super::{ChatRequest, common_json};
use crate::settings::LlmSettings;

/// The body of `POST /api/chat` (ollama: docs/api.md). Sampling goes into `options`; `stream` defaults to true there.
pub(super) fn body(
    request: &ChatRequest,
    model: &str,
    llm: &LlmSettings,
    stream: bool,
    adaptations: &[Adaptation],
) -> Map<String, Value> {
    let options = [("temperature", llm.temperature.map(Value::from)), ("num_predict", llm.max_tokens.map(Value::from))];
    let options = options.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let options: Map<_, _> = options.collect();
    let mut body = common_json::body(request, model, adaptations, message);
    body.insert("stream".to_owned(), json!(stream));
    if !options.is_empty() {
        body.insert("options".to_owned(), Value::Object(options));
    }
    body
}

fn message(message: &SentTurn<'_>) -> Value {
    let mut object = common_json::message(message);
    if !message.calls.is_empty() {
        let none = json!({});
        let call = |call: &SentCall<'_>| json!({"function": {"name": call.name, "arguments": call.arguments.unwrap_or(&none)}});
        object.insert("tool_calls".to_owned(), message.calls.iter().map(call).collect());
    }
    if let Some(call) = &message.answers {
        object.insert("tool_name".to_owned(), json!(call.name));
    }
    Value::Object(object)
}

/// Reads the reply of `GET /api/tags`, in the form the original gave it.
pub(super) fn models(reply: &Value) -> Option<Vec<Value>> {
    let models = reply.get("models")?.as_array()?;
    Some(models.iter().filter_map(|model| model.get("name")).map(|name| json!({"id": name, "name": name})).collect())
}

/// Reads the reply of `POST /api/embed`.
pub(super) fn embeddings(reply: &Value) -> Option<Vec<Vec<f32>>> {
    items(reply, "embeddings").iter().map(common_json::embedding).collect()
}

use serde_json::{Map, Value, json};

use super::adaptation::Adaptation;
use super::common_json::items;
use super::sending::{SentCall, SentTurn};
use super::{ChatRequest, common_json};
use crate::settings::LlmSettings;

/// The body of `POST /v1/chat/completions`.
pub(super) fn body(
    request: &ChatRequest,
    model: &str,
    llm: &LlmSettings,
    stream: bool,
    adaptations: &[Adaptation],
) -> Map<String, Value> {
    let mut body = common_json::body(request, model, adaptations, message);
    if let Some(temperature) = llm.temperature {
        body.insert("temperature".to_owned(), json!(temperature));
    }
    if let Some(max_tokens) = llm.max_tokens {
        body.insert("max_tokens".to_owned(), json!(max_tokens));
    }
    if stream {
        body.insert("stream".to_owned(), json!(true));
        body.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    body
}

fn message(message: &SentTurn<'_>) -> Value {
    let mut object = common_json::message(message);
    if !message.calls.is_empty() {
        let call = |call: &SentCall<'_>| {
            // Arguments travel as text, which servers parse.
            let arguments = call.arguments.map_or_else(|| "{}".to_owned(), Value::to_string);
            json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
        };
        object.insert("tool_calls".to_owned(), message.calls.iter().map(call).collect());
        if message.content.is_empty() {
            // Some take no empty text, and all take what their own replies have.
            object.insert("content".to_owned(), Value::Null);
        }
    }
    if let Some(call) = &message.answers {
        object.insert("tool_call_id".to_owned(), json!(call.id));
    }
    Value::Object(object)
}

/// Reads the reply of `GET /v1/models`: its `data`, or the array itself.
pub(super) fn models(reply: &Value) -> Option<Vec<Value>> {
    reply.get("data").unwrap_or(reply).as_array().cloned()
}

/// Reads the reply of `POST /v1/embeddings`, in the order of the texts.
pub(super) fn embeddings(reply: &Value) -> Option<Vec<Vec<f32>>> {
    let mut data: Vec<_> = items(reply, "data").iter().collect();
    // Texts are numbered, in case they come in another order.
    data.sort_by_key(|one| one.get("index").and_then(Value::as_u64));
    data.into_iter().map(|one| common_json::embedding(one.get("embedding")?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_come_in_the_order_of_their_texts() {
        let reply = json!({"data": [{"index": 1, "embedding": [0.5]}, {"index": 0, "embedding": [1, -2.0]}]});
        assert_eq!(embeddings(&reply), Some(vec![vec![1.0, -2.0], vec![0.5]]));
        for odd in
            [json!({"data": [{"embedding": "x"}]}), json!({"data": [{"embedding": [null]}]}), json!({"data": [1]})]
        {
            assert_eq!(embeddings(&odd), None, "{odd}");
        }
    }
}

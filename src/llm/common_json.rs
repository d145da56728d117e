//! The JSON that both dialects have in common.

use serde_json::{Map, Value, json};

use super::{ChatMessage, ChatRequest};
use crate::kernel::{JsonError, JsonReader};

/// The body of a request with what both name alike.
pub(super) fn body(request: &ChatRequest, model: &str, message: fn(&ChatMessage) -> Value) -> Map<String, Value> {
    let messages: Value = request.messages.iter().map(message).collect();
    let mut body = Map::from_iter([("model".to_owned(), model.into()), ("messages".to_owned(), messages)]);
    if !request.tools.is_empty() {
        let tools = request.tools.iter().map(|tool| {
            let (name, description, parameters) = (&tool.name, &tool.description, &tool.parameters);
            json!({"type": "function", "function": {"name": name, "description": description, "parameters": parameters}})
        });
        body.insert("tools".to_owned(), tools.collect());
    }
    body
}

/// A message's role and content.
pub(super) fn message(message: &ChatMessage) -> Map<String, Value> {
    let (role, content) = (message.role.as_str().into(), message.content.as_str().into());
    Map::from_iter([("role".to_owned(), role), ("content".to_owned(), content)])
}

/// A text; empty if there is none of this name.
pub(super) fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The items of a list; none if there is no list of this name.
pub(super) fn items<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Reads a piece of a stream, of which `what` is the word for it.
pub(super) fn read_piece(piece: &str, what: &str) -> Result<Value, String> {
    JsonReader::embedded().read(piece.as_bytes()).map_err(|error| match error {
        JsonError::TooManyValues(_) => format!("sent a {what} that can't be read: {error}"),
        JsonError::Invalid(_) => format!("sent a {what} that is not JSON"),
    })
}

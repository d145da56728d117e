//! The JSON that both dialects have in common.

use serde_json::{Map, Value, json};

use super::adaptation::{Adaptation, is_left_out};
use super::sending::{SentTurn, portable, turns};
use super::{ChatRequest, ToolSpec};
use crate::kernel::{JsonError, JsonReader, truncate_chars};

/// Longest description of a function that all providers take, in characters.
const MAX_DESCRIPTION_CHARS: usize = 1_023;

/// The body of a request with what both name alike.
pub(super) fn body(
    request: &ChatRequest,
    model: &str,
    adaptations: &[Adaptation],
    message: fn(&SentTurn<'_>) -> Value,
) -> Map<String, Value> {
    let messages: Value = turns(&request.messages).iter().map(message).collect();
    let mut body = Map::from_iter([("model".to_owned(), model.into()), ("messages".to_owned(), messages)]);
    let offered: Vec<_> = request.tools.iter().filter(|tool| !is_left_out(tool, adaptations)).map(function).collect();
    if !offered.is_empty() {
        body.insert("tools".to_owned(), Value::Array(offered));
    }
    body
}

fn function(tool: &ToolSpec) -> Value {
    let (description, parameters) =
        (truncate_chars(&tool.description, MAX_DESCRIPTION_CHARS), portable(&tool.parameters));
    json!({"type": "function", "function": {"name": tool.name, "description": description, "parameters": parameters}})
}

/// The body of a question about one model.
pub(super) fn show_body(model: &str) -> Value {
    json!({"model": model})
}

/// The body of a request to embed texts.
pub(super) fn embedding_body(model: &str, texts: &[String]) -> Value {
    json!({"model": model, "input": texts})
}

/// The numbers of an embedding; none if it is no list of numbers.
pub(super) fn embedding(list: &Value) -> Option<Vec<f32>> {
    let number = |value: &Value| value.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
    list.as_array()?.iter().map(number).collect()
}

/// A message's role and content.
pub(super) fn message(message: &SentTurn<'_>) -> Map<String, Value> {
    let (role, content) = (message.role.as_str().into(), message.content.as_ref().into());
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
    JsonReader::embedded().read_tolerantly(piece.as_bytes()).map_err(|error| match error {
        JsonError::TooManyValues(_) => format!("sent a {what} that can't be read: {error}"),
        JsonError::Invalid(_) => format!("sent a {what} that is not JSON"),
    })
}

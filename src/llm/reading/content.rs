//! What both formats have in common: contents that are text, parts or thoughts, and calls.

use std::borrow::Cow;

use serde_json::Value;

use super::answer::AnswerAssembly;
use super::reasoning::AnswerText;
use super::tool_calls::CallPiece;
use crate::llm::common_json::{items, text};

/// Members of a message that hold reasoning. A server that has several says the same in each.
const REASONING_MEMBERS: [&str; 5] =
    ["reasoning_content", "reasoning", "thinking", "reasoning_text", "reasoning_details"];

/// Takes over what a message, or a part of one, says; gives the text that it adds to the answer. Calls that are whole are numbered
/// from `first_call` on, whatever their own numbers are.
pub(super) fn add_message(answer: &mut AnswerAssembly, message: &Value, first_call: Option<u64>) -> AnswerText {
    let thought =
        REASONING_MEMBERS.iter().filter_map(|name| message.get(*name)).map(thought).find(|text| !text.is_empty());
    answer.add_reasoning(&thought.unwrap_or_default());
    let content = message.get("content").unwrap_or(&Value::Null);
    answer.add_reasoning(&thoughts_among(content));
    add_calls(answer, message, first_call);
    let said = text_of(content);
    // A refusal stands in the place of the answer.
    let said = if said.is_empty() { Cow::Borrowed(text(message, "refusal")) } else { said };
    if said.is_empty() { AnswerText::default() } else { answer.add_text(&said) }
}

/// Content is text, null, a part or a list of parts. What a model thought is none of it.
fn text_of(content: &Value) -> Cow<'_, str> {
    match content {
        Value::String(text) => Cow::Borrowed(text),
        Value::Array(parts) => parts.iter().map(|part| text_of(part).into_owned()).collect(),
        Value::Object(_) if is_thought(content) => Cow::Borrowed(""),
        Value::Object(part) => {
            let said = part.get("text").or_else(|| part.get("refusal"));
            said.map_or(Cow::Borrowed(""), |said| match said {
                Value::Object(inner) => inner.get("value").and_then(Value::as_str).unwrap_or_default().into(),
                said => said.as_str().unwrap_or_default().into(),
            })
        }
        _ => Cow::Borrowed(""),
    }
}

fn is_thought(part: &Value) -> bool {
    let kind = text(part, "type");
    kind.contains("think")
        || kind.contains("reason")
        || kind == "thought"
        || part.get("thought") == Some(&Value::Bool(true))
}

/// What the parts of a content say that are thoughts.
fn thoughts_among(content: &Value) -> String {
    let parts = content.as_array().map(Vec::as_slice).unwrap_or_default();
    let parts = if content.is_object() { std::slice::from_ref(content) } else { parts };
    parts.iter().filter(|part| is_thought(part)).map(thought).collect()
}

/// The text of a thought: itself, or what is in its usual members. What is encrypted has none.
fn thought(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(thought).collect(),
        Value::Object(members) => {
            let named =
                ["thinking", "reasoning", "text", "content", "summary"].iter().filter_map(|name| members.get(*name));
            named.map(thought).find(|text| !text.is_empty()).unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// Takes over the calls of a message: a list of them, a single one, or the one of the days before lists.
fn add_calls(answer: &mut AnswerAssembly, message: &Value, first_call: Option<u64>) {
    let listed = items(message, "tool_calls");
    let single = message.get("tool_calls").filter(|calls| calls.is_object());
    let former = message.get("function_call").filter(|_| listed.is_empty() && single.is_none());
    for (call, at) in listed.iter().chain(single).chain(former).zip(0..) {
        let number = first_call.map(|first| first + at);
        answer.add_call(&call_piece(call, number));
    }
}

fn call_piece(call: &Value, number: Option<u64>) -> CallPiece<'_> {
    let function = call.get("function").filter(|function| function.is_object()).unwrap_or(call);
    let index = || call.get("index").or_else(|| function.get("index")).and_then(Value::as_u64);
    let arguments = ["arguments", "parameters", "input"].iter().find_map(|name| function.get(*name));
    let arguments = match arguments {
        Some(Value::String(text)) => Cow::Borrowed(text.as_str()),
        Some(Value::Null) | None => Cow::Borrowed(""),
        Some(whole) => Cow::Owned(whole.to_string()),
    };
    CallPiece { index: number.or_else(index), id: text(call, "id"), name: text(function, "name"), arguments }
}

use serde_json::{Map, Value};

use crate::kernel::{one_line, truncate_chars};
use crate::outbound::{ReportedError, reported_error};

/// Members that hold an answer, in the order of their weight.
const ANSWER_MEMBERS: [&str; 21] = [
    "answer",
    "output_text",
    "final_output",
    "final_answer",
    "output",
    "result",
    "response",
    "text",
    "content",
    "message",
    "reply",
    "generated_text",
    "outputs",
    "responses",
    "replies",
    "values",
    "data",
    "json",
    "task",
    "artifact",
    "raw",
];
/// Members that an error may stand below, in a reply that is one all the same.
const WRAPPERS: [&str; 7] = ["result", "output", "response", "data", "json", "body", "task"];
/// Words for the side that answers, as the role, type or author of a message.
const AGENT_WORDS: [&str; 9] =
    ["assistant", "ai", "aimessage", "aimessagechunk", "model", "agent", "role_agent", "bot", "chatbot"];
/// Words for whoever else takes part.
const OTHER_WORDS: [&str; 10] = [
    "user",
    "human",
    "humanmessage",
    "role_user",
    "tool",
    "toolmessage",
    "function",
    "system",
    "systemmessage",
    "developer",
];
/// Beginnings of the types of parts that are no text for a reader: how the answer came about, and calls on the way.
const OTHER_PARTS: [&str; 12] = [
    "reasoning",
    "thinking",
    "redacted",
    "tool",
    "function",
    "mcp",
    "image",
    "audio",
    "file",
    "data",
    "web_search",
    "code_",
];
/// How deeply an answer may be wrapped.
const MAX_DEPTH: usize = 12;
/// Characters of an error.
const MAX_ERROR_CHARS: usize = 500;

/// The text of an agent's JSON: where the formats that are known hold one, else all of it.
pub(super) fn text_of(json: &Value) -> String {
    find_text(json).unwrap_or_else(|| shown(json))
}

/// The text of an agent's JSON, if it is of a form that holds one: that of OpenAI (chat and responses), Anthropic, Gemini, LangChain and
/// LangGraph, n8n, A2A, or any object with a usual member.
pub(super) fn find_text(json: &Value) -> Option<String> {
    find_at(json, 0)
}

fn find_at(json: &Value, depth: usize) -> Option<String> {
    if depth > MAX_DEPTH {
        return None;
    }
    match json {
        Value::String(text) => (!text.trim().is_empty()).then(|| text.clone()),
        Value::Array(items) => of_items(items, depth),
        Value::Object(_) if is_thought(json) => None,
        Value::Object(map) => of_object(map, depth),
        _ => None,
    }
}

/// Whether a part of Gemini is what the model thought.
fn is_thought(part: &Value) -> bool {
    part.get("thought") == Some(&Value::Bool(true))
}

fn of_object(map: &Map<String, Value>, depth: usize) -> Option<String> {
    let list = |name: &str| map.get(name).and_then(Value::as_array);
    if let Some(choices) = list("choices").or_else(|| list("candidates")) {
        return choices.iter().find_map(|choice| of_choice(choice, depth));
    }
    if let Some(text) = list("messages").and_then(|messages| last_of_conversation(messages, depth)) {
        return Some(text);
    }
    if let Some(text) = list("parts").and_then(|parts| of_parts(parts, depth)) {
        return Some(text);
    }
    if let Some(text) = of_task(map, depth) {
        return Some(text);
    }
    let members = ANSWER_MEMBERS.iter().filter_map(|member| map.get(*member));
    members.into_iter().find_map(|value| find_at(value, depth + 1))
}

/// A choice of a chat completion, or a candidate of Gemini.
fn of_choice(choice: &Value, depth: usize) -> Option<String> {
    let message = ["message", "delta", "content"].iter().find_map(|name| choice.get(*name)).unwrap_or(choice);
    let text = ["content", "text", "parts", "refusal"].iter().filter_map(|name| message.get(*name));
    text.chain(choice.get("text")).find_map(|text| find_at(text, depth + 1))
}

/// A task of A2A: what it made, else what its state says, else the last message.
fn of_task(map: &Map<String, Value>, depth: usize) -> Option<String> {
    let artifacts = map.get("artifacts").and_then(Value::as_array).into_iter().flatten();
    let made: Vec<_> = artifacts.filter_map(|artifact| find_at(artifact, depth + 1)).collect();
    if !made.is_empty() {
        return Some(made.join("\n\n"));
    }
    let state = map.get("status").and_then(|status| status.get("message"));
    let history = || last_of_conversation(map.get("history")?.as_array()?, depth);
    state.and_then(|message| find_at(message, depth + 1)).or_else(history)
}

fn of_items(items: &[Value], depth: usize) -> Option<String> {
    if let Some(text) = of_parts(items, depth) {
        return Some(text);
    }
    match items {
        [one] => find_at(one, depth + 1),
        _ => last_message(items, is_agents, depth).or_else(|| of_single_answers(items, depth)),
    }
}

/// Parts of one text, if they are that.
fn of_parts(parts: &[Value], depth: usize) -> Option<String> {
    let mut texts = Vec::new();
    for part in parts {
        if is_thought(part) {
            continue;
        }
        let kind = ["type", "kind", "block_type"].iter().find_map(|name| part.get(*name)?.as_str());
        match (kind, part.get("text")) {
            (Some(kind), _) if OTHER_PARTS.iter().any(|other| kind.starts_with(other)) => {}
            (_, Some(text)) if kind.is_some_and(is_text) || is_bare(part) => {
                // The threads of assistants have it below, beside annotations.
                texts.push(text.get("value").unwrap_or(text).as_str()?.to_owned());
            }
            (None, None) if is_other_part(part) => {}
            (Some("message"), None) => {
                texts.extend(part.get("content").and_then(|content| find_at(content, depth + 1)))
            }
            _ => return None,
        }
    }
    (!texts.is_empty()).then(|| texts.join("\n"))
}

/// Whether a part of this type is a text.
fn is_text(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    kind.contains("text") || kind.contains("markdown") || kind == "refusal"
}

/// Whether a part has a text and nothing else to tell.
fn is_bare(part: &Value) -> bool {
    let besides = ["text", "metadata", "thought", "thoughtSignature", "mediaType", "filename"];
    part.as_object().is_some_and(|part| part.keys().all(|key| besides.contains(&key.as_str())))
}

/// A part of Gemini or A2A that holds something else than a text.
fn is_other_part(part: &Value) -> bool {
    let other =
        ["inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "file", "raw", "url", "data"];
    part.as_object().is_some_and(|part| part.keys().any(|key| other.contains(&key.as_str())))
}

/// The last message of a conversation that has a text and is the agent's: by a word for it, else by any but those for the other side.
fn last_of_conversation(messages: &[Value], depth: usize) -> Option<String> {
    let is_anothers = |message: &Value| speakers(message).any(|word| OTHER_WORDS.contains(&word.as_str()));
    let may_be_agents = |message: &Value| speakers(message).next().is_some() && !is_anothers(message);
    last_message(messages, is_agents, depth).or_else(|| last_message(messages, may_be_agents, depth))
}

fn last_message(messages: &[Value], is_meant: impl Fn(&Value) -> bool, depth: usize) -> Option<String> {
    let meant = messages.iter().rev().filter(|message| is_meant(message));
    let mut texts = meant.filter_map(|message| of_message(message, depth));
    texts.find(|text| !text.trim().is_empty())
}

fn is_agents(message: &Value) -> bool {
    speakers(message).any(|word| AGENT_WORDS.contains(&word.as_str()))
}

/// The words that tell whose a message is, in lower case.
fn speakers(message: &Value) -> impl Iterator<Item = String> {
    let inner = message.get("kwargs").or_else(|| message.get("content").filter(|content| content.is_object()));
    let places = [Some(message), inner].into_iter().flatten();
    let named = places.flat_map(|place| ["role", "type", "author", "source", "sender"].map(|name| place.get(name)));
    // LangChain's own form names the class last.
    let class = message.get("id").and_then(Value::as_array).and_then(|path| path.last());
    named.chain([class]).flatten().filter_map(Value::as_str).map(str::to_ascii_lowercase)
}

fn of_message(message: &Value, depth: usize) -> Option<String> {
    let members = ["content", "text", "parts", "kwargs"].iter().filter_map(|name| message.get(*name));
    members.into_iter().find_map(|member| find_at(member, depth + 1))
}

/// Answers of one member each, as a workflow gives them for several items.
fn of_single_answers(items: &[Value], depth: usize) -> Option<String> {
    let is_single = |item: &Value| {
        let has_one = |map: &Map<String, Value>| map.keys().filter(|key| *key != "pairedItem").count() == 1;
        item.as_object().is_some_and(has_one)
    };
    if !items.iter().all(is_single) {
        return None;
    }
    let texts: Option<Vec<_>> = items.iter().map(|item| find_at(item, depth + 1)).collect();
    texts.filter(|texts| !texts.is_empty()).map(|texts| texts.join("\n\n"))
}

/// The piece of a text that a message of a stream holds, which may be a blank; `None` if it is of no form that holds one.
pub(super) fn find_piece(json: &Value) -> Option<String> {
    match json {
        Value::String(text) => Some(text.clone()),
        // A message of a graph, and the node that it comes from.
        Value::Array(items) => match items.as_slice() {
            [message, node] if node.get("langgraph_node").is_some() => find_piece(message),
            _ => find_text(json),
        },
        Value::Object(_) if is_thought(json) => Some(String::new()),
        Value::Object(map) => {
            match ANSWER_MEMBERS.iter().find_map(|member| map.get(*member).filter(|value| !value.is_null())) {
                Some(Value::String(text)) => Some(text.clone()),
                Some(inner @ Value::Object(_)) => find_piece(inner),
                _ => find_text(json),
            }
        }
        _ => None,
    }
}

/// JSON without a text that is known: below the usual members it is shown as it is, an empty answer as empty.
fn shown(json: &Value) -> String {
    match json {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(map) => {
            match ANSWER_MEMBERS.iter().find_map(|member| map.get(*member).filter(|value| !value.is_null())) {
                Some(inner @ (Value::String(_) | Value::Object(_))) => shown(inner),
                _ => format!("{json:#}"),
            }
        }
        other => format!("{other:#}"),
    }
}

/// The error that an agent's JSON tells of, itself or below the usual wrappers; a task of A2A that came to nothing is one.
pub(super) fn find_error(json: &Value) -> Option<ReportedError> {
    error_at(json, 0)
}

fn error_at(json: &Value, depth: usize) -> Option<ReportedError> {
    if depth > MAX_DEPTH {
        return None;
    }
    match json {
        Value::Array(items) => match items.as_slice() {
            [one] => error_at(one, depth + 1),
            _ => None,
        },
        Value::Object(map) => reported_error(json).or_else(|| failed_task(map)).or_else(|| {
            let has_answer = ANSWER_MEMBERS.iter().any(|name| map.get(*name).is_some_and(Value::is_string));
            let mut wrapped = WRAPPERS.iter().filter_map(|name| map.get(*name)).filter(|_| !has_answer);
            wrapped.find_map(|inner| error_at(inner, depth + 1))
        }),
        _ => None,
    }
}

fn failed_task(map: &Map<String, Value>) -> Option<ReportedError> {
    let status = map.get("status")?;
    let state = status.get("state")?.as_str()?.to_ascii_lowercase();
    let state = state.trim_start_matches("task_state_");
    let has_failed = ["failed", "rejected", "canceled", "cancelled", "auth-required", "auth_required"].contains(&state);
    has_failed.then(|| {
        let said = status.get("message").and_then(find_text).map(|text| format!(": {}", one_line(&text)));
        let text = format!("the task is {state}{}", said.unwrap_or_default());
        ReportedError { text: truncate_chars(&text, MAX_ERROR_CHARS), has_answer: false }
    })
}

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::common_json::{items, read_piece, text};
use super::error::message_in;
use super::{ChatMessage, ChatRequest, Completion, ToolCall, Usage, common_json};
use crate::kernel::{JsonReader, ValueCounter, new_id};
use crate::settings::LlmSettings;

/// The body of `POST /v1/chat/completions`.
pub(super) fn body(request: &ChatRequest, model: &str, llm: &LlmSettings, stream: bool) -> Value {
    let mut body = common_json::body(request, model, message);
    body.insert("temperature".to_owned(), json!(request.temperature.unwrap_or(llm.temperature)));
    if let Some(max_tokens) = llm.max_tokens {
        body.insert("max_tokens".to_owned(), json!(max_tokens));
    }
    if stream {
        body.insert("stream".to_owned(), json!(true));
        body.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    Value::Object(body)
}

fn message(message: &ChatMessage) -> Value {
    let mut object = common_json::message(message);
    if !message.tool_calls.is_empty() {
        let call = |call: &ToolCall| {
            // Arguments travel as text; text that was not JSON goes back as it came.
            let arguments = call.arguments.as_str().map_or_else(|| call.arguments.to_string(), str::to_owned);
            json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
        };
        object.insert("tool_calls".to_owned(), message.tool_calls.iter().map(call).collect());
    }
    if let Some(call) = &message.answers {
        object.insert("tool_call_id".to_owned(), json!(call.id));
    }
    Value::Object(object)
}

/// Reads a complete reply.
pub(super) fn completion(reply: &Value) -> Result<Completion, String> {
    if let Some(message) = error_in(reply) {
        return Err(format!("answered with an error: {message}"));
    }
    let Some(choice) = reply.get("choices").and_then(|choices| choices.get(0)) else {
        return Err("answered without any choices".to_owned());
    };
    let message = choice.get("message").unwrap_or(&Value::Null);
    let mut seen = ValueCounter::default();
    Ok(Completion {
        content: text_of(message.get("content")),
        tool_calls: items(message, "tool_calls").iter().map(|call| tool_call(call, &mut seen)).collect(),
        finish_reason: choice.get("finish_reason").and_then(Value::as_str).map(str::to_owned),
        usage: usage(reply),
        model: text(reply, "model").to_owned(),
        ..Completion::default()
    })
}

/// Reads the reply of `GET /v1/models`: its `data`, or the array itself.
pub(super) fn models(reply: &Value) -> Option<Vec<Value>> {
    reply.get("data").unwrap_or(reply).as_array().cloned()
}

/// Content is text, null, or a list of parts of which some are text.
fn text_of(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => String::new(),
    }
}

fn tool_call(call: &Value, seen: &mut ValueCounter) -> ToolCall {
    let function = call.get("function").unwrap_or(&Value::Null);
    let (name, id) = (text(function, "name"), text(call, "id"));
    let arguments = match function.get("arguments") {
        Some(Value::String(text)) => arguments(text, seen),
        Some(object) => object.clone(),
        None => json!({}),
    };
    ToolCall { id: if id.is_empty() { new_id() } else { id.to_owned() }, name: name.to_owned(), arguments }
}

/// What a model wrote as JSON. Texts that are none stay texts, and so does what comes after too many values in one reply.
fn arguments(text: &str, seen: &mut ValueCounter) -> Value {
    if text.trim().is_empty() {
        return json!({});
    }
    let reader = JsonReader::embedded();
    // Each text begins anew, whatever the one before left open.
    seen.feed(b"\n");
    seen.feed(text.as_bytes());
    reader.check(*seen).and_then(|()| reader.read(text.as_bytes())).unwrap_or_else(|_| json!(text))
}

fn usage(reply: &Value) -> Option<Usage> {
    let usage = reply.get("usage").filter(|usage| usage.is_object())?;
    let count = |name| usage.get(name).and_then(Value::as_u64);
    let counted = Usage::new(count("prompt_tokens").unwrap_or(0), count("completion_tokens").unwrap_or(0));
    Some(Usage { total_tokens: count("total_tokens").unwrap_or(counted.total_tokens), ..counted })
}

fn error_in(reply: &Value) -> Option<String> {
    let is_error = reply.get("error").is_some_and(|error| !error.is_null()) || text(reply, "object") == "error";
    is_error.then(|| message_in(reply).unwrap_or("(no message)").to_owned())
}

/// Puts the chunks of a stream together. As seen in the wild: usage in a last chunk whose `choices` is empty, null or
/// missing; tool calls in pieces, told apart by `index`; errors as chunks; `[DONE]` left out.
#[derive(Default)]
pub(super) struct OpenAiReader {
    answer: Completion,
    calls: Vec<PartialCall>,
    done: bool,
}

#[derive(Default)]
struct PartialCall {
    index: u64,
    id: String,
    name: String,
    arguments: String,
}

impl OpenAiReader {
    pub(super) fn feed(&mut self, data: &str) -> Result<Option<String>, String> {
        if data.trim().is_empty() {
            return Ok(None);
        }
        if data.trim() == "[DONE]" {
            self.done = true;
            return Ok(None);
        }
        let chunk = read_piece(data, "chunk")?;
        if let Some(message) = error_in(&chunk) {
            return Err(format!("broke off with an error: {message}"));
        }
        if !text(&chunk, "model").is_empty() {
            self.answer.model = text(&chunk, "model").to_owned();
        }
        self.answer.usage = usage(&chunk).or(self.answer.usage);
        let Some(choice) = chunk.get("choices").and_then(|choices| choices.get(0)) else { return Ok(None) };
        if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
            self.answer.finish_reason = Some(reason.to_owned());
        }
        // A server that ignores `stream` sends `message` in the place of `delta`.
        let delta = choice.get("delta").or_else(|| choice.get("message")).unwrap_or(&Value::Null);
        for call in items(delta, "tool_calls") {
            self.add_call(call);
        }
        let text = text_of(delta.get("content"));
        self.answer.content.push_str(&text);
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn add_call(&mut self, piece: &Value) {
        let index = piece.get("index").and_then(Value::as_u64).unwrap_or(self.calls.len() as u64);
        if !self.calls.iter().any(|call| call.index == index) {
            self.calls.push(PartialCall { index, ..PartialCall::default() });
        }
        let Some(call) = self.calls.iter_mut().find(|call| call.index == index) else { return };
        let function = piece.get("function").unwrap_or(&Value::Null);
        call.id.push_str(text(piece, "id"));
        call.name.push_str(text(function, "name"));
        match function.get("arguments") {
            Some(Value::String(part)) => call.arguments.push_str(part),
            Some(Value::Null) | None => {}
            Some(whole) => call.arguments = whole.to_string(),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.done
    }

    pub(super) fn is_complete(&self) -> bool {
        self.done || self.answer.finish_reason.is_some()
    }

    pub(super) fn finish(mut self) -> Completion {
        let mut seen = ValueCounter::default();
        let calls = self.calls.into_iter().map(|call| ToolCall {
            id: if call.id.is_empty() { new_id() } else { call.id },
            name: call.name,
            arguments: arguments(&call.arguments, &mut seen),
        });
        self.answer.tool_calls = calls.collect();
        self.answer
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stream_is_put_together() {
        let mut reader = OpenAiReader::default();
        let lines = [
            r#"{"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":null}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"Hel"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\""}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}"#,
            r#"{"choices":null,"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
            "[DONE]",
        ];
        let chunks: Vec<_> = lines.iter().flat_map(|line| reader.feed(line).unwrap()).collect();
        assert_eq!(chunks, ["Hel", "lo"]);
        assert!(reader.has_ended());
        let answer = reader.finish();
        assert_eq!((answer.content.as_str(), answer.model.as_str()), ("Hello", "m"));
        assert_eq!(answer.usage, Some(Usage::new(3, 2)));
        let call = ToolCall { id: "c1".to_owned(), name: "f".to_owned(), arguments: json!({"a": 1}) };
        assert_eq!(answer.tool_calls, [call]);
    }

    #[test]
    fn errors_in_the_stream_are_recognised_in_every_form() {
        let forms = [
            (r#"{"error":{"message":"boom"}}"#, "boom"),
            (r#"{"object":"error","message":"vllm boom"}"#, "vllm boom"),
            (r#"{"error":"plain"}"#, "plain"),
        ];
        for (line, text) in forms {
            assert!(OpenAiReader::default().feed(line).unwrap_err().contains(text), "{line}");
        }
        assert!(!OpenAiReader::default().is_complete(), "nothing at all is not an answer");
    }

    proptest! {
        #[test]
        fn no_chunk_can_break_the_reader(text in r#"[\[\]{}":,a-z0-9 ]{0,60}"#) {
            let mut reader = OpenAiReader::default();
            drop(reader.feed(&text));
            let wrapped = format!(r#"{{"choices":[{{"delta":{}}}]}}"#, if text.is_empty() { "1" } else { &text });
            drop(reader.feed(&wrapped));
            reader.finish();
        }
    }
}

use serde_json::{Map, Value, json};

use super::error::message_in;
use super::{ChatMessage, ChatRequest, Completion, ToolCall, ToolSpec, Usage};
use crate::kernel::{JsonError, JsonReader, ValueCounter, new_id};
use crate::settings::LlmSettings;

/// The body of `POST /api/chat` (ollama: docs/api.md). Sampling goes into `options`; `stream` defaults to true there.
pub(super) fn body(request: &ChatRequest, model: &str, llm: &LlmSettings, stream: bool) -> Value {
    let mut options = Map::new();
    options.insert("temperature".to_owned(), json!(request.temperature.unwrap_or(llm.temperature)));
    if let Some(max_tokens) = llm.max_tokens {
        options.insert("num_predict".to_owned(), json!(max_tokens));
    }
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(model));
    body.insert("messages".to_owned(), request.messages.iter().map(message).collect());
    body.insert("stream".to_owned(), json!(stream));
    body.insert("options".to_owned(), Value::Object(options));
    if !request.tools.is_empty() {
        body.insert("tools".to_owned(), request.tools.iter().map(ToolSpec::to_json).collect());
    }
    Value::Object(body)
}

fn message(message: &ChatMessage) -> Value {
    let mut object = message.to_map();
    if !message.tool_calls.is_empty() {
        let call = |call: &ToolCall| json!({"function": {"name": call.name, "arguments": call.arguments}});
        object.insert("tool_calls".to_owned(), message.tool_calls.iter().map(call).collect());
    }
    if let Some(call) = &message.answers {
        object.insert("tool_name".to_owned(), json!(call.name));
    }
    Value::Object(object)
}

/// Reads a complete reply, or the last line of a stream.
pub(super) fn completion(reply: &Value) -> Result<Completion, String> {
    if let Some(message) = reply.get("error").and(message_in(reply)) {
        return Err(format!("answered with an error: {message}"));
    }
    let Some(message) = reply.get("message").filter(|message| message.is_object()) else {
        return Err("answered without a message".to_owned());
    };
    let calls = message.get("tool_calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Ok(Completion {
        content: message.get("content").and_then(Value::as_str).unwrap_or_default().to_owned(),
        tool_calls: calls.iter().map(tool_call).collect(),
        finish_reason: reply.get("done_reason").and_then(Value::as_str).map(str::to_owned),
        usage: usage(reply),
        model: reply.get("model").and_then(Value::as_str).unwrap_or_default().to_owned(),
        ..Completion::default()
    })
}

/// Reads the reply of `GET /api/tags`, in the form the original gave it.
pub(super) fn models(reply: &Value) -> Option<Vec<Value>> {
    let models = reply.get("models")?.as_array()?;
    Some(models.iter().filter_map(|model| model.get("name")).map(|name| json!({"id": name, "name": name})).collect())
}

fn tool_call(call: &Value) -> ToolCall {
    let function = call.get("function").unwrap_or(&Value::Null);
    ToolCall {
        // Ollama gives its calls no ids.
        id: new_id(),
        name: function.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        arguments: function.get("arguments").cloned().unwrap_or_else(|| json!({})),
    }
}

fn usage(reply: &Value) -> Option<Usage> {
    let count = |name| reply.get(name).and_then(Value::as_u64);
    let written = count("eval_count")?;
    // A prompt that was evaluated before is not counted again.
    Some(Usage::new(count("prompt_eval_count").unwrap_or(0), written))
}

/// Puts the lines of a stream together.
#[derive(Default)]
pub(super) struct OllamaReader {
    answer: Completion,
    /// The values of all lines with calls.
    calls: ValueCounter,
    done: bool,
}

impl OllamaReader {
    pub(super) fn feed(&mut self, line: &str) -> Result<Option<String>, String> {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let text = line.as_bytes();
        let line: Value = JsonReader::embedded().read(text).map_err(|error| match error {
            JsonError::TooManyValues(_) => format!("sent a line that can't be read: {error}"),
            JsonError::Invalid(_) => "sent a line that is not JSON".to_owned(),
        })?;
        if let Some(message) = line.get("error").and(message_in(&line)) {
            return Err(format!("broke off with an error: {message}"));
        }
        let done = line.get("done").and_then(Value::as_bool) == Some(true);
        // The last line of some versions has no message.
        let piece = if done { completion(&line).unwrap_or_default() } else { completion(&line)? };
        self.done |= done;
        if !piece.tool_calls.is_empty() {
            // They are kept as they are read, whatever their number.
            self.calls.feed(text);
            JsonReader::embedded().check(self.calls).map_err(|error| format!("calls too many tools: {error}"))?;
        }
        self.answer.tool_calls.extend(piece.tool_calls);
        self.answer.content.push_str(&piece.content);
        if let Some(reason) = line.get("done_reason").and_then(Value::as_str) {
            self.answer.finish_reason = Some(reason.to_owned());
        }
        self.answer.usage = usage(&line).or(self.answer.usage);
        if !piece.model.is_empty() {
            self.answer.model = piece.model;
        }
        Ok(Some(piece.content).filter(|text| !text.is_empty()))
    }

    pub(super) fn is_complete(&self) -> bool {
        self.done
    }

    pub(super) fn finish(self) -> Completion {
        self.answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_put_together() {
        let mut reader = OllamaReader::default();
        let lines = [
            r#"{"model":"m","created_at":"x","message":{"role":"assistant","content":"Hel"},"done":false}"#,
            r#"{"model":"m","message":{"role":"assistant","content":"lo","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},"done":false}"#,
            r#"{"model":"m","done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":2}"#,
        ];
        let chunks: Vec<_> = lines.iter().flat_map(|line| reader.feed(line).unwrap()).collect();
        assert_eq!(chunks, ["Hel", "lo"]);
        assert!(reader.is_complete());
        let answer = reader.finish();
        assert_eq!((answer.content.as_str(), answer.finish_reason.as_deref()), ("Hello", Some("stop")));
        assert_eq!(answer.usage, Some(Usage::new(3, 2)));
        assert_eq!(answer.tool_calls[0].arguments, json!({"a": 1}));
    }

    #[test]
    fn an_error_line_and_a_missing_end_are_noticed() {
        let mut reader = OllamaReader::default();
        reader.feed(r#"{"message":{"content":"Hel"},"done":false}"#).unwrap();
        assert!(reader.feed(r#"{"error":"out of memory"}"#).unwrap_err().contains("out of memory"));
        assert!(!reader.is_complete());
    }
}

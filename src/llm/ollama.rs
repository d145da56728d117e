use serde_json::{Map, Value, json};

use super::common_json::{items, read_piece, text};
use super::error::message_in;
use super::{ChatMessage, ChatRequest, Completion, ToolCall, Usage, common_json};
use crate::kernel::{JsonReader, ValueCounter, new_id};
use crate::settings::LlmSettings;

/// The body of `POST /api/chat` (ollama: docs/api.md). Sampling goes into `options`; `stream` defaults to true there.
pub(super) fn body(request: &ChatRequest, model: &str, llm: &LlmSettings, stream: bool) -> Value {
    let mut options = Map::new();
    options.insert("temperature".to_owned(), json!(request.temperature.unwrap_or(llm.temperature)));
    if let Some(max_tokens) = llm.max_tokens {
        options.insert("num_predict".to_owned(), json!(max_tokens));
    }
    let mut body = common_json::body(request, model, message);
    body.insert("stream".to_owned(), json!(stream));
    body.insert("options".to_owned(), Value::Object(options));
    Value::Object(body)
}

fn message(message: &ChatMessage) -> Value {
    let mut object = common_json::message(message);
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
    Ok(Completion {
        content: text(message, "content").to_owned(),
        tool_calls: items(message, "tool_calls").iter().map(tool_call).collect(),
        finish_reason: reply.get("done_reason").and_then(Value::as_str).map(str::to_owned),
        usage: usage(reply),
        model: text(reply, "model").to_owned(),
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
        name: text(function, "name").to_owned(),
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
        let value = read_piece(line, "line")?;
        if let Some(message) = value.get("error").and(message_in(&value)) {
            return Err(format!("broke off with an error: {message}"));
        }
        let done = value.get("done").and_then(Value::as_bool) == Some(true);
        // The last line of some versions has no message.
        let piece = if done { completion(&value).unwrap_or_default() } else { completion(&value)? };
        self.done |= done;
        if !piece.tool_calls.is_empty() {
            // They are kept as they are read, whatever their number.
            self.calls.feed(line.as_bytes());
            JsonReader::embedded().check(self.calls).map_err(|error| format!("calls too many tools: {error}"))?;
        }
        self.answer.tool_calls.extend(piece.tool_calls);
        self.answer.content.push_str(&piece.content);
        if let Some(reason) = value.get("done_reason").and_then(Value::as_str) {
            self.answer.finish_reason = Some(reason.to_owned());
        }
        self.answer.usage = usage(&value).or(self.answer.usage);
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

use serde_json::Value;

use super::answer::{AnswerAssembly, Expected};
use super::content::add_message;
use super::errors::{error_in, error_instead};
use super::reasoning::AnswerText;
use crate::llm::common_json::{read_piece, text};
use crate::llm::types::StreamReader;
use crate::llm::{Completion, Usage};

/// Reads a complete reply.
pub(in crate::llm) fn completion(reply: &Value, expected: Expected) -> Result<Completion, String> {
    let mut answer = AnswerAssembly::new(expected);
    if let Some(said) = error_in(reply) {
        return Err(format!("answered with an error: {said}"));
    }
    if !has_message(reply) {
        let said = error_instead(reply).map(|said| format!("answered with an error: {said}"));
        return Err(said.unwrap_or_else(|| "answered without a message".to_owned()));
    }
    add_line(&mut answer, reply).map_err(|said| format!("answered with an error: {said}"))?;
    answer.end();
    Ok(answer.into_completion())
}

fn has_message(line: &Value) -> bool {
    line.get("message").is_some_and(Value::is_object)
}

/// Takes over what a line says. Each call in it is whole.
fn add_line(answer: &mut AnswerAssembly, line: &Value) -> Result<AnswerText, String> {
    answer.set_model(text(line, "model"));
    answer.set_usage(usage(line));
    let word = text(line, "done_reason");
    answer.add_finish(word);
    if answer.has_failed() {
        return Err(format!("(no message; done_reason is '{word}')"));
    }
    let Some(message) = line.get("message") else { return Ok(AnswerText::default()) };
    if let Some(said) = error_in(message) {
        return Err(said);
    }
    let first_call = answer.calls();
    Ok(add_message(answer, message, Some(first_call)))
}

fn usage(reply: &Value) -> Option<Usage> {
    let count = |name| reply.get(name).and_then(Value::as_u64);
    let written = count("eval_count")?;
    // A prompt that was evaluated before is not counted again.
    Some(Usage::new(count("prompt_eval_count").unwrap_or(0), written))
}

/// Puts the lines of a stream together.
#[derive(Debug)]
pub(in crate::llm) struct OllamaReader {
    answer: AnswerAssembly,
    is_done: bool,
}

impl OllamaReader {
    pub(in crate::llm) fn new(expected: Expected) -> Self {
        Self { answer: AnswerAssembly::new(expected), is_done: false }
    }
}

impl StreamReader for OllamaReader {
    fn feed(&mut self, line: &str) -> Result<AnswerText, String> {
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() {
            return Ok(AnswerText::default());
        }
        let broke_off = |said: String| format!("broke off with an error: {said}");
        let value = read_piece(line, "line")?;
        if let Some(said) = error_in(&value) {
            return Err(broke_off(said));
        }
        // The last line of some versions has no message.
        let is_done = value.get("done").and_then(Value::as_bool) == Some(true);
        if !is_done && !has_message(&value) {
            let said = error_instead(&value).map(broke_off);
            return Err(said.unwrap_or_else(|| "answered without a message".to_owned()));
        }
        let more = add_line(&mut self.answer, &value).map_err(broke_off)?;
        self.is_done |= is_done;
        Ok(more)
    }

    fn has_ended(&self) -> bool {
        self.is_done
    }

    fn end(&mut self) -> AnswerText {
        self.answer.end()
    }

    fn finish(self: Box<Self>) -> Completion {
        self.answer.into_completion()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::llm::FinishReason;

    fn reader() -> OllamaReader {
        OllamaReader::new(Expected::default())
    }

    #[test]
    fn a_stream_is_put_together() {
        let mut reader = reader();
        let lines = [
            r#"{"model":"m","created_at":"x","message":{"role":"assistant","content":"","thinking":"Hm."},"done":false}"#,
            r#"{"model":"m","created_at":"x","message":{"role":"assistant","content":"Hel"},"done":false}"#,
            r#"{"model":"m","message":{"role":"assistant","content":"lo","tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]},"done":false}"#,
            r#"{"model":"m","message":{"content":"","tool_calls":[{"function":{"name":"f","arguments":"{\"a\": 2}"}}]},"done":false}"#,
            r#"{"model":"m","done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":2}"#,
        ];
        let chunks: String = lines.iter().map(|line| reader.feed(line).unwrap().text).collect();
        assert_eq!(chunks, "Hello");
        assert!(reader.is_complete());
        let answer = Box::new(reader).finish();
        assert_eq!((answer.content.as_str(), answer.finish_reason), ("Hello", Some(FinishReason::ToolCalls)));
        assert_eq!((answer.usage, answer.reasoning.as_deref()), (Some(Usage::new(3, 2)), Some("Hm.")));
        let arguments: Vec<_> = answer.tool_calls.into_iter().map(|call| call.arguments).collect();
        assert_eq!(arguments, [json!({"a": 1}), json!({"a": 2})]);
    }

    #[test]
    fn an_error_line_and_a_missing_end_are_noticed() {
        let mut reader = reader();
        reader.feed(r#"{"message":{"content":"Hel"},"done":false}"#).unwrap();
        assert!(reader.feed(r#"{"error":"out of memory"}"#).unwrap_err().contains("out of memory"));
        assert!(!reader.is_complete());
    }
}

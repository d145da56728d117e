use serde_json::Value;

use super::answer::{AnswerAssembly, Expected};
use super::content::add_message;
use super::errors::{error_in, error_instead};
use super::reasoning::AnswerText;
use crate::llm::common_json::{read_piece, text};
use crate::llm::types::StreamReader;
use crate::llm::{Completion, TokenDetails, Usage};

/// Reads a complete reply.
pub(in crate::llm) fn completion(reply: &Value, expected: Expected) -> Result<Completion, String> {
    if let Some(said) = error_in(reply) {
        return Err(format!("answered with an error: {said}"));
    }
    let Some(choice) = reply.get("choices").and_then(|choices| choices.get(0)) else {
        let said = error_instead(reply).map(|said| format!("answered with an error: {said}"));
        return Err(said.unwrap_or_else(|| "answered without any choices".to_owned()));
    };
    let mut answer = AnswerAssembly::new(expected);
    answer.set_model(text(reply, "model"));
    answer.set_usage(usage(reply));
    add_choice(&mut answer, choice).map_err(|said| format!("answered with an error: {said}"))?;
    answer.end();
    Ok(answer.into_completion())
}

/// Takes over what a choice says. An error may stand in the choice, in its message, or in its `finish_reason` alone.
fn add_choice(answer: &mut AnswerAssembly, choice: &Value) -> Result<AnswerText, String> {
    // A server that ignores `stream` sends `message` in the place of `delta`; one of the days before chats sends `text`.
    let (message, is_whole) = match (choice.get("delta"), choice.get("message")) {
        (Some(delta), _) => (delta, false),
        (None, Some(message)) => (message, true),
        (None, None) => (choice, true),
    };
    if let Some(said) = [choice, message].into_iter().find_map(error_in) {
        return Err(said);
    }
    let word = text(choice, "finish_reason");
    answer.add_finish(word);
    if answer.has_failed() {
        let said = Some(text(message, "content")).filter(|said| is_whole && !said.is_empty());
        return Err(said.map_or_else(|| format!("(no message; finish_reason is '{word}')"), str::to_owned));
    }
    let first_call = is_whole.then(|| answer.calls());
    let more = add_message(answer, message, first_call);
    match choice.get("text").and_then(Value::as_str) {
        Some(said) if more == AnswerText::default() => Ok(answer.add_text(said)),
        _ => Ok(more),
    }
}

fn usage(reply: &Value) -> Option<Usage> {
    let usage = reply.get("usage").filter(|usage| usage.is_object())?;
    let count = |usage: &Value, name: &str| usage.get(name).and_then(Value::as_u64);
    let read = count(usage, "prompt_tokens").unwrap_or(0);
    let counted = Usage::new(read, count(usage, "completion_tokens").unwrap_or(0));
    let details = ["completion_tokens_details", "output_tokens_details"].iter().find_map(|name| usage.get(*name));
    let reasoning = details.and_then(|details| count(details, "reasoning_tokens"));
    let reasoning = reasoning.or_else(|| count(usage, "reasoning_tokens")).filter(|tokens| *tokens > 0);
    Some(Usage {
        total_tokens: count(usage, "total_tokens").unwrap_or(counted.total_tokens),
        completion_tokens_details: reasoning.map(|reasoning_tokens| TokenDetails { reasoning_tokens }),
        ..counted
    })
}

/// Puts the chunks of a stream together. As seen in the wild: usage in a last chunk whose `choices` is empty, null or missing;
/// errors as chunks; `[DONE]` left out.
#[derive(Debug)]
pub(in crate::llm) struct OpenAiReader {
    answer: AnswerAssembly,
    is_done: bool,
    /// Whether the last chunk told the usage and nothing else, as servers do at the end.
    has_usage_last: bool,
}

impl OpenAiReader {
    pub(in crate::llm) fn new(expected: Expected) -> Self {
        Self { answer: AnswerAssembly::new(expected), is_done: false, has_usage_last: false }
    }
}

impl StreamReader for OpenAiReader {
    fn feed(&mut self, data: &str) -> Result<AnswerText, String> {
        let data = data.trim();
        if data.is_empty() {
            return Ok(AnswerText::default());
        }
        if data == "[DONE]" {
            self.is_done = true;
            return Ok(AnswerText::default());
        }
        let broke_off = |said: String| format!("broke off with an error: {said}");
        let chunk = read_piece(data, "chunk")?;
        if let Some(said) = error_in(&chunk) {
            return Err(broke_off(said));
        }
        self.answer.set_model(text(&chunk, "model"));
        let (usage, choice) = (usage(&chunk), chunk.get("choices").and_then(|choices| choices.get(0)));
        self.has_usage_last = usage.is_some() && choice.is_none();
        self.answer.set_usage(usage);
        match choice {
            Some(choice) => add_choice(&mut self.answer, choice).map_err(broke_off),
            None => error_instead(&chunk).map_or(Ok(AnswerText::default()), |said| Err(broke_off(said))),
        }
    }

    fn has_ended(&self) -> bool {
        self.is_done
    }

    fn is_complete(&self) -> bool {
        self.is_done || self.answer.has_finished()
    }

    fn is_complete_at_end(&self) -> bool {
        self.is_complete() || self.has_usage_last
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
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::llm::{FinishReason, ToolCall};

    fn reader() -> OpenAiReader {
        OpenAiReader::new(Expected::default())
    }

    #[test]
    fn a_stream_is_put_together() {
        let mut reader = reader();
        let lines = [
            r#"{"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":null}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"Hel"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\""}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}"#,
            r#"{"choices":null,"usage":{"prompt_tokens":3,"completion_tokens":2,"completion_tokens_details":{"reasoning_tokens":1}}}"#,
            "[DONE]",
        ];
        let chunks: String = lines.iter().map(|line| reader.feed(line).unwrap().text).collect();
        assert_eq!(chunks, "Hello");
        assert!(reader.has_ended());
        let answer = Box::new(reader).finish();
        assert_eq!((answer.content.as_str(), answer.model.as_str()), ("Hello", "m"));
        let details = Some(TokenDetails { reasoning_tokens: 1 });
        assert_eq!(answer.usage, Some(Usage { completion_tokens_details: details, ..Usage::new(3, 2) }));
        let call = ToolCall { id: "c1".to_owned(), name: "f".to_owned(), arguments: json!({"a": 1}) };
        assert_eq!((answer.tool_calls, answer.finish_reason), (vec![call], Some(FinishReason::ToolCalls)));
    }

    #[test]
    fn a_stream_is_whole_only_if_the_server_says_so() {
        let chunk =
            |finish: Value| json!({"choices": [{"delta": {"content": "Half"}, "finish_reason": finish}]}).to_string();
        for (finish, complete) in [
            (json!(null), false),
            (json!(""), false),
            (json!("in_progress"), false),
            (json!("stop"), true),
            (json!("length"), true),
        ] {
            let mut reader = reader();
            reader.feed(&chunk(finish.clone())).unwrap();
            assert_eq!((reader.is_complete(), reader.is_complete_at_end()), (complete, complete), "{finish}");
        }
        let mut reader = reader();
        reader.feed(&chunk(json!(null))).unwrap();
        reader.feed(r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3}}"#).unwrap();
        assert_eq!((reader.is_complete(), reader.is_complete_at_end()), (false, true));
        reader.feed(&chunk(json!(null))).unwrap();
        assert!(!reader.is_complete_at_end(), "it went on");
        assert!(!super::tests::reader().is_complete_at_end(), "nothing at all is not an answer");
    }

    #[test]
    fn errors_are_found_wherever_they_stand() {
        for chunk in [
            json!({"error": {"message": "boom"}}),
            json!({"choices": [{"error": {"message": "boom"}, "finish_reason": "error", "delta": {"content": ""}}]}),
            json!({"choices": [{"delta": {"error": "boom"}}]}),
            json!({"choices": [{"message": {"content": "boom"}, "finish_reason": "error"}]}),
            json!({"detail": "boom"}),
        ] {
            assert_eq!(reader().feed(&chunk.to_string()).unwrap_err(), "broke off with an error: boom", "{chunk}");
        }
        let bare = json!({"choices": [{"delta": {}, "finish_reason": "error"}]});
        assert!(reader().feed(&bare.to_string()).unwrap_err().contains("finish_reason is 'error'"));
    }

    proptest! {
        #[test]
        fn no_chunk_can_break_the_reader(text in r#"[\[\]{}":,a-z0-9 ]{0,60}"#) {
            let mut reader = reader();
            drop(reader.feed(&text));
            let wrapped = format!(r#"{{"choices":[{{"delta":{}}}]}}"#, if text.is_empty() { "1" } else { &text });
            drop(reader.feed(&wrapped));
            reader.end();
            Box::new(reader).finish();
        }
    }
}

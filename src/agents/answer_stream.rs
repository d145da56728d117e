use serde_json::Value;

use super::answer_text::{find_error, find_piece, find_text};
use crate::kernel::{JsonReader, one_line, truncate_chars};
use crate::outbound::{ReportedError, SseEvent};

/// Characters of an error that an event of that name holds.
const MAX_ERROR_CHARS: usize = 500;
/// What is in the types of events that tell how an answer comes about.
const OTHER_TYPES: [&str; 8] =
    ["reasoning", "thinking", "tool", "function", "arguments", "transcript", "audio", "annotation"];
/// What is in the types of events that hold all of what came before in pieces.
const WHOLE_TYPES: [&str; 6] = ["done", "complete", "finish", "final", "values", "partial"];

/// One message of a stream.
struct StreamMessage {
    event: Option<String>,
    data: String,
}

/// The text of server-sent events, put together.
pub(super) fn text_of_events(events: &str) -> String {
    let mut text = StreamText::default();
    sse_messages(events).for_each(|message| text.add(&message));
    text.finish()
}

/// The same for JSON values on lines of their own.
pub(super) fn text_of_lines(lines: &str) -> String {
    let mut text = StreamText::default();
    line_messages(lines).for_each(|message| text.add(&message));
    text.finish()
}

/// The error that server-sent events tell of: an event of that name, or one whose data is an error.
pub(super) fn error_in_events(events: &str) -> Option<ReportedError> {
    sse_messages(events).find_map(|message| error_in(&message))
}

/// The same for JSON values on lines of their own.
pub(super) fn error_in_lines(lines: &str) -> Option<ReportedError> {
    line_messages(lines).find_map(|message| error_in(&message))
}

/// Whether a text is several lines of which each is a JSON object.
pub(super) fn are_json_lines(text: &str) -> bool {
    let mut lines = line_messages(text).map(|message| json_of(&message.data).is_some_and(|json| json.is_object()));
    lines.next() == Some(true) && lines.next() == Some(true) && lines.all(|is_object| is_object)
}

fn sse_messages(events: &str) -> impl Iterator<Item = StreamMessage> {
    let lines = events.trim_start_matches('\u{feff}').lines().chain([""]);
    let mut pending = String::new();
    let whole = lines.filter_map(move |line| {
        if !line.is_empty() {
            pending.push_str(line);
            pending.push('\n');
            return None;
        }
        SseEvent::parse(&std::mem::take(&mut pending))
    });
    whole.flat_map(|SseEvent { event, data, .. }| {
        let data = data.map(apart).unwrap_or_default();
        data.into_iter().map(move |data| StreamMessage { event: event.clone(), data })
    })
}

/// The data of an event. Some servers forget the blank line between two events, so that each line is one.
fn apart(data: String) -> Vec<String> {
    let are_lines = data.contains('\n') && json_of(&data).is_none() && data.lines().all(|line| json_of(line).is_some());
    if are_lines { data.lines().map(str::to_owned).collect() } else { vec![data] }
}

fn line_messages(lines: &str) -> impl Iterator<Item = StreamMessage> {
    let lines = lines.trim_start_matches('\u{feff}').lines().map(|line| line.trim_start_matches('\u{1e}').trim());
    lines.filter(|line| !line.is_empty()).map(|line| StreamMessage { event: None, data: line.to_owned() })
}

/// Objects, lists and texts; a bare number is a word like any other.
fn json_of(data: &str) -> Option<Value> {
    let json: Value = JsonReader::embedded().read(data.as_bytes()).ok()?;
    (json.is_object() || json.is_array() || json.is_string()).then_some(json)
}

fn error_in(message: &StreamMessage) -> Option<ReportedError> {
    let json = json_of(&message.data);
    let inner = json.as_ref().and_then(|json| json.get("response"));
    let told = json.as_ref().and_then(find_error).or_else(|| inner.and_then(find_error));
    let is_named = message.event.as_deref().is_some_and(|event| event.trim() == "error") && !message.data.is_empty();
    // One that says that there is none is none.
    let is_denied = json.as_ref().is_some_and(|json| json.get("error").is_some_and(Value::is_null));
    let named = || ReportedError { text: truncate_chars(&one_line(&message.data), MAX_ERROR_CHARS), has_answer: false };
    told.or_else(|| (is_named && !is_denied).then(named))
}

/// The text of a stream as far as it has been read.
#[derive(Default)]
struct StreamText {
    pieces: String,
    /// All of it, as a later message repeats it.
    whole: Option<String>,
    /// What is of no form that holds a text.
    rest: String,
}

impl StreamText {
    fn add(&mut self, message: &StreamMessage) {
        if message.data.trim() == "[DONE]" {
            return;
        }
        let Some(json) = json_of(&message.data) else {
            self.pieces.push_str(&message.data);
            return;
        };
        let kinds = ["type", "event"].into_iter().filter_map(|name| json.get(name)?.as_str());
        let kind = kinds.chain(message.event.as_deref()).collect::<Vec<_>>().join(" ").to_ascii_lowercase();
        if OTHER_TYPES.iter().any(|other| kind.contains(other)) {
            return;
        }
        if let Some(piece) = delta_of(&json) {
            self.pieces.push_str(&piece);
        } else if is_whole(&json, &kind) {
            self.whole = whole_of(&json).or_else(|| self.whole.take());
        } else if !is_progress(&json) {
            match find_piece(&json) {
                Some(piece) => self.pieces.push_str(&piece),
                None => self.rest.extend([&message.data, "\n"]),
            }
        }
    }

    fn finish(self) -> String {
        let text = if self.pieces.trim().is_empty() { self.whole } else { Some(self.pieces) };
        text.unwrap_or(self.rest)
    }
}

/// A piece of a text that says that it is one.
fn delta_of(json: &Value) -> Option<String> {
    if let Value::String(text) = json {
        return Some(text.clone());
    }
    let choice = json.get("choices").and_then(|choices| choices.get(0)).and_then(|choice| choice.get("delta"));
    let delta = choice.or_else(|| json.get("delta"))?;
    // Of something else than a text it is the empty one.
    Some(match delta {
        Value::String(text) => text.clone(),
        delta => {
            ["content", "text"].iter().filter_map(|name| delta.get(*name)).find_map(find_piece).unwrap_or_default()
        }
    })
}

fn whole_of(json: &Value) -> Option<String> {
    json.get("response").or_else(|| update_of(json)).and_then(find_text).or_else(|| find_text(json))
}

/// The state that a node of a graph tells below its name.
fn update_of(json: &Value) -> Option<&Value> {
    let nodes = json.as_object().filter(|nodes| nodes.len() == 1)?;
    nodes.values().next().filter(|state| is_state(state))
}

fn is_state(value: &Value) -> bool {
    value.get("messages").is_some_and(Value::is_array)
}

fn is_whole(json: &Value, kind: &str) -> bool {
    let is_update = update_of(json).is_some();
    let is_task = json.get("result").is_some_and(|result| result.get("status").is_some());
    let is_told = WHOLE_TYPES.iter().any(|whole| kind.contains(whole));
    is_told || is_state(json) || is_update || is_task && !is_progress(json)
}

/// Whether a task of A2A tells that it is at work.
fn is_progress(json: &Value) -> bool {
    let result = json.get("result").unwrap_or(json);
    let state = result.get("status").and_then(|status| status.get("state")).and_then(Value::as_str);
    let has_artifact = ["artifact", "artifacts"].iter().any(|name| result.get(*name).is_some());
    !has_artifact
        && state.is_some_and(|state| {
            ["working", "submitted", "TASK_STATE_WORKING", "TASK_STATE_SUBMITTED"].contains(&state)
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Events of these data.
    fn events(data: &[Value]) -> String {
        data.iter().map(|data| format!("data: {data}\n\n")).collect()
    }

    fn piece(text: &str) -> Value {
        json!({"choices": [{"index": 0, "delta": {"content": text}}]})
    }

    #[test]
    fn the_pieces_of_all_frameworks_are_put_together() {
        let artifact = |text: &str| {
            json!({"jsonrpc": "2.0", "id": 1, "result": {"kind": "artifact-update", "append": true,
            "artifact": {"artifactId": "x", "parts": [{"kind": "text", "text": text}]}}})
        };
        let status = |state: &str| json!({"result": {"kind": "status-update", "status": {"state": state}, "final": state == "completed"}});
        let rows = [
            vec![json!({"content": "Two"}), json!({"content": " "}), json!({"content": "invoices"})],
            vec![
                json!({"choices": [{"delta": {"role": "assistant"}}]}),
                piece("Two "),
                piece("invoices"),
                json!({"choices": [], "usage": {}}),
            ],
            vec![
                json!({"type": "response.reasoning_summary_text.delta", "delta": "hm"}),
                json!({"type": "response.output_text.delta", "delta": "Two "}),
                json!({"type": "response.output_text.delta", "delta": "invoices"}),
                json!({"type": "response.completed", "response": {"output": [{"type": "message", "content": [{"type": "output_text", "text": "Two invoices"}]}]}}),
            ],
            vec![
                json!({"type": "message_start", "message": {"role": "assistant", "content": []}}),
                json!({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}}),
                json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Two "}}),
                json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "invoices"}}),
                json!({"type": "message_stop"}),
            ],
            vec![status("working"), artifact("Two"), artifact(" invoices"), status("completed")],
            vec![
                json!({"type": "begin", "metadata": {}}),
                json!({"type": "item", "content": "Two "}),
                json!({"type": "item", "content": "invoices"}),
                json!({"type": "end"}),
            ],
            vec![
                json!({"message": {"content": "Two "}, "done": false}),
                json!({"message": {"content": "invoices"}, "done": false}),
                json!({"message": {"content": ""}, "done": true}),
            ],
            vec![
                json!({"event": "message", "answer": "Two "}),
                json!({"event": "message", "answer": "invoices"}),
                json!({"event": "workflow_finished", "data": {"outputs": {"answer": "Two invoices"}}}),
            ],
            vec![
                json!({"messages": [{"type": "human", "content": "q"}]}),
                json!({"messages": [{"type": "human", "content": "q"}, {"type": "ai", "content": "Two invoices"}]}),
            ],
            vec![json!({"agent": {"messages": [{"type": "ai", "content": "Two invoices"}]}})],
            vec![
                json!([{"type": "AIMessageChunk", "content": "Two "}, {"langgraph_node": "a"}]),
                json!([{"type": "AIMessageChunk", "content": "invoices"}, {"langgraph_node": "a"}]),
            ],
            vec![
                json!({"type": "TEXT_MESSAGE_CONTENT", "delta": "Two "}),
                json!({"type": "TOOL_CALL_ARGS", "delta": "{}"}),
                json!({"type": "TEXT_MESSAGE_CONTENT", "delta": "invoices"}),
            ],
            vec![json!("Two "), json!("invoices")],
        ];
        for row in rows {
            assert_eq!(text_of_events(&events(&row)), "Two invoices", "{row:?}");
            let lines: String = row.iter().map(|data| format!("{data}\n")).collect();
            assert_eq!(text_of_lines(&lines), "Two invoices", "{row:?}");
        }
    }

    #[test]
    fn events_of_any_make_are_read() {
        for stream in [
            "event: delta\ndata: {\"content\": \"Two \"}\n\n: ping\n\ndata: {\"content\": \"invoices\"}\n\ndata: [DONE]\n",
            "data: Two\n\ndata:  invoices\n\n",
            "data: {\"content\": \"Two \"}\ndata: {\"content\": \"invoices\"}\n\n",
            "\u{feff}data:{\"content\":\r\ndata:\"Two invoices\"}\r\n\r\n",
            "event: values\ndata: {\"answer\": \"Two invoices\"}",
        ] {
            assert_eq!(text_of_events(stream), "Two invoices", "{stream}");
        }
        assert_eq!(text_of_events("data: {\"n\": 1}\n\n"), "{\"n\": 1}\n");
        assert_eq!(text_of_events("data: {\"content\": \"\"}\n\n"), "");
    }

    #[test]
    fn lines_are_told_from_other_texts() {
        assert!(are_json_lines("{\"a\": 1}\n\n{\"b\": 2}\n") && are_json_lines("{}\r\n{}"));
        for other in ["{\"a\": 1}", "{\"a\": 1}\nand more", "1\n2", "{\"a\":\n1}", ""] {
            assert!(!are_json_lines(other), "{other:?}");
        }
    }

    #[test]
    fn an_error_among_messages_is_found() {
        let text = |events: &str| error_in_events(events).map(|error| error.text);
        let rows = [
            ("data: {\"content\": \"Two \"}\n\nevent: error\ndata: out of memory\n\n", Some("out of memory")),
            ("event: end\ndata: {\"error\": {\"message\": \"boom\"}}\n\n", Some("boom")),
            (
                "data: {\"type\": \"response.failed\", \"response\": {\"error\": {\"message\": \"boom\"}}}\n\n",
                Some("boom"),
            ),
            ("event: error\n\ndata: {\"content\": \"error\", \"error\": null}\n\n", None),
        ];
        for (events, expected) in rows {
            assert_eq!(text(events).as_deref(), expected, "{events}");
        }
        let lines = "{\"type\": \"item\", \"content\": \"Two\"}\n{\"type\": \"error\", \"message\": \"boom\"}\n";
        assert_eq!(error_in_lines(lines).map(|error| error.text).as_deref(), Some("boom"));
    }
}

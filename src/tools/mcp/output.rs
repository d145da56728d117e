use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock, ServerPeerInfo};
use serde::Serialize;
use serde_json::{Map, Value};

use super::repair::{LeftOutItem, left_out};
use crate::tools::output::ToolOutput;
use crate::tools::result::ToolResult;

/// Characters of an error that are told.
const MAX_ERROR_CHARS: usize = 4_000;

/// What a server's answer to a call means.
pub(super) fn result(answer: CallToolResponse, who: &str) -> ToolResult {
    match answer {
        CallToolResponse::Complete(result) => complete(result, who),
        CallToolResponse::InputRequired(_) => {
            ToolResult::failure(format!("{who} asks for input from a person, which this server can't give"))
        }
        _ => ToolResult::failure(format!("{who} answers later, as a task, which this server does not follow")),
    }
}

fn complete(result: CallToolResult, who: &str) -> ToolResult {
    let left_out = left_out(result.meta.as_ref());
    let left_out: Vec<_> =
        left_out.into_iter().map(|LeftOutItem { name, reason }| format!("{name}: {reason}")).collect();
    let is_unread = result.content.is_empty() && result.structured_content.is_none() && !left_out.is_empty();
    let read = if is_unread { unread(&result, who) } else { read(result, who) };
    read.with_some("left_out", (!left_out.is_empty()).then_some(left_out))
}

/// An answer that holds nothing but content that nobody here knows.
fn unread(result: &CallToolResult, who: &str) -> ToolResult {
    let failed = if result.is_error == Some(true) { "says that the tool failed, and" } else { "did its work, but" };
    ToolResult::failure(format!("{who} {failed} answers with content of a type that this server does not know"))
}

fn read(result: CallToolResult, who: &str) -> ToolResult {
    let texts: Option<Vec<_>> = result.content.iter().map(|block| block.as_text().map(|text| &*text.text)).collect();
    let text = texts.map(|texts| texts.join("\n"));
    let output = match (result.structured_content, &text) {
        (Some(structured), _) => structured,
        (None, Some(text)) => text.as_str().into(),
        (None, None) => result.content.iter().map(describe).collect(),
    };
    let output = ToolOutput::Json(output);
    if result.is_error != Some(true) {
        return ToolResult::success(output);
    }
    let said = text.filter(|text| !text.trim().is_empty()).map(|text| text.chars().take(MAX_ERROR_CHARS).collect());
    ToolResult::failure(said.unwrap_or_else(|| format!("{who} says that the tool failed"))).with_output(output)
}

/// A part of an answer that may be no text: of pictures, sounds and files only type and size.
fn describe(block: &ContentBlock) -> Value {
    let mut shown = serde_json::to_value(block).unwrap_or_default();
    if let Some(shown) = shown.as_object_mut() {
        measure(shown);
        if let Some(Value::Object(resource)) = shown.get_mut("resource") {
            measure(resource);
        }
    }
    shown
}

fn measure(part: &mut Map<String, Value>) {
    for key in ["annotations", "_meta", "icons"] {
        part.shift_remove(key);
    }
    for key in ["data", "blob"] {
        if let Some(Value::String(base64)) = part.shift_remove(key) {
            part.insert("bytes".to_owned(), (base64.trim_end_matches('=').len() * 3 / 4).into());
        }
    }
}

/// Name of a server, for the metadata of a result and for tests.
#[derive(Serialize)]
pub(super) struct ServerInfo {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
}

impl ServerInfo {
    pub(super) fn of(info: &ServerPeerInfo) -> Option<Self> {
        let cut = |text: &str| text.chars().take(200).collect();
        info.server_info.as_ref().map(|server| Self { name: cut(&server.name), version: cut(&server.version) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::ToolStatus;

    fn of(result: Value) -> ToolResult {
        complete(serde_json::from_value(result).unwrap(), "MCP server 'x'")
    }

    #[test]
    fn structure_wins_over_texts_and_texts_over_descriptions() {
        let texts = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        assert_eq!(of(json!({"content": texts})).output, ToolOutput::Json(json!("a\nb")));
        assert_eq!(
            of(json!({"content": texts, "structuredContent": {"n": 1}})).output,
            ToolOutput::Json(json!({"n": 1}))
        );
        assert_eq!(of(json!({"content": [], "structuredContent": null})).output, ToolOutput::Json(Value::Null));
        let mixed = of(json!({"content": [
            {"type": "text", "text": "look:", "annotations": {"priority": 1.0}},
            {"type": "image", "data": "aGVsbG8=", "mimeType": "image/png"},
            {"type": "resource", "resource": {"uri": "file:///a", "mimeType": "application/x", "blob": "AAAA"}},
            {"type": "resource_link", "uri": "file:///b", "name": "b"},
        ]}));
        let expected = json!([
            {"type": "text", "text": "look:"},
            {"type": "image", "mimeType": "image/png", "bytes": 5},
            {"type": "resource", "resource": {"uri": "file:///a", "mimeType": "application/x", "bytes": 3}},
            {"type": "resource_link", "uri": "file:///b", "name": "b"},
        ]);
        assert_eq!(mixed.output, ToolOutput::Json(expected));
    }

    #[test]
    fn a_failed_tool_is_a_failure_in_its_own_words() {
        let failed = of(json!({"content": [{"type": "text", "text": "no such city"}], "isError": true}));
        assert_eq!((failed.status, failed.error.as_deref()), (ToolStatus::Failure, Some("no such city")));
        assert_eq!(failed.output, ToolOutput::Json(json!("no such city")));
        let silent = of(json!({"content": [], "isError": true}));
        assert_eq!(silent.error.as_deref(), Some("MCP server 'x' says that the tool failed"));
    }
}

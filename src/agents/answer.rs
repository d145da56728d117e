use serde_json::Value;

use super::answer_stream::{are_json_lines, error_in_events, error_in_lines, text_of_events, text_of_lines};
use super::answer_text::{find_error, text_of};
use crate::outbound::ReportedError;

/// What events are announced as.
const EVENTS: &str = "text/event-stream";
/// What JSON values on lines of their own are announced as.
const JSON_LINES: [&str; 8] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonl",
    "application/jsonlines",
    "application/x-json-stream",
    "application/stream+json",
    "application/json-seq",
];

/// What an agent answered.
#[derive(Debug)]
pub struct AgentAnswer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, without parameters.
    pub content_type: String,
    /// The reply.
    pub payload: Payload,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Payload {
    /// JSON, or null for no body.
    Json(Value),
    /// Any other text.
    Text(String),
    /// What is no text.
    Binary(bytes::Bytes),
}

impl AgentAnswer {
    /// What the agent says, wherever it puts it; `None` if that is no text.
    pub fn text(&self) -> Option<String> {
        match &self.payload {
            Payload::Json(json) => Some(text_of(json)),
            Payload::Text(text) if self.content_type == EVENTS => Some(text_of_events(text)),
            Payload::Text(text) if is_json_lines(&self.content_type, text.as_bytes()) => Some(text_of_lines(text)),
            Payload::Text(text) => Some(text.clone()),
            Payload::Binary(_) => None,
        }
    }

    /// The error that the agent tells of, whatever its status says.
    pub fn error(&self) -> Option<ReportedError> {
        match &self.payload {
            Payload::Json(json) => find_error(json),
            Payload::Text(text) if self.content_type == EVENTS => error_in_events(text),
            Payload::Text(text) if is_json_lines(&self.content_type, text.as_bytes()) => error_in_lines(text),
            _ => None,
        }
    }
}

/// Whether a body consists of JSON values on lines of their own: it is announced as that, or as JSON of which it is more than one.
pub(super) fn is_json_lines(content_type: &str, body: &[u8]) -> bool {
    JSON_LINES.contains(&content_type)
        || content_type.ends_with("json") && std::str::from_utf8(body).is_ok_and(are_json_lines)
}

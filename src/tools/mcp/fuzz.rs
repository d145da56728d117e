use bytes::Bytes;
use futures_util::FutureExt;
use rmcp::model::{ContentBlock, ErrorData, Tool};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::TransportFault;
use super::message_lines::MessageLines;
use super::process_log::ProcessLog;
use super::repair::read_message;
use crate::fuzz::in_pieces;
use crate::kernel::{JsonReader, Redaction, Secret};

/// What a server is started with, and may log.
const TOKEN: &str = "sk-canary-0123456789";
/// Characters that are quoted of a log: six lines, and what stands between them.
const MAX_QUOTED_CHARS: usize = 6 * 401 + 5 * 3;

/// A server's message that is repaired is one that the SDK reads, and needs no more repair.
pub(crate) fn mcp_message(data: &[u8]) {
    let reader = JsonReader::new(1_000);
    let Ok(message) = read_message(data, reader) else { return };
    let again = read_message(message.to_string().as_bytes(), JsonReader::new(10_000)).ok();
    assert_eq!(again.map(without_meta), Some(without_meta(message.clone())));
    if let Some(error) = message.get("error") {
        assert!(is::<ErrorData>(error) && message.get("result").is_none(), "{message}");
    }
    let Some(result) = message.get("result") else { return };
    let items = |name: &str| result.get(name).and_then(Value::as_array).into_iter().flatten();
    assert!(items("tools").all(is::<Tool>), "{message}");
    if result.get("content").is_some_and(Value::is_array) {
        assert!(items("content").all(is::<ContentBlock>), "{message}");
    }
}

fn is<T: DeserializeOwned>(value: &Value) -> bool {
    T::deserialize(value).is_ok()
}

/// A message without what its result tells of the repair, which is told once.
fn without_meta(mut message: Value) -> Value {
    if let Some(Value::Object(result)) = message.get_mut("result") {
        result.shift_remove("_meta");
    }
    message
}

/// What an MCP server writes as a process: its messages are lines wherever its writes end, and its log is quoted in part and without
/// its token.
pub(crate) fn mcp_process(data: &[u8]) {
    let whole = messages(vec![Bytes::copy_from_slice(data)]);
    for pieces in in_pieces(data) {
        assert_eq!(messages(pieces), whole);
    }
    if let Some(messages) = whole {
        let lines = |text: &[u8]| text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        assert_eq!(lines(messages.as_bytes()), lines(data));
    }
    let log = ProcessLog::default();
    log.clone().read(data, Redaction::new([Secret::new(TOKEN)])).now_or_never();
    let said = log.last_lines();
    assert!(!said.contains(TOKEN) && said.chars().count() <= MAX_QUOTED_CHARS, "{said}");
}

/// The lines of what comes in these pieces; none if it is too much.
fn messages(pieces: Vec<Bytes>) -> Option<String> {
    let none: Box<dyn AsyncRead + Unpin> = Box::new(tokio::io::empty());
    let written = pieces.into_iter().fold(none, |before, piece| Box::new(before.chain(std::io::Cursor::new(piece))));
    let mut lines = MessageLines::new(written, JsonReader::new(1_000), TransportFault::default());
    let mut read = Vec::new();
    let outcome = lines.read_to_end(&mut read).now_or_never();
    outcome?.ok().map(|_| String::from_utf8_lossy(&read).into_owned())
}

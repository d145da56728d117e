use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::kernel::{Deadline, JsonReader, Redaction, media_type};
use crate::outbound::Reply;
use crate::tools::output::ToolOutput;
use crate::tools::result::ToolResult;

/// Largest body that is read; of a longer one the beginning is given.
const MAX_BODY_BYTES: usize = 1_000_000;
/// Largest body that is no text and is given at all.
const MAX_BINARY_BYTES: usize = 100_000;
/// Headers that are told, and characters of each.
const MAX_HEADERS: usize = 60;
const MAX_HEADER_CHARS: usize = 1000;
/// Headers that tell something about a body.
const SHOWN_HEADERS: [&str; 8] = [
    "etag",
    "last-modified",
    "link",
    "location",
    "retry-after",
    "x-total-count",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
];

/// Description of a body that is no text.
#[derive(Serialize)]
struct BinaryBody {
    content_type: String,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// What a reply comes to; `who` names what was called.
pub(super) async fn read(
    reply: Reply,
    who: &str,
    method: &str,
    redaction: &Redaction,
    deadline: Deadline,
) -> ToolResult {
    let (status, status_text, reader) = (reply.status(), reply.status_text(), reply.reader());
    let content_type: String =
        reply.header("content-type").unwrap_or_default().chars().take(MAX_HEADER_CHARS).collect();
    let headers = headers(&reply, |name| method == "HEAD" || SHOWN_HEADERS.contains(&name));
    let (output, whole) = if method == "HEAD" {
        (Value::Object(headers.clone()), true)
    } else {
        match reply.bytes_truncated(MAX_BODY_BYTES, deadline).await {
            Ok((bytes, whole)) => (output(&content_type, &bytes, whole, reader, redaction), whole),
            Err(error) => return ToolResult::call(who, &error).with("status_code", status),
        }
    };
    let output = ToolOutput::Json(output);
    let result = match status {
        400.. => ToolResult::failure(format!("{who} answered {status_text}")).with_output(output),
        _ => ToolResult::success(output),
    };
    result
        .with("status_code", status)
        .with("content_type", content_type)
        .with_some("headers", (!headers.is_empty()).then_some(headers))
        .with_some("truncated", (!whole).then_some(true))
}

/// JSON as JSON unless it has too many values, text as text, and of all else what it is.
fn output(content_type: &str, bytes: &[u8], whole: bool, reader: JsonReader, redaction: &Redaction) -> Value {
    let kind = media_type(content_type);
    let is_json = kind.is_empty() || kind.ends_with("json");
    if bytes.is_empty() {
        return Value::Null;
    }
    if let Some(json) = reader.read(bytes).ok().filter(|_| is_json && whole) {
        return json;
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let textual = ["json", "xml", "javascript", "yaml", "x-www-form-urlencoded"];
    let says_so = kind.starts_with("text/") || textual.iter().any(|end| kind.ends_with(end));
    if says_so || reads_as_text(bytes, whole) {
        return String::from_utf8_lossy(bytes).into_owned().into();
    }
    // Encoded, a credential could not be found and masked.
    let tellable = whole && bytes.len() <= MAX_BINARY_BYTES && !redaction.occurs_in(bytes);
    let base64 = tellable.then(|| STANDARD.encode(bytes));
    serde_json::to_value(BinaryBody { content_type: kind, bytes: bytes.len(), base64 }).unwrap_or_default()
}

/// Whether bytes of an unknown kind are UTF-8; the last character of what was cut may be half.
fn reads_as_text(bytes: &[u8], whole: bool) -> bool {
    let is_utf8 = std::str::from_utf8(bytes).map_or_else(|error| !whole && error.error_len().is_none(), |_| true);
    is_utf8 && !bytes.contains(&0)
}

fn headers(reply: &Reply, wanted: impl Fn(&str) -> bool) -> Map<String, Value> {
    let told = reply.headers().filter(|(name, _)| wanted(name) && *name != "set-cookie").take(MAX_HEADERS);
    told.map(|(name, value)| (name.to_owned(), value.chars().take(MAX_HEADER_CHARS).collect::<String>().into()))
        .collect()
}

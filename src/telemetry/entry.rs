use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::context::RequestData;
use super::redact::Redactor;
use crate::kernel::{Clock, MASK, is_credential_name};

/// Longest text of a line, in bytes; a longer one is cut.
const MAX_TEXT_BYTES: usize = 8_000;
/// As much more is searched for secrets, so that none is cut in two.
const REDACTION_MARGIN: usize = 4_000;
/// Most bytes of all fields of a line together; further fields are left out.
const MAX_FIELD_BYTES: usize = 32_000;

/// One line of the log.
#[derive(Clone, Debug, Serialize)]
pub struct LogEntry {
    /// Counts the lines of this process from 1.
    pub id: u64,
    /// When, in milliseconds since 1970.
    #[serde(rename = "timestamp", serialize_with = "as_rfc3339")]
    pub at_ms: i64,
    /// `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    #[serde(serialize_with = "as_text")]
    pub level: Level,
    /// The part of the server that speaks.
    pub target: String,
    /// What happened.
    pub message: String,
    /// The request it happened in.
    pub request_id: Option<String>,
    /// The execution it happened in.
    pub execution_id: Option<String>,
    /// Particulars.
    pub fields: Map<String, Value>,
}

fn as_rfc3339<S: serde::Serializer>(at_ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&Clock::rfc3339(*at_ms))
}

fn as_text<S: serde::Serializer>(level: &Level, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(level.as_str())
}

impl LogEntry {
    /// The line of an event of this request, redacted and cut.
    pub(super) fn new(
        event: &Event<'_>,
        request: Option<&RequestData>,
        at_ms: i64,
        redactor: &Redactor,
        with_content: bool,
    ) -> Self {
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        let entry = Self {
            id: 0,
            at_ms,
            level,
            target: target.to_owned(),
            message: String::new(),
            request_id: request.map(|request| request.id.clone()),
            execution_id: request.and_then(|request| request.execution_id.get().cloned()),
            fields: Map::new(),
        };
        let is_ours = target.starts_with("orchestrator_studio");
        let mut visitor = FieldVisitor { redactor, with_content, is_ours, bytes: 0, entry };
        event.record(&mut visitor);
        // Its client may have chosen the id of a request.
        let request_id = visitor.entry.request_id.map(|id| redact_and_cut(redactor, &id));
        Self { request_id, ..visitor.entry }
    }

    /// About how much memory it takes, in bytes.
    pub(super) fn size(&self) -> usize {
        let fields = self.fields.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len) + 64);
        let ids = [&self.request_id, &self.execution_id].into_iter().flatten().map(String::len);
        256 + self.target.len() + self.message.len() + fields.sum::<usize>() + ids.sum::<usize>()
    }

    /// Whether it says `needle`, which is in lower case, anywhere.
    pub(super) fn contains(&self, needle: &str) -> bool {
        let says = |text: &str| text.to_lowercase().contains(needle);
        let field = |(name, value): (&String, &Value)| match value {
            Value::String(text) => says(name) || says(text),
            other => says(name) || says(&other.to_string()),
        };
        let ids = [&self.request_id, &self.execution_id];
        says(&self.message)
            || says(&self.target)
            || ids.into_iter().flatten().any(|id| says(id))
            || self.fields.iter().any(field)
    }

    /// The line for people.
    pub(super) fn to_text(&self, colored: bool) -> String {
        let (begin, end) = match self.level {
            _ if !colored => ("", ""),
            Level::ERROR => ("\x1b[31m", "\x1b[0m"),
            Level::WARN => ("\x1b[33m", "\x1b[0m"),
            Level::INFO => ("\x1b[32m", "\x1b[0m"),
            _ => ("\x1b[2m", "\x1b[0m"),
        };
        let message = escape(&self.message);
        let level = self.level.as_str();
        let indent = if level.len() < 5 { " " } else { "" };
        let mut line = [&Clock::rfc3339(self.at_ms), " ", begin, indent, level, end, " ", &message].concat();
        for (name, value) in &self.fields {
            line.extend([" ", name, "="]);
            match value {
                Value::String(text) => line.push_str(&quoted(text)),
                other => line.push_str(&other.to_string()),
            }
        }
        for (name, id) in [("request_id", &self.request_id), ("execution_id", &self.execution_id)] {
            if let Some(id) = id {
                line.extend([" ", name, "=", &quoted(id)]);
            }
        }
        line.push('\n');
        line
    }

    /// The line for programs.
    pub(super) fn to_json(&self) -> String {
        // Maps with text keys can always be written.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

/// A text with nothing in it that ends a line, moves a terminal's cursor or turns what follows around.
fn escape(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if is_plain(c) { c.to_string() } else { c.escape_debug().to_string() };
    text.chars().map(escape).collect()
}

fn is_plain(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

fn quoted(text: &str) -> Cow<'_, str> {
    let is_bare = |byte: u8| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'=');
    if !text.is_empty() && text.bytes().all(is_bare) {
        return Cow::Borrowed(text);
    }
    let bare = |c: char| is_plain(c) && !c.is_whitespace() && c != '"' && c != '=';
    if !text.is_empty() && text.chars().all(bare) { text.into() } else { format!("{text:?}").into() }
}

/// Collects what an event says.
struct FieldVisitor<'a> {
    redactor: &'a Redactor,
    with_content: bool,
    /// Whether a part of this server speaks, and not a crate.
    is_ours: bool,
    bytes: usize,
    entry: LogEntry,
}

impl FieldVisitor<'_> {
    fn text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "message" => self.entry.message = redact_and_cut(self.redactor, text),
            "request_id" if self.is_ours => self.entry.request_id = Some(text.to_owned()),
            "execution_id" if self.is_ours => self.entry.execution_id = Some(text.to_owned()),
            // Events of the `log` crate tell here what tracing's own tell in their metadata.
            "log.target" => self.entry.target = text.to_owned(),
            "log.module_path" | "log.file" => {}
            // What others said, and statements, of which a prompt may be one.
            "untrusted" | "db.statement" | "summary" if !self.with_content => {}
            name => {
                let text = redact_and_cut(self.redactor, text);
                self.put(name, text.len(), text.into());
            }
        }
    }

    fn put(&mut self, name: &str, size: usize, value: Value) {
        self.bytes += size;
        let value = if is_credential_name(name) { MASK.into() } else { value };
        if self.bytes <= MAX_FIELD_BYTES && name != "log.line" {
            self.entry.fields.insert(name.to_owned(), value);
        }
    }
}

impl Visit for FieldVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), 8, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), 8, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), 8, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), 8, value.into());
    }
}

/// `text` redacted and cut. What is cut off anyway is not searched.
fn redact_and_cut(redactor: &Redactor, text: &str) -> String {
    let begin = |text: &str, length| text.get(..text.floor_char_boundary(length)).unwrap_or_default().to_owned();
    let masked = redactor.redact(&begin(text, MAX_TEXT_BYTES + REDACTION_MARGIN));
    if masked.len() <= MAX_TEXT_BYTES {
        return masked;
    }
    format!("{}... ({} bytes in all)", begin(&masked, MAX_TEXT_BYTES), text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_line_is_one_line_whatever_it_says() {
        let fields = [("a", Value::from("x y")), ("b", 5.into()), ("c", "plain".into()), ("d", "\n\u{1b}[2J".into())];
        let entry = LogEntry {
            id: 1,
            at_ms: 0,
            level: Level::WARN,
            target: "t".to_owned(),
            message: "can't: first\nsecond \u{202e}".to_owned(),
            request_id: Some("r1".to_owned()),
            execution_id: None,
            fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        };
        let expected = "1970-01-01T00:00:00.000Z  WARN can't: first\\nsecond \\u{202e} a=\"x y\" b=5 c=plain d=\"\\n\\u{1b}[2J\" request_id=r1\n";
        assert_eq!(entry.to_text(false), expected);
        assert!(entry.to_text(true).contains("\u{1b}[33m WARN"));
        assert!(
            entry.contains("second") && entry.contains("r1") && entry.contains("x y") && !entry.contains("nowhere")
        );
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let cut = redact_and_cut(&Redactor::default(), &"ä".repeat(MAX_TEXT_BYTES));
        assert!(cut.ends_with("... (16000 bytes in all)") && cut.len() < MAX_TEXT_BYTES + 50);
    }
}

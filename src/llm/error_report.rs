use std::fmt;

use serde_json::Value;

use crate::kernel::{JsonReader, Redaction, one_line, truncate_chars};

/// Longest message that is kept, in characters.
const MAX_MESSAGE_CHARS: usize = 4_000;
/// Characters of it that people are shown.
const MAX_SHOWN_CHARS: usize = 300;
/// Fields that are kept.
const MAX_FIELDS: usize = 20;

/// What a server says of an error, whatever form it says it in. Secrets are masked before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorReport {
    message: String,
    /// Machine-readable words: codes, types, states; in lower case.
    codes: Vec<String>,
    /// Places in the request that it objects to, with dots between their parts: `messages.0.role`.
    fields: Vec<String>,
}

impl ErrorReport {
    /// Reads the body of an error reply. Known forms: `{"error": {"message", "param", "code"}}` (OpenAI, Azure, Groq, DeepSeek), the
    /// same in a list and with `status` and `fieldViolations` (Gemini), with what a provider behind it said in `metadata.raw`
    /// (OpenRouter), `{"error": "..."}` (Ollama, LM Studio), `{"object": "error", "message"}` (vLLM), `{"detail": [{"loc", "msg"}]}`
    /// (FastAPI), the same within `message` (Mistral), and plain text.
    pub(super) fn read(body: &str, redaction: &Redaction) -> Self {
        let report = match JsonReader::embedded().read::<Value>(body.as_bytes()) {
            Ok(json) => Self::of_json(&json, body),
            Err(_) => Self { message: body.to_owned(), ..Self::default() },
        };
        // What was escaped is plain only now.
        Self { message: truncate_chars(&redaction.text(&report.message), MAX_MESSAGE_CHARS), ..report }
    }

    fn of_json(json: &Value, body: &str) -> Self {
        let reply = json.get(0).unwrap_or(json);
        let error = reply.get("error").filter(|error| error.is_object()).unwrap_or(reply);
        let mut report = Self::default();
        let words = ["code", "type", "status"].map(|name| error.get(name));
        report.codes.extend(words.into_iter().flatten().filter_map(Value::as_str).map(str::to_lowercase));
        report.fields.extend(error.get("param").and_then(Value::as_str).map(place));
        let lists =
            [reply.get("detail"), reply.get("message").and_then(|message| message.get("detail")), error.get("details")];
        let mut said: Vec<String> = message_in(reply).map(str::to_owned).into_iter().collect();
        let has_message = !said.is_empty();
        for issue in lists.into_iter().flatten().filter_map(Value::as_array).flatten() {
            let field = report.add_issue(issue);
            let message = issue.get("msg").and_then(Value::as_str).filter(|_| !has_message);
            said.extend(
                message.map(|message| field.map_or_else(|| message.to_owned(), |field| format!("{field}: {message}"))),
            );
        }
        if let Some(behind) = error.get("metadata").and_then(|metadata| metadata.get("raw")).and_then(Value::as_str) {
            let behind = Self::read_once(behind);
            said.push(behind.message);
            report.codes.extend(behind.codes);
            report.fields.extend(behind.fields);
        }
        report.fields.truncate(MAX_FIELDS);
        let message = if said.is_empty() { body.to_owned() } else { said.join(": ") };
        Self { message, ..report }
    }

    /// What another server said, as this one quotes it; what that quotes is not read.
    fn read_once(text: &str) -> Self {
        let json = JsonReader::embedded().read::<Value>(text.as_bytes()).unwrap_or_default();
        let error = json.get("error").unwrap_or(&json);
        let word = |name: &str| error.get(name).and_then(Value::as_str);
        Self {
            message: message_in(&json).unwrap_or(text).to_owned(),
            codes: word("code").into_iter().chain(word("type")).map(str::to_lowercase).collect(),
            fields: word("param").map(place).into_iter().collect(),
        }
    }

    /// Takes over where an issue of a list stands.
    fn add_issue(&mut self, issue: &Value) -> Option<String> {
        let violations = issue.get("fieldViolations").and_then(Value::as_array).into_iter().flatten();
        self.fields.extend(violations.filter_map(|one| one.get("field")?.as_str()).map(place));
        let part = |part: &Value| part.as_str().map_or_else(|| part.to_string(), str::to_owned);
        let parts: Vec<_> = issue.get("loc")?.as_array()?.iter().take(MAX_FIELDS).map(part).collect();
        let field = place(parts.join(".").trim_start_matches("body."));
        self.fields.push(field.clone());
        Some(field)
    }

    /// What it says, in lower case.
    pub(super) fn lowercase(&self) -> String {
        self.message.to_lowercase()
    }

    /// Whether it has one of these words as a code.
    pub(super) fn has_code(&self, words: &[&str]) -> bool {
        self.codes.iter().any(|code| words.contains(&code.as_str()))
    }

    /// The places in the request that it objects to.
    pub(super) fn fields(&self) -> &[String] {
        &self.fields
    }
}

/// The beginning of the message after a colon; nothing if there is none.
impl fmt::Display for ErrorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = excerpt(&self.message, MAX_SHOWN_CHARS);
        if said.is_empty() { Ok(()) } else { write!(f, ": {said}") }
    }
}

/// A place in the one form: `messages[0].role` becomes `messages.0.role`.
fn place(text: &str) -> String {
    let dotted = text.replace('[', ".").replace([']', '"', '\''], "");
    dotted.split('.').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".").to_lowercase()
}

/// The message in an error body of any of the known forms: `{"error": {"message"}}` (OpenAI), `{"error": "..."}`
/// (Ollama), `{"object": "error", "message"}` (vLLM), `{"detail"}` (FastAPI).
pub(super) fn message_in(body: &Value) -> Option<&str> {
    let error = body.get("error");
    let places = [error.and_then(|error| error.get("message")), error, body.get("message"), body.get("detail")];
    places.into_iter().flatten().find_map(Value::as_str)
}

/// The beginning of what a server said, on one line. To be redacted before: half a key is one too.
pub(super) fn excerpt(body: &str, chars: usize) -> String {
    let text = one_line(body);
    if text.starts_with('<') { "(an HTML page)".to_owned() } else { text.chars().take(chars).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn servers_say_what_they_object_to_in_many_forms() {
        let table = [
            (
                json!({"error": {"message": "Unsupported value", "type": "invalid_request_error", "param": "messages[0].role",
                    "code": "unsupported_value"}}),
                ": Unsupported value",
                "messages.0.role",
            ),
            (
                json!([{"error": {"code": 400, "message": "Unknown name", "status": "INVALID_ARGUMENT", "details": [
                    {"@type": "x", "fieldViolations": [{"field": "stream_options", "description": "no"}]}]}}]),
                ": Unknown name",
                "stream_options",
            ),
            (
                json!({"detail": [{"type": "extra_forbidden", "loc": ["body", "top_p"], "msg": "Extra inputs are not permitted"}]}),
                ": top_p: Extra inputs are not permitted",
                "top_p",
            ),
            (
                json!({"object": "error", "type": "invalid_request_error", "message": {"detail": [
                    {"loc": ["body", "messages", 2, "content"], "msg": "Input should be a valid string"}]}}),
                ": messages.2.content: Input should be a valid string",
                "messages.2.content",
            ),
            (
                json!({"error": {"message": "Provider returned error", "code": 400, "metadata": {"provider_name": "OpenAI",
                    "raw": "{\"error\": {\"message\": \"No temperature\", \"param\": \"temperature\"}}"}}}),
                ": Provider returned error: No temperature",
                "temperature",
            ),
            (json!({"error": "model \"x\" not found"}), ": model \"x\" not found", ""),
            (json!({"object": "error", "message": "vllm says no", "param": null, "code": 400}), ": vllm says no", ""),
            (json!({"detail": "Not Found"}), ": Not Found", ""),
            (json!({"surprise": 1}), ": {\"surprise\":1}", ""),
        ];
        for (body, text, field) in table {
            let report = ErrorReport::read(&body.to_string(), &Redaction::default());
            assert_eq!(report.to_string(), text);
            assert_eq!(report.fields().first().map_or("", String::as_str), field, "{body}");
        }
        assert_eq!(ErrorReport::read("<html>", &Redaction::default()).to_string(), ": (an HTML page)");
        assert_eq!(ErrorReport::read("", &Redaction::default()).to_string(), "");
    }
}

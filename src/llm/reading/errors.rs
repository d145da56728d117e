use serde_json::Value;

use crate::kernel::JsonReader;
use crate::llm::error_report::{excerpt, message_in};
use crate::outbound::{error_message, reported_error};

/// What is said of an error without words.
const NO_MESSAGE: &str = "(no message)";

/// The error in a reply, a chunk or a line that holds something else too: `error`, if it holds something, or the type `error`.
pub(super) fn error_in(reply: &Value) -> Option<String> {
    let is_named = ["object", "type"].iter().any(|name| reply.get(*name).and_then(Value::as_str) == Some("error"));
    if !is_named && reply.get("error").is_none_or(Value::is_null) {
        return None;
    }
    error_of(reply)
}

/// The error in a reply that holds nothing else, in whichever of the usual forms.
pub(super) fn error_instead(reply: &Value) -> Option<String> {
    let detail = || {
        reply
            .get("detail")
            .filter(|detail| !detail.is_null())
            .map(|detail| words(reply).unwrap_or_else(|| detail.to_string()))
    };
    error_in(reply).or_else(|| error_of(reply)).or_else(detail)
}

/// The words of an event that is called an error, whatever its data.
pub(in crate::llm) fn error_event(data: &str) -> String {
    let json = JsonReader::embedded().read_tolerantly(data.as_bytes()).ok();
    let said = json.as_ref().and_then(|json| error_of(json).or_else(|| words(json)));
    let said = said.unwrap_or_else(|| excerpt(data, 300));
    if said.is_empty() { NO_MESSAGE.to_owned() } else { said }
}

/// The error that an object reports, in its own words if it has some.
fn error_of(reply: &Value) -> Option<String> {
    let reported = reported_error(reply)?;
    Some(words(reply).unwrap_or(if reply.get("error").is_some() { reported.text } else { NO_MESSAGE.to_owned() }))
}

fn words(reply: &Value) -> Option<String> {
    let said = message_in(reply).map(str::to_owned).or_else(|| error_message(reply.as_object()?));
    said.filter(|said| !said.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_are_recognised_in_every_form() {
        for (reply, said) in [
            (json!({"error": {"message": "boom"}}), "boom"),
            (json!({"error": {"code": 502, "message": "boom"}, "choices": []}), "boom"),
            (json!({"object": "error", "message": "vllm boom"}), "vllm boom"),
            (json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}), "Overloaded"),
            (json!({"error": "plain"}), "plain"),
        ] {
            assert_eq!(error_in(&reply).as_deref(), Some(said), "{reply}");
        }
        for none in [
            json!({"choices": [], "error": null}),
            json!({"error": ""}),
            json!({"error": {}}),
            json!({"type": "chunk"}),
        ] {
            assert_eq!(error_in(&none), None, "{none}");
        }
        assert_eq!(error_instead(&json!({"detail": "Not Found"})).as_deref(), Some("Not Found"));
        assert_eq!(error_instead(&json!({"success": false, "message": "no credit"})).as_deref(), Some("no credit"));
        assert_eq!(error_instead(&json!({"id": "x"})), None);
        assert_eq!(error_event(r#"{"message": "boom", "code": 500}"#), "boom");
        assert_eq!((error_event("out of memory").as_str(), error_event("").as_str()), ("out of memory", NO_MESSAGE));
    }
}

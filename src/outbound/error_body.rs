use serde_json::{Map, Value};

use crate::kernel::one_line;

/// Longest text of an error, in characters.
const MAX_CHARS: usize = 500;
/// Members that hold an answer, which may be there besides an error.
const ANSWER_MEMBERS: [&str; 7] = ["answer", "output", "result", "response", "text", "content", "reply"];
/// Members that say what went wrong, in the order of their weight.
const MESSAGE_MEMBERS: [&str; 6] = ["message", "detail", "error", "reason", "description", "title"];

/// An error that a service tells of in the JSON of its reply, though the status says that all went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedError {
    /// What went wrong.
    pub text: String,
    /// Whether there is an answer all the same, which lacks something.
    pub has_answer: bool,
}

/// The error in a reply, if it is one. Services say so with a member `error` or `errors` that holds something, `success` or `ok`
/// that is false, `isError` that is true, or `error` as `status`, `type` or `object`.
pub fn reported_error(reply: &Value) -> Option<ReportedError> {
    let reply = reply.as_object()?;
    let error = ["error", "errors"].iter().filter_map(|name| reply.get(*name)).find(|error| holds_something(error));
    let is = |name: &str, value: bool| reply.get(name) == Some(&Value::Bool(value));
    let says = |name: &str, words: &[&str]| reply.get(name).and_then(Value::as_str).is_some_and(|s| words.contains(&s));
    let has_failed = is("success", false)
        || is("ok", false)
        || is("isError", true)
        || says("status", &["error", "fail", "failure"])
        || says("type", &["error"])
        || says("object", &["error"]);
    if error.is_none() && !has_failed {
        return None;
    }
    let words = error.and_then(message_of).or_else(|| error_message(reply));
    let text = words.unwrap_or_else(|| Value::Object(reply.clone()).to_string());
    let is_answer = |name: &&str| reply.get(*name).and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty());
    let text = one_line(&text).chars().take(MAX_CHARS).collect();
    Some(ReportedError { text, has_answer: !has_failed && ANSWER_MEMBERS.iter().any(is_answer) })
}

fn holds_something(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(code) => code.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn message_of(error: &Value) -> Option<String> {
    match error {
        Value::String(text) => Some(text.clone()),
        Value::Object(map) => error_message(map).or_else(|| Some(error.to_string())),
        Value::Array(items) => items.first().and_then(message_of),
        _ => None,
    }
}

/// What went wrong, in the words of a JSON object that is known to tell of an error.
pub fn error_message(object: &Map<String, Value>) -> Option<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Value::Object(inner) => error_message(inner),
        _ => None,
    };
    MESSAGE_MEMBERS.iter().find_map(|name| text(object.get(*name)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn services_report_errors_in_many_forms() {
        for (reply, text) in [
            (json!({"error": "no such customer"}), "no such customer"),
            (json!({"error": {"code": 7, "message": "no such\ncustomer"}}), "no such customer"),
            (
                json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "Method not found"}}),
                "Method not found",
            ),
            (json!({"errors": [{"message": "field unknown"}], "data": null}), "field unknown"),
            (json!({"success": false, "message": "quota used up"}), "quota used up"),
            (json!({"ok": false, "error": "invalid_auth"}), "invalid_auth"),
            (json!({"status": "error", "message": "down", "data": null}), "down"),
            (json!({"error": true, "reason": "locked"}), "locked"),
            (json!({"type": "error", "error": {"type": "overloaded"}}), r#"{"type":"overloaded"}"#),
            (json!({"isError": true, "content": []}), r#"{"isError":true,"content":[]}"#),
            (
                json!({"success": false, "output": "half of it", "error": ""}),
                r#"{"success":false,"output":"half of it","error":""}"#,
            ),
        ] {
            let expected = ReportedError { text: text.to_owned(), has_answer: false };
            assert_eq!(reported_error(&reply), Some(expected), "{reply}");
        }
    }

    #[test]
    fn an_answer_is_no_error_and_may_lack_something() {
        for reply in [
            json!({"answer": "All is well.", "error": null, "errors": [], "success": true}),
            json!({"answer": "All is well.", "error": "", "status": "ok"}),
            json!({"status": "failed", "job": 7}),
            json!({"errors": {}, "ok": true}),
            json!({"error": 0, "error_rate": 0.5}),
            json!(["error"]),
            json!("error"),
        ] {
            assert_eq!(reported_error(&reply), None, "{reply}");
        }
        let partly = reported_error(&json!({"answer": "Two of three.", "error": "crm is away"}));
        assert_eq!(partly, Some(ReportedError { text: "crm is away".to_owned(), has_answer: true }));
    }
}

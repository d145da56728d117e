use serde_json::{Map, Value};

use super::json_scan::json_values;
use crate::kernel::{JsonReader, ValueCounter};

/// How often arguments may be JSON within a text of JSON.
const MAX_ENCODINGS: usize = 3;

/// What a model wrote as arguments, however it wrote them. A text that is no JSON stays a text, and so does what comes after too
/// many values in one reply, of which `seen` counts those so far.
pub(super) fn arguments(text: &str, seen: &mut ValueCounter) -> Value {
    if text.trim().is_empty() {
        return Value::Object(Map::new());
    }
    // Each text begins anew, whatever the one before left open.
    seen.feed(b"\n");
    seen.feed(text.as_bytes());
    let read = |text: &str| JsonReader::embedded().check(*seen).ok().and_then(|()| read(text));
    match read(text) {
        Some(Value::Null) => Value::Object(Map::new()),
        Some(value) => value,
        None => repeated_object(text).and_then(read).unwrap_or_else(|| Value::from(text)),
    }
}

/// The value of a text, which may hold the text of a value.
fn read(text: &str) -> Option<Value> {
    let mut value = JsonReader::embedded().read_tolerantly(text.as_bytes()).ok()?;
    for _ in 1..MAX_ENCODINGS {
        let Value::String(inner) = &value else { break };
        value = JsonReader::embedded().read_tolerantly(inner.as_bytes()).ok().filter(|value| !value.is_number())?;
    }
    Some(value)
}

/// The object that a text repeats, or that follows an empty one: some servers send the whole after its parts, some begin with `{}`.
fn repeated_object(text: &str) -> Option<&str> {
    let mut objects = json_values(text).filter(|(lead, _)| lead.trim().is_empty()).map(|(_, value)| value);
    let mut objects = objects.by_ref().filter(|value| *value != "{}");
    let first = objects.next()?;
    objects.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_read_however_they_are_written() {
        let twice = json!(json!({"url": "/a"}).to_string()).to_string();
        for text in [
            r#"{"url": "/a"}"#,
            r#"{"url": "/a",}"#,
            "{'url': '/a'}",
            "```json\n{\"url\": \"/a\"}\n```",
            twice.as_str(),
            json!(twice).to_string().as_str(),
            r#"{}{"url":"/a"}"#,
            r#"{"url":"/a"}{"url":"/a"}"#,
            r#"{"url": "/a"}}"#,
        ] {
            assert_eq!(arguments(text, &mut ValueCounter::default()), json!({"url": "/a"}), "{text}");
        }
        for (text, value) in [
            ("", json!({})),
            (" ", json!({})),
            ("null", json!({})),
            ("{}", json!({})),
            ("not json {", json!("not json {")),
            (r#"{"url": "/a"#, json!(r#"{"url": "/a"#)),
            (r#"{"a":1}{"b":2}"#, json!(r#"{"a":1}{"b":2}"#)),
        ] {
            assert_eq!(arguments(text, &mut ValueCounter::default()), value, "{text}");
        }
    }
}

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::Message;
use crate::kernel::{JsonReader, Role};

/// The first moment of the year 0: one before it could not be written in the original's form.
const FIRST_MS: i64 = -62_167_219_200_000;

/// A time as the original stores it: UTC without saying so, with six digits.
pub(super) fn time(ms: i64) -> String {
    let timestamp = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    timestamp.strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()
}

/// A message as the original stores it.
pub(super) fn to_text(message: &Message) -> String {
    json!({
        "role": message.role.as_str(),
        "content": message.content,
        "timestamp": time(message.created_ms),
        "metadata": message.metadata,
    })
    .to_string()
}

/// Reads what the original, or anybody else, has stored. Whatever is missing or null is empty, so that one odd message does
/// not hide the others.
pub(super) fn from_text(text: &str) -> Message {
    let Ok(Value::Object(mut fields)) = JsonReader::stored().read(text.as_bytes()) else {
        return Message { role: Role::User, content: text.to_owned(), metadata: Map::new(), created_ms: 0 };
    };
    let role = fields.get("role").and_then(Value::as_str).and_then(Role::of_message).unwrap_or(Role::User);
    let content = match fields.remove("content") {
        Some(Value::String(content)) => content,
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    };
    let metadata = match fields.remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => Map::new(),
    };
    let created_ms = fields.get("timestamp").and_then(Value::as_str).and_then(read_time);
    let created_ms = created_ms.filter(|ms| *ms >= FIRST_MS).unwrap_or(0);
    Message { role, content, metadata, created_ms }
}

fn read_time(text: &str) -> Option<i64> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp.as_millisecond());
    }
    let local: DateTime = text.parse().ok()?;
    Some(TimeZone::UTC.to_timestamp(local).ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_has_the_originals_form() {
        let metadata = json!({"n": 1}).as_object().unwrap().clone();
        let message =
            Message { role: Role::User, content: "Grüße \"\n".to_owned(), metadata, created_ms: 1_795_367_403_374 };
        let text = to_text(&message);
        assert_eq!(
            text,
            r#"{"role":"user","content":"Grüße \"\n","timestamp":"2026-11-22T17:10:03.374000","metadata":{"n":1}}"#
        );
        assert_eq!(from_text(&text), message);
    }

    #[test]
    fn odd_messages_are_read_as_far_as_they_go() {
        let read = |text: &str| {
            let message = from_text(text);
            (message.role, message.content, message.created_ms)
        };
        for (text, role, content, created_ms) in [
            (r#"{"role": "user", "content": null}"#, Role::User, "", 0),
            (r#"{"role": "assistant", "timestamp": "2026-11-22T17:10:03"}"#, Role::Assistant, "", 1_795_367_403_000),
            (
                r#"{"role": "system", "content": 7, "timestamp": "2026-11-22T17:10:03.374377Z"}"#,
                Role::System,
                "7",
                1_795_367_403_374,
            ),
            (r#"{"role": "tool", "content": "x", "metadata": null, "timestamp": 5}"#, Role::User, "x", 0),
            (r#"{"timestamp": "0000-01-01T00:00:00"}"#, Role::User, "", FIRST_MS),
            (r#"{"timestamp": "-000001-12-31T23:59:59"}"#, Role::User, "", 0),
            ("no JSON", Role::User, "no JSON", 0),
            ("[1]", Role::User, "[1]", 0),
        ] {
            assert_eq!(read(text), (role, content.to_owned(), created_ms), "{text}");
        }
    }
}

use std::collections::BTreeMap;

use serde_json::Value;

use super::event_redactor::EventRedactor;
use super::{AgentAnswer, Payload};
use crate::kernel::{Redaction, Secret};
use crate::outbound::SseEvent;

/// What the agent was sent, and may quote.
const TOKEN: &str = "sk-canary-0123456789";

/// An agent's answer is read in every form, and its events are passed on as they came but for its token, which no member holds, be it
/// in pieces.
pub(crate) fn agent_events(data: &[u8]) {
    let text = String::from_utf8_lossy(data).replace("\r\n", "\n").replace('\r', "\n");
    let json = serde_json::from_slice(data).map(Payload::Json).ok();
    let payloads = [Some(Payload::Text(text.clone())), json, Some(Payload::Binary(data.to_vec().into()))];
    for payload in payloads.into_iter().flatten() {
        let mut answer = AgentAnswer { status: 200, content_type: String::new(), payload };
        for content_type in ["text/event-stream", "application/x-ndjson", "application/json", "text/plain"] {
            content_type.clone_into(&mut answer.content_type);
            assert_eq!(answer.text().is_none(), matches!(answer.payload, Payload::Binary(_)));
            assert!(answer.error().is_none_or(|error| error.text.chars().count() <= 600));
        }
    }
    let passed = passed_on(&text, TOKEN);
    for (place, said) in members(&passed) {
        assert!(!said.contains(TOKEN), "{place} says {said}");
    }
    let other = "another-key-of-this-agent";
    if members(&text).values().all(|said| !said.contains(|c| "anotherkyfis-".contains(c))) && !text.contains('\u{feff}')
    {
        assert_eq!(passed_on(&text, other), text);
    }
}

fn events(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive("\n\n")
}

fn passed_on(text: &str, token: &str) -> String {
    let mut redactor = EventRedactor::new(Redaction::new([Secret::new(token)]));
    let mut passed: String = events(text).map(|event| redactor.push(event)).collect();
    passed.push_str(&redactor.finish());
    passed
}

/// What the texts at each place of the events say together.
fn members(text: &str) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    for event in events(text) {
        let Some(data) = SseEvent::parse(event.trim_start_matches('\u{feff}')).and_then(|event| event.data) else {
            continue;
        };
        let value = serde_json::from_str(&data).unwrap_or(Value::String(data));
        add_members("", &value, &mut said);
    }
    said
}

fn add_members(place: &str, value: &Value, said: &mut BTreeMap<String, String>) {
    match value {
        Value::String(text) => said.entry(place.to_owned()).or_default().push_str(text),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| add_members(&format!("{place}[{at}]"), item, said));
        }
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| add_members(&format!("{place}[{key:?}]"), value, said));
        }
        _ => {}
    }
}

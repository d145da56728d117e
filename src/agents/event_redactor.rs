use std::collections::BTreeSet;

use serde_json::Value;

use crate::kernel::{JsonReader, Redaction};
use crate::outbound::SseEvent;

/// Events that wait for those after them, at most, beside one for each byte of a secret.
const MAX_PENDING_EVENTS: usize = 256;
/// Bytes of the events that wait.
const MAX_PENDING_BYTES: usize = 1_000_000;

/// Masks an agent's credentials in its events: also one that comes in pieces, in the same member of several events, whatever comes
/// between them. An event that may hold the beginning of one, and all after it, wait for the next that has this member.
pub(super) struct EventRedactor {
    redaction: Redaction,
    pending: Vec<BufferedEvent>,
}

/// An event as it came, and the texts in its data.
struct BufferedEvent {
    text: String,
    data: Value,
    is_json: bool,
}

impl EventRedactor {
    pub(super) fn new(redaction: Redaction) -> Self {
        Self { redaction, pending: Vec::new() }
    }

    /// Takes the next event; gives what may be passed on. What has no data, as a comment, waits for nobody.
    pub(super) fn push(&mut self, event: &str) -> String {
        if self.redaction.is_empty() {
            return event.to_owned();
        }
        let text = self.redaction.text(event);
        let Some(event) = BufferedEvent::read(&text) else { return text };
        self.pending.push(event);
        let ready = self.paths().iter().map(|path| self.mask(path, false)).min().unwrap_or(self.pending.len());
        let bytes: usize = self.pending.iter().map(|event| event.text.len()).sum();
        if self.pending.len() > MAX_PENDING_EVENTS + self.redaction.max_secret_bytes() || bytes > MAX_PENDING_BYTES {
            return self.finish();
        }
        self.pending.drain(..ready).map(|event| event.text).collect()
    }

    /// Gives what still waits, since nothing follows it.
    pub(super) fn finish(&mut self) -> String {
        for path in self.paths() {
            self.mask(&path, true);
        }
        self.pending.drain(..).map(|event| event.text).collect()
    }

    /// Where the events that wait have texts.
    fn paths(&self) -> BTreeSet<String> {
        self.pending.iter().flat_map(|event| text_paths(&event.data)).collect()
    }

    /// Masks what the texts at this path make together; how many events need not wait for more of it.
    fn mask(&mut self, path: &str, is_over: bool) -> usize {
        let with_text =
            |(at, event): (usize, &BufferedEvent)| Some((at, event.data.pointer(path)?.as_str()?.to_owned()));
        let (places, texts): (Vec<usize>, Vec<String>) = self.pending.iter().enumerate().filter_map(with_text).unzip();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (masked, open) = self.redaction.mask_pieces(&texts, is_over);
        for (at, masked) in places.iter().zip(masked.unwrap_or_default()) {
            if let Some(event) = self.pending.get_mut(*at) {
                event.set(path, masked);
            }
        }
        places.get(open).copied().unwrap_or(self.pending.len())
    }
}

impl BufferedEvent {
    /// An event; `None` if it has no data.
    fn read(text: &str) -> Option<Self> {
        // A stream may begin with a byte order mark.
        let text = text.trim_start_matches('\u{feff}');
        let data = SseEvent::parse(text)?.data?;
        let json = JsonReader::embedded().read(data.as_bytes()).ok();
        Some(Self { text: text.to_owned(), is_json: json.is_some(), data: json.unwrap_or(Value::String(data)) })
    }

    /// Puts another text in the place of one, and writes the event anew if it differs.
    fn set(&mut self, path: &str, text: String) {
        let Some(place) = self.data.pointer_mut(path).filter(|place| place.as_str() != Some(&text)) else { return };
        *place = Value::String(text);
        let data = match &self.data {
            Value::String(plain) if !self.is_json => plain.clone(),
            json => json.to_string(),
        };
        let others: Vec<_> = self.text.lines().filter(|line| !line.is_empty() && !line.starts_with("data:")).collect();
        let data: Vec<_> = data.split('\n').map(|line| format!("data: {line}")).collect();
        self.text = [others.join("\n"), data.join("\n"), "\n".to_owned()].join("\n").trim_start().to_owned();
    }
}

/// The JSON pointers of the texts in a value.
fn text_paths(value: &Value) -> Vec<String> {
    let below = |key: String, value: &Value| text_paths(value).into_iter().map(move |path| format!("/{key}{path}"));
    match value {
        Value::String(_) => vec![String::new()],
        Value::Array(items) => items.iter().enumerate().flat_map(|(at, item)| below(at.to_string(), item)).collect(),
        Value::Object(map) => {
            let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
            map.iter().flat_map(|(key, value)| below(escaped(key), value)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Secret;

    /// What is passed on with each event, and in the end.
    fn passed(events: &[&str]) -> Vec<String> {
        let mut redactor = EventRedactor::new(Redaction::new([Secret::new("token-of-the-agent")]));
        let mut passed: Vec<_> = events.iter().map(|event| redactor.push(event)).collect();
        passed.push(redactor.finish());
        passed
    }

    #[test]
    fn a_token_in_pieces_is_masked_and_nothing_else_changes() {
        let events = [
            "event: a\ndata: {\"id\": \"t\", \"text\":\"my tok\"}\n\n",
            "data: {\"id\":\"t\",\"text\":\"en-of-\"}\n\n",
        ];
        let end = "data: {\"id\":\"t\",\"text\":\"the-agent.\"}\n\n";
        let shown = passed(&[events[0], events[1], end]).concat();
        assert_eq!(
            shown,
            "event: a\ndata: {\"id\":\"t\",\"text\":\"my ********\"}\n\ndata: {\"id\":\"t\",\"text\":\"\"}\n\n\
            data: {\"id\":\"t\",\"text\":\".\"}\n\n"
        );
        let other = "data: {\"id\": \"t\",\"text\":\"another\"}\n\n";
        assert_eq!(passed(&[events[0], events[1], other]).concat(), [events[0], events[1], other].concat());
        let plain = passed(&["data: token-of\n\n", ": ping\n\n", "data: -the-agent\n\n"]);
        assert_eq!(plain.concat(), ": ping\n\ndata: ********\n\ndata: \n\n");
        let quoted = passed(&["data: \"token-of-the\"\n\n", "data: {}\n\n", "data: \"token-of-the-a\"\n\n"]);
        assert_eq!(quoted.concat(), "data: \"token-of-the\"\n\ndata: {}\n\ndata: \"********\"\n\n");
        let apart = passed(&[
            "\u{feff}data: {\"t\":\"tok\"}\n\n",
            "data: {\"t\":null}\n\n",
            "data: {\"t\":\"en-of-the-agent\"}\n\n",
        ]);
        assert!(!apart.concat().contains("tok") && !apart.concat().contains("agent"), "{apart:?}");
    }

    #[test]
    fn a_long_token_in_single_letters_is_masked() {
        let token = "a1.B2_c3-".repeat(100);
        let mut redactor = EventRedactor::new(Redaction::new([Secret::new(token.as_str())]));
        let mut shown: String =
            token.chars().map(|c| redactor.push(&format!("data: {{\"text\":\"{c}\"}}\n\n"))).collect();
        shown.push_str(&redactor.finish());
        let texts: String =
            shown.lines().filter_map(|line| line.strip_prefix("data: {\"text\":\"")?.strip_suffix("\"}")).collect();
        assert_eq!((texts.as_str(), shown.matches("data").count()), ("********", token.len()));
    }

    #[test]
    fn what_can_be_no_token_is_passed_on_at_once() {
        let events =
            ["data: {\"text\":\"One \"}\n\n", ": ping\n\n", "data: {\"text\": \"two\"}\n\n", "data: [DONE]\n\n"];
        assert_eq!(passed(&events)[..4], events);
        // One that may be waits for the next of its kind.
        let shown = passed(&[
            "data: {\"text\":\"get\"}\n\n",
            "data: {\"text\":\"it\"}\n\n",
            "data: {\"other\":1}\n\n",
            "data: x\n\n",
            "data: {\"text\":\"!\"}\n\n",
        ]);
        let lengths: Vec<_> = shown.iter().map(|shown| shown.matches("data").count()).collect();
        assert_eq!(lengths, [0, 1, 0, 0, 4, 0]);
    }
}

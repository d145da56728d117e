use async_stream::try_stream;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::{CallError, read_lines};

/// Longest event accepted from an upstream, in bytes.
const MAX_EVENT_BYTES: usize = 4_000_000;

/// One server-sent event.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The `event` field; empty when there was none.
    pub event: String,
    /// The `data` lines, joined by LF.
    pub data: String,
}

/// Reads server-sent events as the WHATWG HTML standard describes them. Comments and fields not used here are skipped. An
/// event without its closing blank line at the end of the stream is still given: servers that forget it mean it.
pub fn sse_events(
    chunks: impl Stream<Item = Result<Bytes, CallError>> + Send + 'static,
) -> impl Stream<Item = Result<SseEvent, CallError>> + Send + 'static {
    try_stream! {
        let mut lines = Box::pin(read_lines(chunks));
        let mut pending = EventBuilder::default();
        while let Some(line) = lines.next().await {
            if let Some(event) = pending.feed(&line?)? {
                yield event;
            }
        }
        if let Some(event) = pending.feed("")? {
            yield event;
        }
    }
}

#[derive(Default)]
struct EventBuilder {
    event: String,
    data: Option<String>,
}

impl EventBuilder {
    fn feed(&mut self, line: &str) -> Result<Option<SseEvent>, CallError> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return Ok(self.data.take().map(|data| SseEvent { event, data }));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field.trim_start_matches('\u{feff}') {
            "event" => self.event = value.to_owned(),
            "data" => self.push(value),
            _ => {}
        }
        match &self.data {
            Some(data) if data.len() > MAX_EVENT_BYTES => Err(CallError::TooLarge(MAX_EVENT_BYTES)),
            _ => Ok(None),
        }
    }

    fn push(&mut self, value: &str) {
        match &mut self.data {
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
            None => self.data = Some(value.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: Vec<Vec<u8>>) -> Vec<SseEvent> {
        let chunks = futures_util::stream::iter(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk))));
        futures_util::FutureExt::now_or_never(sse_events(chunks).try_collect()).unwrap().unwrap()
    }

    fn event(event: &str, data: &str) -> SseEvent {
        SseEvent { event: event.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let text =
            ": comment\r\n\r\nevent: a\ndata: 1\ndata:2\nid: 7\n\ndata\n\nevent: lost\n\ndata:  two blanks\rdata: x";
        let events = read(vec![text.as_bytes().to_vec()]);
        assert_eq!(events, [event("a", "1\n2"), event("", ""), event("", " two blanks\nx")]);
    }

    proptest! {
        #[test]
        fn one_byte_at_a_time_gives_the_same_events(text in "(data|event|id|: ping)?(:| )?[a-z\n\r:é]{0,40}") {
            let whole = read(vec![text.clone().into_bytes()]);
            prop_assert_eq!(read(text.bytes().map(|b| vec![b]).collect()), whole);
        }
    }
}

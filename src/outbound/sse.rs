use async_stream::try_stream;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::CallError;
use super::line_reader::lines_up_to;
use crate::kernel::{JsonReader, ValueCounter};

/// What an upstream's events may have.
#[derive(Clone, Copy, Debug)]
pub struct SseLimits {
    /// Bytes of a line.
    pub line: usize,
    /// Bytes of the data of an event.
    pub event: usize,
    /// Reads the data, and so bounds the JSON values in it.
    pub reader: Option<JsonReader>,
    /// Whether a last event without its blank line counts: servers forget it. The standard drops it.
    pub keeps_unfinished: bool,
}

impl Default for SseLimits {
    fn default() -> Self {
        Self { line: 1_000_000, event: 4_000_000, reader: None, keeps_unfinished: true }
    }
}

/// One server-sent event.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The `event` field.
    pub event: Option<String>,
    /// The `data` lines, joined by LF.
    pub data: Option<String>,
    /// The `id` field.
    pub id: Option<String>,
    /// The `retry` field, in milliseconds.
    pub retry: Option<u64>,
}

/// Reads server-sent events as the WHATWG HTML standard describes them; gives also those without data.
pub fn sse_events(
    chunks: impl Stream<Item = Result<Bytes, CallError>> + Send + 'static,
    limits: SseLimits,
) -> impl Stream<Item = Result<SseEvent, CallError>> + Send + 'static {
    try_stream! {
        let mut lines = Box::pin(lines_up_to(limits.line, chunks));
        let mut values = ValueCounter::default();
        let mut pending = SseEvent::default();
        while let Some(line) = lines.next().await {
            let line = line?;
            if !line.is_empty() {
                if let Some(data) = pending.add(&line) {
                    limits.check(&pending, data, &mut values)?;
                }
            } else if let Some(event) = pending.take() {
                values = ValueCounter::default();
                yield event;
            }
        }
        if limits.keeps_unfinished && let Some(event) = pending.take() {
            yield event;
        }
    }
}

impl SseLimits {
    /// Refuses an event whose data has become too large with this line of it.
    fn check(&self, event: &SseEvent, line: &str, values: &mut ValueCounter) -> Result<(), CallError> {
        if event.data.as_ref().is_some_and(|data| data.len() > self.event) {
            return Err(CallError::TooLarge(self.event));
        }
        let Some(reader) = self.reader else { return Ok(()) };
        values.feed(line.as_bytes());
        values.feed(b"\n");
        reader.check(*values).map_err(|_| CallError::TooManyValues(reader.max_values()))
    }
}

impl SseEvent {
    /// The event that this text is.
    pub fn parse(text: &str) -> Option<Self> {
        let mut event = Self::default();
        for line in text.lines() {
            event.add(line);
        }
        event.take()
    }

    /// Adds a line; gives its data, if it has some.
    fn add<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        // A stream may begin with a byte order mark.
        match field.trim_start_matches('\u{feff}') {
            "event" => self.event = Some(value.to_owned()),
            "id" => self.id = Some(value.to_owned()),
            "retry" => self.retry = value.parse().ok(),
            "data" => {
                match &mut self.data {
                    Some(data) => data.extend(["\n", value]),
                    None => self.data = Some(value.to_owned()),
                }
                return Some(value);
            }
            _ => {}
        }
        None
    }

    /// The event, if there is one, leaving none.
    fn take(&mut self) -> Option<Self> {
        let event = std::mem::take(self);
        (event != Self::default()).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: Vec<Vec<u8>>) -> Vec<SseEvent> {
        let chunks = futures_util::stream::iter(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk))));
        futures_util::FutureExt::now_or_never(sse_events(chunks, SseLimits::default()).try_collect()).unwrap().unwrap()
    }

    fn data(data: &str) -> SseEvent {
        SseEvent { data: Some(data.to_owned()), ..SseEvent::default() }
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let text = "\u{feff}: comment\r\n\r\nevent: a\ndata: 1\ndata:2\nid: 7\nretry: 30\n\ndata\n\nevent: b\n\n\ndata:  two blanks\rdata: x";
        let named = |name: &str| Some(name.to_owned());
        let first = SseEvent { event: named("a"), id: named("7"), retry: Some(30), ..data("1\n2") };
        let without_data = SseEvent { event: named("b"), ..SseEvent::default() };
        assert_eq!(read(vec![text.into()]), [first, data(""), without_data, data(" two blanks\nx")]);
        let strict = SseLimits { keeps_unfinished: false, ..SseLimits::default() };
        let chunks = futures_util::stream::iter([Ok(Bytes::from("data: 1\n\nid: 8\ndata: {\"half"))]);
        let events = futures_util::FutureExt::now_or_never(sse_events(chunks, strict).try_collect::<Vec<_>>());
        assert_eq!(events, Some(Ok(vec![data("1")])), "the end of half an event is no event");
        assert_eq!(SseEvent::parse("data: 1\ndata: 2\n"), Some(data("1\n2")));
        assert_eq!(SseEvent::parse(": comment\n"), None);
    }

    #[test]
    fn an_event_may_have_so_many_bytes_and_values_whatever_stands_between_its_lines() {
        let limits = SseLimits { line: 40, event: 60, reader: Some(JsonReader::new(20)), keeps_unfinished: true };
        let read = |text: String| {
            let chunks = futures_util::stream::iter([Ok(Bytes::from(text))]);
            let events = sse_events(chunks, limits).try_collect::<Vec<_>>();
            futures_util::FutureExt::now_or_never(events).unwrap().map(|events| events.len())
        };
        for end in ["\n", "\r", "\r\n"] {
            let line = format!("data: {}{end}", "x".repeat(30));
            assert_eq!(read(format!("{line}{end}{line}{end}")), Ok(2), "{end:?}");
            assert_eq!(read(format!("{line}{line}")), Err(CallError::TooLarge(60)), "{end:?}");
        }
        assert_eq!(read(format!("data: {}", "x".repeat(40))), Err(CallError::TooLarge(40)));
        let half = "id: \"\ndata: [[[[[[[[[[[[\r\n";
        assert_eq!(read(format!("{half}\n{half}\n")), Ok(2));
        assert_eq!(read(format!("{half}{half}\n")), Err(CallError::TooManyValues(20)));
    }

    proptest! {
        #[test]
        fn one_byte_at_a_time_gives_the_same_events(text in "(data|event|id|: ping)?(:| )?[a-z\n\r:é]{0,40}") {
            let whole = read(vec![text.clone().into_bytes()]);
            prop_assert_eq!(read(text.bytes().map(|b| vec![b]).collect()), whole);
        }
    }
}

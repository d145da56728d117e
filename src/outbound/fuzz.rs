use bytes::Bytes;
use futures_util::{FutureExt, Stream, TryStreamExt, stream};
use url::Url;

use super::{CallError, SseEvent, SseLimits, read_lines, sse_events};
use crate::fuzz::in_pieces;
use crate::kernel::{JsonReader, ValueCounter};

fn chunks(pieces: Vec<Bytes>) -> impl Stream<Item = Result<Bytes, CallError>> + Send + 'static {
    stream::iter(pieces.into_iter().map(Ok))
}

/// All that comes of a stream that never waits.
fn collected<T>(items: impl Stream<Item = Result<T, CallError>>) -> Result<Vec<T>, CallError> {
    items.try_collect().now_or_never().unwrap_or(Err(CallError::Timeout))
}

/// A text as it is in lines that all end alike.
fn plain_lines(data: &[u8]) -> String {
    String::from_utf8_lossy(data).replace("\r\n", "\n").replace('\r', "\n")
}

/// Lines are what stands between their ends, wherever the chunks end.
pub(crate) fn lines(data: &[u8]) {
    let whole = collected(read_lines(chunks(vec![Bytes::copy_from_slice(data)])));
    let text = plain_lines(data);
    let mut expected: Vec<_> = text.split('\n').map(str::to_owned).collect();
    if expected.last().is_some_and(String::is_empty) {
        expected.pop();
    }
    assert_eq!(whole, Ok(expected));
    for pieces in in_pieces(data) {
        assert_eq!(collected(read_lines(chunks(pieces))), whole);
    }
}

/// Events are what stands between blank lines, wherever the chunks end, and stay within their limits.
pub(crate) fn sse(data: &[u8]) {
    let read = |pieces, limits| collected(sse_events(chunks(pieces), limits));
    let whole = || vec![Bytes::copy_from_slice(data)];
    let all = read(whole(), SseLimits::default());
    let text = plain_lines(data);
    let groups = text.split('\n').collect::<Vec<_>>();
    let expected: Vec<SseEvent> =
        groups.split(|line| line.is_empty()).filter_map(|group| SseEvent::parse(&group.join("\n"))).collect();
    assert_eq!(all, Ok(expected));
    let standard = SseLimits { keeps_unfinished: false, ..SseLimits::default() };
    let narrow = SseLimits { line: 200, event: 300, reader: Some(JsonReader::new(30)), keeps_unfinished: true };
    for pieces in in_pieces(data) {
        assert_eq!(read(pieces.clone(), SseLimits::default()), all);
        assert_eq!(read(pieces.clone(), standard), read(whole(), standard));
        // A line that comes at once is held whatever its length.
        if let Ok(events) = read(pieces, narrow) {
            assert_eq!(Ok(&events), all.as_ref());
            events.iter().filter_map(|event| event.data.as_deref()).for_each(|data| check_limits(data, narrow));
        }
    }
}

fn check_limits(data: &str, limits: SseLimits) {
    assert!(data.len() <= limits.event, "{} bytes", data.len());
    let mut values = ValueCounter::default();
    values.feed(data.as_bytes());
    assert!(limits.reader.is_none_or(|reader| reader.check(values).is_ok()), "{data}");
}

/// What a caller adds to an upstream's URL stays below it.
pub(crate) fn join_url(data: &[u8]) {
    let endpoint = String::from_utf8_lossy(data);
    for (base, path) in
        [("http://agent:1/base", "/base"), ("https://u:p@agent/", ""), ("http://[::1]:8080/a/b/", "/a/b")]
    {
        let Ok(joined) = super::join_url(base, &endpoint) else { continue };
        let urls = Url::parse(base).ok().zip(Url::parse(&joined).ok());
        assert!(urls.is_some(), "{joined} is no URL");
        let Some((home, url)) = urls else { continue };
        let account = |url: &Url| (url.origin(), url.username().to_owned(), url.password().map(str::to_owned));
        assert_eq!(account(&url), account(&home), "{joined}");
        let below = url.path().strip_prefix(path);
        assert!(below.is_some_and(|below| below.is_empty() || below.starts_with('/')), "{url}");
        assert!(!url.path_segments().into_iter().flatten().any(|part| part == ".."), "{url}");
    }
}

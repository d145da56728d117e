use async_stream::try_stream;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use super::CallError;

/// Longest line accepted from an upstream, in bytes.
const MAX_LINE_BYTES: usize = 1_000_000;

/// Cuts chunks into lines at LF, CRLF or CR, wherever the chunks happen to end. The last line may lack its end.
pub fn read_lines(
    chunks: impl Stream<Item = Result<Bytes, CallError>> + Send + 'static,
) -> impl Stream<Item = Result<String, CallError>> + Send + 'static {
    lines_up_to(MAX_LINE_BYTES, chunks)
}

/// The same for lines of at most so many bytes.
pub(super) fn lines_up_to(
    max_bytes: usize,
    chunks: impl Stream<Item = Result<Bytes, CallError>> + Send + 'static,
) -> impl Stream<Item = Result<String, CallError>> + Send + 'static {
    try_stream! {
        let mut buffer = LineBuffer::default();
        let mut chunks = Box::pin(chunks);
        while let Some(chunk) = chunks.next().await {
            buffer.bytes.extend_from_slice(&chunk?);
            while let Some(line) = buffer.next_line() {
                yield line;
            }
            if buffer.bytes.len() > max_bytes {
                Err(CallError::TooLarge(max_bytes))?;
            }
        }
        if let Some(line) = buffer.last_line() {
            yield line;
        }
    }
}

#[derive(Default)]
struct LineBuffer {
    bytes: BytesMut,
    /// How far no line end was found, so that a long line isn't searched again and again.
    searched: usize,
}

impl LineBuffer {
    fn next_line(&mut self) -> Option<String> {
        let rest = self.bytes.get(self.searched..)?;
        let Some(end) = rest.iter().position(|b| matches!(b, b'\n' | b'\r')).map(|at| at + self.searched) else {
            self.searched = self.bytes.len();
            return None;
        };
        let after = match (self.bytes.get(end), self.bytes.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => end + 2,
            // A CR at the end of a chunk may be half of a CRLF.
            (Some(b'\r'), None) => return None,
            _ => end + 1,
        };
        let line = self.take(end);
        self.bytes.advance(after - end);
        Some(line)
    }

    fn last_line(&mut self) -> Option<String> {
        let end = self.bytes.iter().position(|b| *b == b'\r').unwrap_or(self.bytes.len());
        if self.bytes.is_empty() { None } else { Some(self.take(end)) }
    }

    fn take(&mut self, end: usize) -> String {
        self.searched = 0;
        String::from_utf8_lossy(&self.bytes.split_to(end)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;
    use proptest::prelude::*;

    use super::*;

    fn cut(chunks: Vec<Vec<u8>>) -> Result<Vec<String>, CallError> {
        let chunks = futures_util::stream::iter(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk))));
        futures_util::FutureExt::now_or_never(read_lines(chunks).try_collect()).unwrap()
    }

    proptest! {
        #[test]
        fn where_the_chunks_end_makes_no_difference(
            text in "[abé\r\n]{0,40}",
            cuts in proptest::collection::vec(0usize..80, 0..6),
        ) {
            let whole = cut(vec![text.clone().into_bytes()]).unwrap();
            let mut chunks = vec![];
            let mut rest = text.as_bytes();
            for at in cuts {
                let (head, tail) = rest.split_at(at.min(rest.len()));
                chunks.push(head.to_vec());
                rest = tail;
            }
            chunks.push(rest.to_vec());
            prop_assert_eq!(cut(chunks).unwrap(), whole.clone());
            let mut expected: Vec<_> = text.replace("\r\n", "\n").replace('\r', "\n").split('\n').map(str::to_owned).collect();
            if expected.last().is_some_and(String::is_empty) {
                expected.pop();
            }
            prop_assert_eq!(whole, expected);
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        assert_eq!(cut(vec![vec![b'x'; MAX_LINE_BYTES + 1]]), Err(CallError::TooLarge(MAX_LINE_BYTES)));
    }
}

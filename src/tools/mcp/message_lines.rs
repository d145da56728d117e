use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

use super::error::{McpError, TransportFault};
use super::repair::repaired_text;
use crate::kernel::{JsonError, JsonReader, ValueCounter};

/// Bytes that a message, which is one line, may have.
pub(super) const MAX_LINE_BYTES: usize = 4_000_000;
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 8_192;

/// The lines of a process, its messages repaired, until it writes one that is too large.
pub(super) struct MessageLines<R> {
    inner: R,
    /// The line that has not come to its end.
    line: BytesMut,
    /// Lines that are still to be given to the reader.
    ready: BytesMut,
    values: ValueCounter,
    reader: JsonReader,
    fault: TransportFault,
}

impl<R> MessageLines<R> {
    pub(super) fn new(inner: R, reader: JsonReader, fault: TransportFault) -> Self {
        let (line, ready, values) = Default::default();
        Self { inner, line, ready, values, reader, fault }
    }

    /// Takes the bytes that have come; the error says what is wrong with the line that they are part of.
    fn take(&mut self, new: &[u8]) -> Result<(), String> {
        for piece in new.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            self.values.feed(piece);
            if self.line.len() > MAX_LINE_BYTES {
                return Err(format!("wrote a line of more than {MAX_LINE_BYTES} bytes"));
            }
            if let Err(JsonError::TooManyValues(most)) = self.reader.check(self.values) {
                return Err(format!("wrote a line of more than {most} values (MAX_REPLY_VALUES)"));
            }
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
        Ok(())
    }

    fn end_line(&mut self) {
        self.values = ValueCounter::default();
        let line = self.line.split();
        match repaired_text(&line, self.reader) {
            Some(message) => {
                self.ready.extend_from_slice(message.as_bytes());
                self.ready.extend_from_slice(b"\n");
            }
            None => self.ready.unsplit(line),
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for MessageLines<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        while this.ready.is_empty() {
            let mut bytes = [0; CHUNK_BYTES];
            let mut chunk = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut chunk))?;
            if chunk.filled().is_empty() {
                if this.line.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                // The last line may have no end.
                this.end_line();
                continue;
            }
            if let Err(problem) = this.take(chunk.filled()) {
                this.fault.note(McpError::Other(problem.clone()));
                return Poll::Ready(Err(std::io::Error::other(problem)));
            }
        }
        let count = this.ready.len().min(buf.remaining());
        buf.put_slice(this.ready.get(..count).unwrap_or_default());
        this.ready.advance(count);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::io::AsyncReadExt;
    use tokio::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_last_line_counts_without_its_end() {
        for (written, expected) in [
            (r#"{"id":1,"result":{}}\n{"id":2,"result":{}}"#, 2),
            (r#"{"id":1,"result":{}}\n{"id":2,"result":{}}\n"#, 2),
            ("", 0),
        ] {
            let mut process = Command::new("printf").arg(written).stdout(Stdio::piped()).spawn().unwrap();
            let stdout = process.stdout.take().unwrap();
            let mut lines = MessageLines::new(stdout, JsonReader::embedded(), TransportFault::default());
            let mut text = String::new();
            lines.read_to_string(&mut text).await.unwrap();
            process.wait().await.unwrap();
            let read: Vec<_> = text.lines().filter(|line| line.contains("\"jsonrpc\"")).collect();
            assert_eq!(read.len(), expected, "{written}: {text}");
            assert_eq!(text.ends_with('\n'), expected > 0, "{written}");
        }
    }
}

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Notify;

/// Bytes that a result holds of each stream.
const MAX_KEPT_BYTES: usize = 64 * 1024;
/// The same as JSON, in which a byte may become six.
const MAX_KEPT_JSON_BYTES: usize = 90_000;
/// Bytes that a program may write to a stream before it is stopped.
pub(super) const MAX_WRITTEN_BYTES: u64 = 10_000_000;

/// Which end of a stream matters if it is long.
#[derive(Clone, Copy)]
pub(super) enum Keep {
    Head,
    Tail,
}

/// What a program wrote to a stream, as far as it is kept.
pub(super) struct CapturedStream {
    keep: Keep,
    bytes: VecDeque<u8>,
    written: u64,
}

/// The same as text.
pub(super) struct CapturedText {
    pub(super) text: String,
    pub(super) is_cut: bool,
    pub(super) was_not_utf8: bool,
}

impl CapturedStream {
    pub(super) fn new(keep: Keep) -> Self {
        Self { keep, bytes: VecDeque::new(), written: 0 }
    }

    /// Reads to the end. A program that writes too much is told of by `flood`, and not listened to any longer.
    pub(super) async fn read(&mut self, from: Option<impl AsyncRead + Unpin>, flood: &Notify) {
        let Some(mut from) = from else { return };
        let mut buffer = vec![0; 16 * 1024];
        // A broken pipe is an end like any other.
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            self.take(buffer.get(..count).unwrap_or_default());
            if self.written > MAX_WRITTEN_BYTES {
                flood.notify_one();
                return;
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.written += bytes.len() as u64;
        match self.keep {
            Keep::Head => self.bytes.extend(bytes.iter().take(MAX_KEPT_BYTES.saturating_sub(self.bytes.len()))),
            Keep::Tail => {
                self.bytes.extend(bytes);
                self.bytes.drain(..self.bytes.len().saturating_sub(MAX_KEPT_BYTES));
            }
        }
    }

    pub(super) fn into_text(self) -> CapturedText {
        let mut is_cut = self.written > self.bytes.len() as u64;
        let bytes = Vec::from(self.bytes);
        // The end of what was kept may lie within a character, which is not the program's fault.
        let whole = match self.keep {
            Keep::Head if is_cut => without_part_at_end(&bytes),
            Keep::Tail if is_cut => without_part_at_start(&bytes),
            _ => &bytes,
        };
        let was_not_utf8 = std::str::from_utf8(whole).is_err();
        let mut text = String::from_utf8_lossy(whole).into_owned();
        while json_length(&text) > MAX_KEPT_JSON_BYTES {
            is_cut = true;
            let half = text.len() / 2;
            match self.keep {
                Keep::Head => text.truncate(text.floor_char_boundary(half)),
                Keep::Tail => drop(text.drain(..text.ceil_char_boundary(half))),
            }
        }
        CapturedText { text, is_cut, was_not_utf8 }
    }
}

fn json_length(text: &str) -> usize {
    text.chars().map(|c| if c.is_control() { 6 } else { c.len_utf8() + usize::from("\"\\".contains(c)) }).sum()
}

fn without_part_at_end(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => bytes.get(..error.valid_up_to()).unwrap_or_default(),
        _ => bytes,
    }
}

fn without_part_at_start(bytes: &[u8]) -> &[u8] {
    let parts = bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    bytes.get(parts..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn captured(keep: Keep, written: &[u8]) -> CapturedText {
        let mut captured = CapturedStream::new(keep);
        captured.read(Some(written), &Notify::new()).await;
        captured.into_text()
    }

    #[tokio::test]
    async fn of_a_long_stream_one_end_is_kept_on_a_whole_character() {
        let long = format!("a{}z", "é".repeat(MAX_KEPT_BYTES));
        let first = captured(Keep::Head, long.as_bytes()).await;
        assert!(first.text.starts_with("aé") && first.text.ends_with('é') && first.text.len() <= MAX_KEPT_BYTES);
        let last = captured(Keep::Tail, long.as_bytes()).await;
        assert!(last.text.starts_with('é') && last.text.ends_with("éz") && last.text.len() <= MAX_KEPT_BYTES);
        assert!(first.is_cut && last.is_cut && !first.was_not_utf8 && !last.was_not_utf8);
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_are_replaced_and_noted() {
        let text = captured(Keep::Head, b"a\xff\xfeb").await;
        assert_eq!((text.text.as_str(), text.was_not_utf8, text.is_cut), ("a\u{fffd}\u{fffd}b", true, false));
    }

    #[tokio::test]
    async fn what_swells_as_json_is_cut_further() {
        let text = captured(Keep::Head, &[0; MAX_KEPT_BYTES]).await;
        assert!(text.is_cut && serde_json::to_string(&text.text).unwrap().len() <= MAX_KEPT_JSON_BYTES);
    }

    #[tokio::test]
    async fn a_flood_is_told_of() {
        let flood = Notify::new();
        let mut captured = CapturedStream::new(Keep::Head);
        captured.read(Some(tokio::io::repeat(b'x')), &flood).await;
        flood.notified().await;
        assert!(captured.into_text().is_cut);
    }
}

use super::codec::{from_text, to_text};

/// A message of Redis, whoever stored it, is one that is stored again as it was read.
pub(crate) fn stored_message(data: &[u8]) {
    let message = from_text(&String::from_utf8_lossy(data));
    assert_eq!(from_text(&to_text(&message)), message);
}

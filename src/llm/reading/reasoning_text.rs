/// Bytes of reasoning that are kept.
pub(super) const MAX_REASONING_BYTES: usize = 64_000;

/// What a model thought before it answered; the beginning of it, if it is long.
#[derive(Debug, Default)]
pub(super) struct ReasoningText {
    text: String,
    is_known: bool,
}

impl ReasoningText {
    pub(super) fn push(&mut self, text: &str) {
        self.is_known |= !text.trim().is_empty();
        let room = MAX_REASONING_BYTES.saturating_sub(self.text.len());
        self.text.push_str(text.get(..text.floor_char_boundary(room)).unwrap_or_default());
    }

    /// Without white space around it; `None` if there is none.
    pub(super) fn into_text(self) -> Option<String> {
        self.is_known.then(|| self.text.trim().to_owned())
    }
}

use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

use super::events::{ChatEvent, EventSender};
use crate::kernel::{Redaction, StreamRedactor};
use crate::llm::{FinishReason, Usage};

/// An answer and what is worth knowing about it; also what the cache keeps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) text: String,
    /// None if the answer is no model's.
    pub(super) model: Option<String>,
    pub(super) usage: Option<Usage>,
    /// Why the model stopped.
    #[serde(default)]
    pub(super) finish_reason: Option<FinishReason>,
}

impl Answer {
    /// What is wrong with it, if the model did not come to its end.
    pub(super) fn cut_off(&self) -> Option<&'static str> {
        match self.finish_reason? {
            FinishReason::Length => Some(
                "The answer is cut off: the model had used up the tokens that it may use (LLM_MAX_TOKENS, or the server's own limit)",
            ),
            FinishReason::ContentFilter => Some("The answer is cut off by a content filter of the LLM server"),
            FinishReason::Stop | FinishReason::ToolCalls | FinishReason::Other => None,
        }
    }

    /// The answer without secrets.
    pub(super) fn masked(self, redaction: &Redaction) -> Self {
        let model = self.model.map(|model| redaction.text(&model));
        Self { text: redaction.text(&self.text), model, ..self }
    }
}

/// The answer's text as it is written: whoever writes a part of it puts it here, and a streaming client hears it at once.
#[derive(Debug)]
pub(super) struct AnswerBuffer {
    events: EventSender,
    redaction: Redaction,
    state: Mutex<BufferState>,
}

#[derive(Debug, Default)]
struct BufferState {
    /// All that was written.
    written: String,
    redactor: StreamRedactor,
    /// What a streaming client has heard of it: the same without secrets.
    heard: String,
}

impl AnswerBuffer {
    /// An empty buffer; secrets are masked in what is sent, however it is cut into pieces.
    pub(super) fn new(events: EventSender, redaction: Redaction) -> Self {
        let redactor = StreamRedactor::new(redaction.clone());
        Self { events, redaction, state: Mutex::new(BufferState { redactor, ..BufferState::default() }) }
    }

    /// Whether a client hears the pieces.
    pub(super) fn is_streaming(&self) -> bool {
        self.events.is_streaming()
    }

    /// Adds to the answer. What may be the beginning of a secret is not sent until that is certain.
    pub(super) async fn push(&self, text: impl Into<String>) {
        let text = text.into();
        self.state().written.push_str(&text);
        if self.is_streaming() {
            let shown = self.state().redactor.push(text);
            self.send(shown).await;
        }
    }

    /// Adds a paragraph, below what is there.
    pub(super) async fn push_paragraph(&self, text: &str) {
        let before = self.text().await;
        let begins = before.is_empty() || before.ends_with("\n\n");
        self.push(if begins { text.to_owned() } else { format!("\n\n{text}") }).await;
    }

    /// Sends what still waits: nobody adds to it.
    pub(super) async fn flush(&self) {
        let rest = self.state().redactor.finish();
        self.send(rest).await;
    }

    /// Takes back what nobody has heard; a streaming client has heard all.
    pub(super) fn retract(&self) {
        if !self.is_streaming() {
            self.state().written.clear();
        }
    }

    /// Takes back all but the first bytes of what was written: it was no part of the answer. A streaming client has heard it, and
    /// is told the answer without it in the end.
    pub(super) fn rewind(&self, length: usize) {
        let mut state = self.state();
        state.written.truncate(length);
        state.redactor = StreamRedactor::new(self.redaction.clone());
        state.heard = self.redaction.text(&state.written);
    }

    /// What a streaming client has heard, if it has heard anything.
    pub(super) fn heard(&self) -> Option<String> {
        Some(self.state().heard.clone()).filter(|heard| !heard.is_empty())
    }

    /// All that was written so far, secrets included.
    pub(super) fn written(&self) -> String {
        self.state().written.clone()
    }

    /// The whole text: what a streaming client has heard is the answer.
    pub(super) async fn text(&self) -> String {
        self.flush().await;
        let state = self.state();
        if self.is_streaming() { state.heard.clone() } else { state.written.clone() }
    }

    async fn send(&self, text: String) {
        if !text.is_empty() {
            self.state().heard.push_str(&text);
            self.events.send(ChatEvent::Delta(text)).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock()
    }
}

use super::finish_reason::{FinishWord, read_finish};
use super::offered::KnownFunctions;
use super::reasoning::{AnswerText, ReasoningFilter};
use super::reasoning_text::ReasoningText;
use super::text_calls::{TextCallFilter, call_openings};
use super::tool_calls::{CallAssembly, CallPiece};
use crate::llm::{Completion, FinishReason, Usage};

/// What a reply is read by besides its format.
#[derive(Clone, Debug, Default)]
pub(in crate::llm) struct Expected {
    /// The functions that were offered.
    pub(in crate::llm) offered: KnownFunctions,
    /// Whether the model is known to begin with reasoning that no tag opens.
    pub(in crate::llm) unopened_reasoning: bool,
}

/// Puts an answer together, whatever format it comes in: keeps reasoning and calls out of its text, and knows how it ended.
#[derive(Debug)]
pub(super) struct AnswerAssembly {
    offered: KnownFunctions,
    reasoning: ReasoningText,
    tags: ReasoningFilter,
    text_calls: TextCallFilter,
    calls: CallAssembly,
    finish: FinishWord,
    answer: Completion,
}

impl AnswerAssembly {
    pub(super) fn new(expected: Expected) -> Self {
        Self {
            reasoning: ReasoningText::default(),
            tags: ReasoningFilter::new(expected.unopened_reasoning, call_openings(&expected.offered)),
            text_calls: TextCallFilter::new(expected.offered.clone()),
            offered: expected.offered,
            calls: CallAssembly::default(),
            finish: FinishWord::Silent,
            answer: Completion::default(),
        }
    }

    /// Takes text; gives what of it is answer.
    pub(super) fn add_text(&mut self, text: &str) -> AnswerText {
        let more = self.tags.push(text, &mut self.reasoning);
        self.add_answer(more, false)
    }

    /// Takes reasoning that comes apart from the text.
    pub(super) fn add_reasoning(&mut self, text: &str) {
        if !text.is_empty() {
            self.tags.note_reasoning();
            self.reasoning.push(text);
        }
    }

    pub(super) fn add_call(&mut self, piece: &CallPiece<'_>) {
        self.calls.add(piece, &self.offered);
    }

    /// How many calls there are.
    pub(super) fn calls(&self) -> u64 {
        self.calls.len() as u64
    }

    /// Takes the server's word for the end. One that says nothing takes back none.
    pub(super) fn add_finish(&mut self, word: &str) {
        let read = read_finish(word);
        if read != FinishWord::Silent {
            self.finish = read;
        }
    }

    pub(super) fn set_usage(&mut self, usage: Option<Usage>) {
        self.answer.usage = usage.or(self.answer.usage);
    }

    pub(super) fn set_model(&mut self, model: &str) {
        if !model.is_empty() && self.answer.model != model {
            model.clone_into(&mut self.answer.model);
        }
    }

    /// Whether the server has said why the answer ended.
    pub(super) fn has_finished(&self) -> bool {
        matches!(self.finish, FinishWord::Ended(_))
    }

    /// Whether the server has said that the answer broke off.
    pub(super) fn has_failed(&self) -> bool {
        self.finish == FinishWord::Failed
    }

    /// No more comes; gives the text that was held.
    pub(super) fn end(&mut self) -> AnswerText {
        let more = self.tags.finish(&mut self.reasoning);
        self.add_answer(more, true)
    }

    /// All of it together, after its end.
    pub(super) fn into_completion(mut self) -> Completion {
        let mut calls = self.calls.finish();
        for call in &mut calls {
            // Models put their template's namespace before a name.
            if let Some(name) = self.offered.find(&call.name) {
                call.name = name.to_owned();
            }
        }
        // A server that reads calls itself may leave their mark-up in the text.
        if calls.is_empty() {
            calls = self.text_calls.take_calls();
        }
        let finish_reason = match self.finish {
            FinishWord::Ended(FinishReason::Stop) | FinishWord::Unknown if !calls.is_empty() => {
                Some(FinishReason::ToolCalls)
            }
            FinishWord::Ended(reason) => Some(reason),
            FinishWord::Unknown => Some(FinishReason::Other),
            FinishWord::Failed | FinishWord::Silent => None,
        };
        let unopened_reasoning = self.tags.unopened();
        Completion {
            tool_calls: calls,
            finish_reason,
            reasoning: self.reasoning.into_text(),
            unopened_reasoning,
            ..self.answer
        }
    }

    fn add_answer(&mut self, more: AnswerText, is_over: bool) -> AnswerText {
        if more.restarts {
            self.text_calls.restart();
            self.answer.content.clear();
        }
        let mut text = self.text_calls.push(more.text);
        if is_over {
            text.push_str(&self.text_calls.finish());
        }
        self.answer.content.push_str(&text);
        AnswerText { text, ..more }
    }
}

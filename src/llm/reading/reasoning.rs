use super::code_spans::CodeSpans;
use super::marks::{FirstMark, first_mark, mark_at};
use super::reasoning_marks::{
    CLOSINGS, LEADS, MARKS, MarkKind, OPENINGS, closings_of, kind_of, openings_of, opens_block,
};
use super::reasoning_text::{MAX_REASONING_BYTES, ReasoningText};

/// What a piece of text adds to the answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::llm) struct AnswerText {
    /// Whether all text before was reasoning.
    pub(in crate::llm) restarts: bool,
    pub(in crate::llm) text: String,
}

/// Bytes that wait for another closing tag, if there were more opening ones.
const MAX_BETWEEN_BYTES: usize = 1_000;

/// Takes reasoning out of an answer's text, however it is cut into pieces. Tags count at the beginning of the answer, after another
/// block of reasoning, and where they stand around lines of their own; anywhere else, and in code, they are what the answer is
/// about. A closing tag without an opening one counts too: there are templates that write the opening one into the prompt.
#[derive(Debug, Default)]
pub(super) struct ReasoningFilter {
    place: Place,
    /// What is not decided yet.
    held: String,
    /// Where code stands in the answer, or in the block of reasoning.
    code: CodeSpans,
    /// Whether the line that ends there has only blanks so far.
    is_line_blank: bool,
    /// What begins a call, if there may be any: reasoning ends there, whether it is closed or not.
    calls: &'static [&'static str],
    /// The last character of the answer so far.
    last: Option<char>,
    /// Whether something was left out before the answer.
    has_dropped: bool,
    has_leads: bool,
    /// Whether no closing tag without an opening one is expected any more.
    is_settled: bool,
    /// Whether the answer mentions tags.
    is_about_tags: bool,
    /// Whether there was a block with an opening tag.
    has_opened: bool,
    unopened: Unopened,
    /// The answer, while it is not certain to be one.
    pending: String,
    /// All of the answer, as long as it may turn out to be reasoning.
    shown: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the answer.
    #[default]
    Start,
    /// In reasoning that began with this opening, at this depth.
    Inside {
        block: usize,
        depth: usize,
    },
    /// In reasoning whose last closing tag may have been the end of all.
    Between {
        block: usize,
        depth: usize,
    },
    Answer,
}

/// What is known of reasoning without an opening tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Unopened {
    /// Nothing.
    #[default]
    Unknown,
    /// The model is known for it, so text waits.
    Expected,
    /// It was expected in vain.
    Missing,
    /// There was some.
    Found,
}

impl ReasoningFilter {
    /// A filter for a model that is known to reason without an opening tag, or not, and that may call what begins like this.
    pub(super) fn new(expects_unopened: bool, calls: &'static [&'static str]) -> Self {
        let unopened = if expects_unopened { Unopened::Expected } else { Unopened::Unknown };
        Self { unopened, calls, ..Self::default() }
    }

    /// Whether the model reasoned without an opening tag, if that is news.
    pub(super) fn unopened(&self) -> Option<bool> {
        match self.unopened {
            Unopened::Found => Some(true),
            Unopened::Missing => Some(false),
            Unopened::Unknown | Unopened::Expected => None,
        }
    }

    /// Reasoning came in a form of its own, so the text is the answer.
    pub(super) fn note_reasoning(&mut self) {
        self.is_settled = true;
        if self.unopened == Unopened::Expected {
            self.unopened = Unopened::Missing;
        }
    }

    /// Takes the next text; gives what of it is answer.
    pub(super) fn push(&mut self, text: &str, reasoning: &mut ReasoningText) -> AnswerText {
        let mut answer = AnswerText { text: self.released(), restarts: false };
        self.held.push_str(text);
        while self.step(reasoning, &mut answer, false) {}
        answer
    }

    /// No more text comes; gives what was held.
    pub(super) fn finish(&mut self, reasoning: &mut ReasoningText) -> AnswerText {
        let mut answer = AnswerText::default();
        while self.step(reasoning, &mut answer, true) {}
        let held = std::mem::take(&mut self.held);
        match self.place {
            Place::Inside { .. } => reasoning.push(&held),
            Place::Start if self.has_dropped && held.trim().is_empty() => {}
            Place::Between { .. } => answer.text.push_str(held.trim_start()),
            Place::Start | Place::Answer => self.show(&held, &mut answer),
        }
        if self.unopened == Unopened::Expected {
            self.unopened = Unopened::Missing;
        }
        let released = self.released();
        answer.text.insert_str(0, &released);
        answer
    }

    /// What waited, once it is certain.
    fn released(&mut self) -> String {
        if self.unopened == Unopened::Expected { String::new() } else { std::mem::take(&mut self.pending) }
    }

    /// Decides about the beginning of what is held; whether there is more to decide.
    fn step(&mut self, reasoning: &mut ReasoningText, answer: &mut AnswerText, is_over: bool) -> bool {
        match self.place {
            Place::Start => self.step_start(answer),
            Place::Inside { block, depth } => self.step_inside(block, depth, reasoning),
            Place::Between { block, depth } => self.step_between(block, depth, reasoning),
            Place::Answer => self.step_answer(reasoning, answer, is_over),
        }
    }

    fn step_start(&mut self, answer: &mut AnswerText) -> bool {
        let text = self.held.trim_start();
        if text.is_empty() {
            return false;
        }
        let (blank, marks) = (self.held.len() - text.len(), [OPENINGS.as_slice(), &CLOSINGS, &LEADS]);
        let found = marks.map(|marks| mark_at(text, marks));
        let whole = found.iter().enumerate().find_map(|(kind, found)| match found {
            FirstMark::Whole { end, mark, .. } => Some((kind, *end, *mark)),
            _ => None,
        });
        if let Some((kind, end, mark)) = whole {
            self.held.drain(..blank + end);
            self.has_dropped = true;
            self.has_leads |= kind == 2;
            match kind {
                0 => self.enter(Place::Inside { block: mark, depth: 1 }),
                // Reasoning that was empty, or came in another form.
                1 => self.note_reasoning(),
                _ => {}
            }
            return true;
        }
        if found.iter().any(|found| matches!(found, FirstMark::Partial { .. })) {
            return false;
        }
        if self.has_dropped {
            self.held.drain(..blank);
        }
        self.enter(Place::Answer);
        // gpt-oss says several things in a row, each by itself.
        if self.has_leads && self.last.is_some_and(|last| !last.is_whitespace()) {
            self.show("\n\n", answer);
        }
        true
    }

    fn step_inside(&mut self, block: usize, depth: usize, reasoning: &mut ReasoningText) -> bool {
        self.note_reasoning();
        self.has_opened = true;
        let (closings, openings) = (closings_of(block), openings_of(block));
        match first_mark(&self.held, 0, &[closings, openings, self.calls].concat()) {
            FirstMark::Whole { start, end, mark } if mark < closings.len() + openings.len() => {
                self.reason(start, end, reasoning);
                self.nest(block, if mark < closings.len() { depth - 1 } else { depth + 1 }, mark < closings.len());
                true
            }
            FirstMark::Whole { start, end, .. } => {
                self.reason(start, start, reasoning);
                match self.is_line_blank && !self.code.is_inside() {
                    // If a closing tag follows all the same, the call was thought about.
                    true => (self.place, self.has_dropped, self.is_settled) = (Place::Answer, true, false),
                    false => self.reason(end - start, end - start, reasoning),
                }
                true
            }
            FirstMark::Partial { start } => {
                self.reason(start, start, reasoning);
                false
            }
            FirstMark::Absent => {
                self.reason(self.held.len(), self.held.len(), reasoning);
                false
            }
        }
    }

    /// Text waits for another closing tag: if none comes soon, the answer has begun.
    fn step_between(&mut self, block: usize, depth: usize, reasoning: &mut ReasoningText) -> bool {
        let (closings, openings) = (closings_of(block), openings_of(block));
        match first_mark(&self.held, 0, &[closings, openings].concat()) {
            FirstMark::Whole { start, end, mark } if start <= MAX_BETWEEN_BYTES => {
                self.reason(start, end, reasoning);
                self.nest(block, if mark < closings.len() { depth - 1 } else { depth + 1 }, mark < closings.len());
            }
            FirstMark::Partial { start } if start <= MAX_BETWEEN_BYTES => return false,
            _ if self.held.len() <= MAX_BETWEEN_BYTES => return false,
            _ => self.enter(Place::Start),
        }
        true
    }

    /// Goes on at this depth of blocks within blocks, behind a closing tag or an opening one.
    fn nest(&mut self, block: usize, depth: usize, is_closed: bool) {
        match (depth, is_closed) {
            (0, _) => self.enter(Place::Start),
            (_, true) => self.place = Place::Between { block, depth },
            (_, false) => self.place = Place::Inside { block, depth },
        }
    }

    fn enter(&mut self, place: Place) {
        (self.place, self.code, self.is_line_blank) = (place, CodeSpans::default(), true);
    }

    fn step_answer(&mut self, reasoning: &mut ReasoningText, answer: &mut AnswerText, is_over: bool) -> bool {
        let (start, length, mark) = match first_mark(&self.held, 0, &MARKS) {
            FirstMark::Whole { start, end, mark } => (start, end - start, mark),
            FirstMark::Partial { start } if !is_over => return self.show_first(start, answer),
            FirstMark::Partial { .. } | FirstMark::Absent => return self.show_first(self.held.len(), answer),
        };
        self.show_first(start, answer);
        let rest = self.held.get(length..).unwrap_or_default();
        let (is_code, is_last) = (self.code.is_inside(), rest.trim().is_empty());
        match kind_of(mark, self.has_leads) {
            MarkKind::Trail { is_message_end } => {
                self.held.drain(..length);
                if is_message_end {
                    (self.place, self.has_dropped) = (Place::Start, true);
                }
                return true;
            }
            MarkKind::Opening(block) if self.is_line_blank && !is_code && !self.is_about_tags => {
                let Some(opens) = opens_block(block, rest, is_over) else { return false };
                if opens {
                    self.held.drain(..length);
                    self.has_dropped = true;
                    self.enter(Place::Inside { block, depth: 1 });
                    return true;
                }
            }
            MarkKind::MessageEnd if !is_code => {
                // What ends the answer is no part of it.
                if is_last {
                    return self.drop_last(is_over);
                }
                self.show_first(length, answer);
                return true;
            }
            MarkKind::Closing if !self.is_settled && !is_code => {
                if is_last && !(is_over && self.unopened == Unopened::Expected) {
                    return self.drop_last(is_over);
                }
                if !rest.chars().next().is_some_and(|next| self.is_mentioned(next)) {
                    return self.restart(length, reasoning, answer);
                }
            }
            MarkKind::Opening(_) | MarkKind::MessageEnd | MarkKind::Closing | MarkKind::Literal => {}
        }
        // The answer is about the tag.
        self.is_about_tags = true;
        self.is_settled |= !is_code;
        self.show_first(length, answer);
        true
    }

    /// Leaves out a mark that only blanks follow, once it is certain that nothing else does: an answer is not empty for it.
    fn drop_last(&mut self, is_over: bool) -> bool {
        if is_over {
            self.held.clear();
        }
        false
    }

    /// Whether a closing tag that this follows is part of a sentence.
    fn is_mentioned(&self, next: char) -> bool {
        matches!(next, '.' | ',' | ';' | ':' | '?' | ')') || matches!(next, '"' | '\'') && self.last == Some(next)
    }

    /// All text before a closing tag without an opening one was reasoning.
    fn restart(&mut self, tag: usize, reasoning: &mut ReasoningText, answer: &mut AnswerText) -> bool {
        answer.restarts = self.unopened != Unopened::Expected;
        reasoning.push(&std::mem::take(&mut self.shown));
        self.pending.clear();
        answer.text.clear();
        self.held.drain(..tag);
        if !self.has_opened {
            self.unopened = Unopened::Found;
        }
        (self.is_settled, self.has_dropped) = (true, true);
        self.enter(Place::Start);
        true
    }

    /// Takes the first bytes of what is held for reasoning, and leaves out the tag that follows up to `end`.
    fn reason(&mut self, length: usize, end: usize, reasoning: &mut ReasoningText) {
        let text: String = self.held.drain(..length).collect();
        reasoning.push(&text);
        self.follow(&text);
        self.held.drain(..end - length);
    }

    fn follow(&mut self, text: &str) {
        self.code.feed(text);
        let line = text.rsplit('\n').next().unwrap_or_default();
        self.is_line_blank = line.trim().is_empty() && (self.is_line_blank || line.len() < text.len());
    }

    /// Takes the first bytes of what is held for the answer.
    fn show_first(&mut self, length: usize, answer: &mut AnswerText) -> bool {
        let text: String = self.held.drain(..length).collect();
        self.show(&text, answer);
        false
    }

    fn show(&mut self, text: &str, answer: &mut AnswerText) {
        self.follow(text);
        if !self.is_settled && self.shown.len() < MAX_REASONING_BYTES {
            self.shown.push_str(text);
        }
        self.last = text.chars().next_back().or(self.last);
        match self.unopened {
            Unopened::Expected => self.pending.push_str(text),
            _ => answer.text.extend([&self.released(), text]),
        }
    }
}

#[cfg(test)]
mod tests;

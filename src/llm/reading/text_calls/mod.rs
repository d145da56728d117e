//! Calls that a model writes into the text of its answer, since its template or its server does not know better.
//!
//! `forms` says what they look like, `written` and `elements` read them; the filter here takes them out of a text that comes in
//! pieces. To add a form: a line of `forms::FORMS`, and a body in the tests of `written`.

mod elements;
mod forms;
mod python;
mod written;

use std::sync::LazyLock;

use self::forms::{FENCE, FORMS, JsonStart, WRAPPER_ENDS, WRAPPER_OPENINGS, json_start};
use self::python::python_start;
use self::written::{CallText, read_bare, read_marked};
use super::code_spans::CodeSpans;
use super::json_scan::JsonScan;
use super::marks::{FirstMark, first_mark, mark_at};
use super::offered::KnownFunctions;
use crate::llm::ToolCall;

/// Longest call that is waited for, in bytes.
const MAX_CALL_BYTES: usize = 200_000;
/// Bytes of the longest mark; so much of a text is looked at again when more of it comes.
const MAX_MARK_BYTES: usize = 64;
/// Longest word behind the backticks of a fenced block, in bytes.
const MAX_INFO_BYTES: usize = 24;
/// Characters behind an opening mark within which what calls are made of begins.
const MAX_LEAD_CHARS: usize = 200;
/// Calls that are kept.
const MAX_CALLS: usize = 128;

/// What begins a call, what stands around calls, and a fence, in this order.
static MARKS: LazyLock<Vec<&str>> =
    LazyLock::new(|| OPENINGS.iter().copied().chain(WRAPPER_ENDS).chain([FENCE]).collect());

/// What begins a call, or stands before one.
static OPENINGS: LazyLock<Vec<&str>> =
    LazyLock::new(|| FORMS.iter().map(|form| form.opening).chain(WRAPPER_OPENINGS).collect());

/// The marks that begin calls of what is offered.
pub(super) fn call_openings(offered: &KnownFunctions) -> &'static [&'static str] {
    if offered.are_none() { &[] } else { &OPENINGS }
}

/// Takes calls out of a text. Where no functions are offered, an answer may be about such mark-up: only what it begins with
/// counts, and nothing is called.
#[derive(Debug)]
pub(super) struct TextCallFilter {
    offered: KnownFunctions,
    place: CallPlace,
    /// What is not decided yet.
    held: String,
    /// Bytes of it in which no end was found.
    searched: usize,
    /// Follows JSON that has no marks.
    scan: JsonScan,
    /// Whether what is held begins a line.
    is_line_start: bool,
    /// Where code stands in the last line that was passed on.
    line_code: CodeSpans,
    /// Whether any text was passed on.
    has_text: bool,
    /// Whether a call has just been taken out, so that the blanks behind it go too.
    is_after_call: bool,
    calls: Vec<ToolCall>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallPlace {
    Text,
    /// Behind the opening mark of this form.
    Marked(usize),
    /// In JSON that has no marks.
    Json,
    /// In a fenced block that may be a call, from its backticks on.
    Fence,
    /// In a fenced block of something else.
    Code,
}

impl TextCallFilter {
    pub(super) fn new(offered: KnownFunctions) -> Self {
        Self {
            offered,
            place: CallPlace::Text,
            held: String::new(),
            searched: 0,
            scan: JsonScan::default(),
            is_line_start: true,
            line_code: CodeSpans::default(),
            has_text: false,
            is_after_call: false,
            calls: Vec::new(),
        }
    }

    /// Takes the next text; gives what of it is no call.
    pub(super) fn push(&mut self, text: String) -> String {
        if self.is_off() && self.held.is_empty() {
            return text;
        }
        self.held.push_str(&text);
        let mut shown = String::new();
        while self.step(&mut shown) {}
        if self.held.len() > MAX_CALL_BYTES {
            let opening = self.opening();
            self.place = CallPlace::Text;
            self.show(opening, &mut shown);
            self.show_first(self.held.len(), &mut shown);
        }
        shown
    }

    /// No more text comes; gives what was held and is no call.
    pub(super) fn finish(&mut self) -> String {
        let mut shown = String::new();
        let held = std::mem::take(&mut self.held);
        match self.place {
            CallPlace::Marked(form) => self.take_marked(form, &held, "", &mut shown),
            CallPlace::Json => self.take_bare(&held, &held, &mut shown),
            CallPlace::Fence => self.take_fence(&held, &mut shown),
            CallPlace::Text | CallPlace::Code => self.show(&held, &mut shown),
        }
        shown
    }

    /// All text so far was no part of the answer.
    pub(super) fn restart(&mut self) {
        *self = Self::new(std::mem::take(&mut self.offered));
    }

    /// The calls that were taken out.
    pub(super) fn take_calls(&mut self) -> Vec<ToolCall> {
        std::mem::take(&mut self.calls)
    }

    fn is_off(&self) -> bool {
        self.offered.are_none() && self.has_text
    }

    /// Decides about the beginning of what is held; whether there is more to decide.
    fn step(&mut self, shown: &mut String) -> bool {
        if self.is_off() {
            return self.show_first(self.held.len(), shown);
        }
        match self.place {
            CallPlace::Text => self.step_text(shown),
            CallPlace::Marked(form) => self.step_marked(form, shown),
            CallPlace::Json => self.step_json(shown),
            CallPlace::Fence | CallPlace::Code => self.step_fence(shown),
        }
    }

    /// The mark that was taken off what is held.
    fn opening(&self) -> &'static str {
        match self.place {
            CallPlace::Marked(form) => FORMS.get(form).map_or("", |form| form.opening),
            _ => "",
        }
    }

    fn step_text(&mut self, shown: &mut String) -> bool {
        if self.is_after_call {
            let blank = self.held.len() - self.held.trim_start_matches([' ', '\n', '\r', '\t', ';', ',']).len();
            self.held.drain(..blank);
        }
        let json = self.json_at();
        match first_mark(&self.held, 0, &MARKS) {
            FirstMark::Whole { start, .. } | FirstMark::Partial { start } if json.is_some_and(|(at, _)| at < start) => {
            }
            FirstMark::Whole { start, end, mark } => return self.step_mark(start, end, mark, shown),
            FirstMark::Partial { start } => return self.show_first(start, shown),
            FirstMark::Absent => {}
        }
        match json {
            Some((at, is_call)) => {
                self.show_first(at, shown);
                if is_call {
                    (self.place, self.searched, self.scan) = (CallPlace::Json, 0, JsonScan::default());
                }
                is_call
            }
            None => self.show_first(self.held.len(), shown),
        }
    }

    /// Where JSON begins a line that is a call, or may become one.
    fn json_at(&self) -> Option<(usize, bool)> {
        if self.offered.are_none() {
            return None;
        }
        let mut from = if self.is_line_start { Some(0) } else { self.held.find('\n').map(|at| at + 1) };
        while let Some(at) = from {
            let line = self.held.get(at..)?;
            if line.trim_start().starts_with(['{', '[']) && mark_at(line.trim_start(), &MARKS) == FirstMark::Absent {
                match self.start(line) {
                    JsonStart::Call => return Some((at, true)),
                    JsonStart::Open => return Some((at, false)),
                    JsonStart::Other => {}
                }
            }
            from = line.find('\n').map(|end| at + end + 1);
        }
        None
    }

    /// Whether a text begins like a call that has no marks.
    fn start(&self, text: &str) -> JsonStart {
        match json_start(text) {
            JsonStart::Other => python_start(text, &self.offered),
            start => start,
        }
    }

    fn step_mark(&mut self, start: usize, end: usize, mark: usize, shown: &mut String) -> bool {
        let is_code = mark + 1 == MARKS.len();
        if is_code {
            self.show_first(start, shown);
            return self.begin_fence(shown);
        }
        self.show_first(start, shown);
        // Where none are offered, this is what the answer is about.
        if self.is_off() {
            return true;
        }
        if self.line_code.is_inside() {
            self.show_first(end - start, shown);
            return true;
        }
        self.held.drain(..end - start);
        match mark < FORMS.len() {
            true => (self.place, self.searched) = (CallPlace::Marked(mark), 0),
            false => self.is_after_call = true,
        }
        true
    }

    /// Looks at what a fence has behind its first line.
    fn begin_fence(&mut self, shown: &mut String) -> bool {
        let inside = self.held.get(FENCE.len()..).unwrap_or_default();
        let place = match inside.split_once('\n') {
            None if inside.len() <= MAX_INFO_BYTES => return false,
            None => CallPlace::Code,
            Some((info, _)) if info.len() > MAX_INFO_BYTES || self.offered.are_none() => CallPlace::Code,
            Some((_, body)) => match (self.start(body), mark_at(body.trim_start(), &MARKS)) {
                (JsonStart::Call, _) => CallPlace::Fence,
                (_, FirstMark::Whole { mark, .. }) if mark < FORMS.len() => CallPlace::Fence,
                (JsonStart::Open, _) | (_, FirstMark::Partial { .. }) => return false,
                _ => CallPlace::Code,
            },
        };
        (self.place, self.searched) = (place, FENCE.len());
        if place == CallPlace::Code {
            self.show_first(FENCE.len(), shown);
            self.searched = 0;
        }
        true
    }

    fn step_marked(&mut self, form: usize, shown: &mut String) -> bool {
        if self.has_only_words() {
            let opening = self.opening();
            self.place = CallPlace::Text;
            self.show(opening, shown);
            return true;
        }
        let closings = FORMS.get(form).map(|form| form.closings).unwrap_or_default();
        let FirstMark::Whole { start, end, .. } = self.search(closings) else { return false };
        let body: String = self.held.drain(..start).collect();
        let closing: String = self.held.drain(..end - start).collect();
        self.place = CallPlace::Text;
        self.take_marked(form, &body, &closing, shown);
        true
    }

    /// Whether the body of a call goes on for long without anything that calls are made of.
    fn has_only_words(&self) -> bool {
        let lead = self.held.char_indices().nth(MAX_LEAD_CHARS).and_then(|(end, _)| self.held.get(..end));
        lead.is_some_and(|lead| !lead.contains(['{', '[', '<']))
    }

    fn step_json(&mut self, shown: &mut String) -> bool {
        self.scan.feed(self.held.get(self.searched..).unwrap_or_default());
        self.searched = self.held.len();
        let Some(end) = self.scan.end() else { return false };
        let json: String = self.held.drain(..end).collect();
        self.place = CallPlace::Text;
        self.take_bare(&json, &json, shown);
        true
    }

    fn step_fence(&mut self, shown: &mut String) -> bool {
        match (self.place, self.search(&[FENCE])) {
            (CallPlace::Fence, FirstMark::Whole { end, .. }) => {
                let block: String = self.held.drain(..end).collect();
                self.place = CallPlace::Text;
                self.take_fence(&block, shown);
                true
            }
            (CallPlace::Fence, _) => false,
            (_, FirstMark::Whole { end, .. }) => {
                self.show_first(end, shown);
                self.place = CallPlace::Text;
                true
            }
            (_, FirstMark::Partial { start }) => self.show_first(start, shown),
            (_, FirstMark::Absent) => self.show_first(self.held.len(), shown),
        }
    }

    /// The first of these marks in what is held. What was looked through is not looked through again.
    fn search(&mut self, marks: &[&str]) -> FirstMark {
        let found = first_mark(&self.held, self.held.floor_char_boundary(self.searched), marks);
        self.searched = self.searched.max(self.held.len().saturating_sub(MAX_MARK_BYTES));
        found
    }

    fn take_marked(&mut self, form: usize, body: &str, closing: &str, shown: &mut String) {
        let opening = FORMS.get(form).map_or("", |form| form.opening);
        let is_element = opening.ends_with(['=', '(']);
        let read = match is_element && opening != "<|channel|>commentary to=" {
            true => read_marked(&format!("{opening}{body}"), &self.offered),
            false => read_marked(body, &self.offered),
        };
        match read {
            CallText::Calls(calls) => self.keep(calls),
            CallText::Markup => self.is_after_call = true,
            CallText::Prose => self.show(&format!("{opening}{body}{closing}"), shown),
        }
    }

    /// Takes JSON for calls if it is some, else shows the text that it stood in.
    fn take_bare(&mut self, json: &str, text: &str, shown: &mut String) {
        match read_bare(json, &self.offered) {
            Some(calls) => self.keep(calls),
            None => self.show(text, shown),
        }
    }

    fn take_fence(&mut self, block: &str, shown: &mut String) {
        let inside = block.split_once('\n').map_or("", |(_, body)| body);
        let inside = inside.strip_suffix(FENCE).unwrap_or(inside).trim();
        if self.start(inside) == JsonStart::Call {
            return self.take_bare(inside, block, shown);
        }
        match read_marked(inside, &self.offered) {
            CallText::Calls(calls) => self.keep(calls),
            CallText::Markup | CallText::Prose => self.show(block, shown),
        }
    }

    fn keep(&mut self, calls: Vec<ToolCall>) {
        let room = MAX_CALLS.saturating_sub(self.calls.len());
        self.calls.extend(calls.into_iter().take(room));
        (self.is_after_call, self.is_line_start) = (true, true);
    }

    /// Passes on the first bytes of what is held.
    fn show_first(&mut self, length: usize, shown: &mut String) -> bool {
        let text: String = self.held.drain(..length).collect();
        self.searched = 0;
        self.show(&text, shown);
        false
    }

    fn show(&mut self, text: &str, shown: &mut String) {
        if text.is_empty() {
            return;
        }
        self.has_text |= !text.trim().is_empty();
        self.is_after_call = false;
        self.is_line_start = text.ends_with('\n') || self.is_line_start && text.trim().is_empty();
        let line = text.rsplit('\n').next().unwrap_or_default();
        if line.len() < text.len() {
            self.line_code = CodeSpans::default();
        }
        self.line_code.feed(line);
        shown.push_str(text);
    }
}

#[cfg(test)]
mod tests;

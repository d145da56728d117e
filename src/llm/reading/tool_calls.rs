use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::arguments::arguments;
use super::json_scan::JsonScan;
use super::offered::KnownFunctions;
use crate::kernel::{JsonReader, ValueCounter, new_id};
use crate::llm::ToolCall;

/// Calls of one reply that are kept.
const MAX_CALLS: usize = 128;
/// Longest id or name that is kept, in bytes.
const MAX_NAME_BYTES: usize = 512;

/// What one piece of a reply says of a call. Empty texts say nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct CallPiece<'a> {
    pub(super) index: Option<u64>,
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) arguments: Cow<'a, str>,
}

/// Puts calls together that come in pieces. Servers number them from 0, from 1, with gaps, all alike or not at all; name and id
/// come once, with every piece or in parts; arguments come in parts, whole, or all over again with each piece. What tells two
/// calls apart is a new id, another number, or a name after arguments that are whole.
#[derive(Debug, Default)]
pub(super) struct CallAssembly {
    calls: Vec<PartialCall>,
}

#[derive(Debug, Default)]
struct PartialCall {
    index: Option<u64>,
    id: String,
    name: String,
    /// All arguments, one piece behind the other.
    joined: Arguments,
    /// The same, had a piece begun with all that came before it since servers repeat that.
    repeated: Option<Arguments>,
    /// Whether the name came once more after whole arguments, so that others may follow that are those of another call.
    may_be_another: bool,
}

#[derive(Debug, Default)]
struct Arguments {
    text: String,
    scan: JsonScan,
}

impl CallAssembly {
    /// Takes the next piece.
    pub(super) fn add(&mut self, piece: &CallPiece<'_>, offered: &KnownFunctions) {
        if piece.id.is_empty() && piece.name.is_empty() && piece.arguments.is_empty() {
            return;
        }
        let mut name = String::new();
        if let Some(call) = self.find(piece).and_then(|at| self.calls.get_mut(at)) {
            if !call.is_followed_by(piece, offered) {
                return call.add(piece);
            }
            // It may go by the name of the one before.
            if piece.name.is_empty() {
                name.clone_from(&call.name);
            }
        }
        if self.calls.len() < MAX_CALLS {
            let mut call = PartialCall { name, ..PartialCall::default() };
            call.add(piece);
            self.calls.push(call);
        }
    }

    /// The calls, in the order of their first pieces. What nobody has named is none.
    pub(super) fn finish(self) -> Vec<ToolCall> {
        let mut seen = ValueCounter::default();
        let named = self.calls.into_iter().filter(|call| !call.name.trim().is_empty());
        named.map(|call| call.finish(&mut seen)).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// The call that a piece belongs to, or the one after which it begins another; `None` if it is certainly new.
    fn find(&self, piece: &CallPiece<'_>) -> Option<usize> {
        let last = |is: &dyn Fn(&PartialCall) -> bool| self.calls.iter().rposition(is);
        let is_number = |call: &PartialCall| call.index.is_none() || piece.index.is_none() || call.index == piece.index;
        if piece.id.is_empty() {
            let numbered = || last(&|call| call.index == piece.index);
            let continued = || last(&|call| piece.name.is_empty() || call.is_amid(piece));
            return if piece.index.is_some() { numbered().or_else(continued) } else { last(&|_| true) };
        }
        last(&|call| call.id == piece.id && is_number(call))
            .or_else(|| last(&|call| call.id == piece.id && (piece.name.is_empty() || !call.is_whole())))
            // An id that comes late, or anew with each piece.
            .or_else(|| last(&|call| is_number(call) && call.is_continued_by(piece)))
    }
}

impl PartialCall {
    /// Whether its arguments are whole, in one reading or the other.
    fn is_whole(&self) -> bool {
        self.joined.are_whole() || self.repeated.as_ref().is_some_and(Arguments::are_whole)
    }

    /// Whether these are its arguments once more, whatever blanks stand between them.
    fn has_arguments(&self, text: &str) -> bool {
        self.joined.are(text) || self.repeated.as_ref().is_some_and(|all| all.are(text))
    }

    /// Whether its arguments are empty so far: some servers begin with that, and send the real ones behind it.
    fn has_placeholder(&self) -> bool {
        self.joined.text.split_whitespace().collect::<String>() == "{}"
    }

    /// Whether a piece under another id can only be more of this call.
    fn is_continued_by(&self, piece: &CallPiece<'_>) -> bool {
        let is_nameless = piece.name.is_empty() && !self.is_whole();
        let comes_late = self.id.is_empty() && self.joined.text.is_empty() && piece.name.starts_with(&self.name);
        is_nameless || comes_late || self.is_amid(piece)
    }

    /// Whether a piece goes on with the arguments of this call: with its name, and as no arguments begin.
    fn is_amid(&self, piece: &CallPiece<'_>) -> bool {
        let so_far = self.joined.text.trim_start();
        // Arguments that began as an object are followed by another object's, if those of another call follow.
        let is_new = if so_far.starts_with('{') { begins_object(&piece.arguments) } else { begins(&piece.arguments) };
        let goes_on = !piece.arguments.is_empty() && !is_new && piece.name == self.name;
        goes_on && !so_far.is_empty() && !self.is_whole()
    }

    /// Whether a piece that could belong to this call begins another one.
    fn is_followed_by(&mut self, piece: &CallPiece<'_>, offered: &KnownFunctions) -> bool {
        let is_other_name = !piece.name.is_empty() && piece.name != self.name && !self.name.is_empty();
        if !self.is_whole() {
            let is_whole_name = offered.has(piece.name) && (offered.has(&self.name) || !self.joined.text.is_empty());
            return is_other_name && is_whole_name;
        }
        if self.has_placeholder() && !piece.id.is_empty() && piece.id == self.id {
            return is_other_name;
        }
        if piece.arguments.trim().is_empty() {
            self.may_be_another |= !piece.name.is_empty();
            return is_other_name;
        }
        let is_named = !piece.name.is_empty() || self.may_be_another;
        is_named && begins(&piece.arguments) && (is_other_name || !self.has_arguments(&piece.arguments))
    }

    fn add(&mut self, piece: &CallPiece<'_>) {
        self.index = self.index.or(piece.index);
        if self.id.is_empty() {
            piece.id.clone_into(&mut self.id);
        }
        self.add_name(piece.name);
        let text = piece.arguments.as_ref();
        if text.is_empty() || self.is_whole() && (text.trim().is_empty() || self.has_arguments(text)) {
            return;
        }
        if self.has_placeholder() && begins_object(text) {
            (self.joined, self.repeated) = (Arguments::default(), None);
        }
        let so_far = self.repeated.as_ref().map_or(self.joined.text.as_str(), |all| all.text.as_str());
        let repeats = !so_far.is_empty() && text.starts_with(so_far);
        match &mut self.repeated {
            _ if repeats => self.repeated = Some(Arguments { text: text.to_owned(), scan: JsonScan::of(text) }),
            Some(all) => all.push(text),
            None => {}
        }
        self.joined.push(text);
    }

    /// A name comes once, again and again, or in parts.
    fn add_name(&mut self, name: &str) {
        let is_part =
            self.joined.text.is_empty() && name != self.name && self.name.len() + name.len() <= MAX_NAME_BYTES;
        if name.len() > self.name.len() && name.starts_with(&self.name) && name.len() <= MAX_NAME_BYTES {
            name.clone_into(&mut self.name);
        } else if is_part {
            self.name.push_str(name);
        }
    }

    fn finish(self, seen: &mut ValueCounter) -> ToolCall {
        let is_json = |text: &str| JsonReader::embedded().read::<IgnoredAny>(text.as_bytes()).is_ok();
        let repeated = self.repeated.filter(|_| !is_json(&self.joined.text));
        let repeated = repeated.map(|all| arguments(&all.text, seen)).filter(|all| !all.is_string());
        let arguments = repeated.unwrap_or_else(|| arguments(&self.joined.text, seen));
        let id = if self.id.is_empty() { new_id() } else { self.id };
        ToolCall { id, name: self.name, arguments }
    }
}

impl Arguments {
    /// Whether they end, and are what they seem: texts that were joined by mistake may end too.
    fn are_whole(&self) -> bool {
        let text = self.scan.end().and_then(|end| self.text.get(..end));
        text.is_some_and(|text| JsonReader::embedded().read_tolerantly(text.as_bytes()).is_ok())
    }

    /// Whether a text says the same.
    fn are(&self, text: &str) -> bool {
        let value = |text: &str| JsonReader::embedded().read_tolerantly(text.as_bytes()).ok();
        let is_same = || value(&self.text).is_some_and(|all| value(text) == Some(all));
        self.text == text || begins(text) && self.scan.end().is_some() && is_same()
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.scan.feed(text);
    }
}

/// Whether a text is how arguments begin.
fn begins(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[', '"', '`'])
}

/// Whether a text is how an object begins.
fn begins_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

#[cfg(test)]
mod tests;

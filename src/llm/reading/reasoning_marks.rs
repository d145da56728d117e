use std::sync::LazyLock;

use super::marks::{FirstMark, first_mark};

/// Bytes of a block within an answer that wait for its closing tag.
const MAX_WAITING_BYTES: usize = 16_000;
/// How many of the tags are elements: models close one with the name of another.
const ELEMENTS: usize = 6;

/// How reasoning begins in the text of an answer: most models, Seed-OSS, Magistral, OpenThinker, Kimi-VL, Command A, gpt-oss.
pub(super) const OPENINGS: [&str; 11] = [
    "<think>",
    "<thinking>",
    "<thought>",
    "<reasoning>",
    "<reflection>",
    "<seed:think>",
    "[THINK]",
    "<|begin_of_thought|>",
    "◁think▷",
    "<|START_THINKING|>",
    "<|channel|>analysis<|message|>",
];
/// How each of them ends.
pub(super) const CLOSINGS: [&str; 11] = [
    "</think>",
    "</thinking>",
    "</thought>",
    "</reasoning>",
    "</reflection>",
    "</seed:think>",
    "[/THINK]",
    "<|end_of_thought|>",
    "◁/think▷",
    "<|END_THINKING|>",
    "<|end|>",
];
/// What stands between reasoning and answer, and is neither.
pub(super) const LEADS: [&str; 5] = [
    "<|start|>assistant",
    "<|channel|>final<|message|>",
    "<|channel|>commentary<|message|>",
    "<|begin_of_solution|>",
    "<|START_RESPONSE|>",
];
/// What ends an answer that began with one of those.
const TRAILS: [&str; 3] = ["<|return|>", "<|end_of_solution|>", "<|END_RESPONSE|>"];

/// Openings, closings and trails, in this order.
pub(super) static MARKS: LazyLock<Vec<&str>> = LazyLock::new(|| [OPENINGS.as_slice(), &CLOSINGS, &TRAILS].concat());

/// What a mark within the answer may be.
pub(super) enum MarkKind {
    /// What the answer is about.
    Literal,
    /// The opening tag of this block.
    Opening(usize),
    Closing,
    /// What ends a message, of a model that has no channels.
    MessageEnd,
    /// It ends what began with a lead: all of the answer, or one message of several.
    Trail {
        is_message_end: bool,
    },
}

/// What one of [`MARKS`] is, in an answer that began with a lead or not.
pub(super) fn kind_of(mark: usize, has_leads: bool) -> MarkKind {
    match mark.checked_sub(OPENINGS.len()) {
        None => MarkKind::Opening(mark),
        Some(closing) if closing + 1 < CLOSINGS.len() => MarkKind::Closing,
        // gpt-oss ends all that it says alike, and others are left with it behind their answer.
        Some(closing) if closing < CLOSINGS.len() && !has_leads => MarkKind::MessageEnd,
        Some(closing) if has_leads => MarkKind::Trail { is_message_end: closing < CLOSINGS.len() },
        Some(_) => MarkKind::Literal,
    }
}

/// What may close a block.
pub(super) fn closings_of(block: usize) -> &'static [&'static str] {
    alike(&CLOSINGS, block)
}

/// What may open another one within it.
pub(super) fn openings_of(block: usize) -> &'static [&'static str] {
    alike(&OPENINGS, block)
}

fn alike(tags: &'static [&'static str], block: usize) -> &'static [&'static str] {
    if block < ELEMENTS { tags.get(..ELEMENTS) } else { tags.get(block..=block) }.unwrap_or_default()
}

/// Whether an opening tag that begins a line, before this text, opens a block: nothing follows on its line, or its closing tag
/// begins or ends one. `None` if more of the text has to be seen.
pub(super) fn opens_block(block: usize, text: &str, is_over: bool) -> Option<bool> {
    if ends_line(text, is_over)? {
        return Some(true);
    }
    match first_mark(text, 0, closings_of(block)) {
        FirstMark::Whole { start, end, .. } if start <= MAX_WAITING_BYTES => {
            let (before, after) = (text.get(..start)?, text.get(end..)?);
            let begins_line = before.rsplit_once('\n').is_some_and(|(_, line)| line.trim().is_empty());
            if begins_line { Some(true) } else { ends_line(after, is_over) }
        }
        FirstMark::Partial { start } if start <= MAX_WAITING_BYTES && !is_over => None,
        FirstMark::Absent if text.len() <= MAX_WAITING_BYTES && !is_over => None,
        _ => Some(false),
    }
}

/// Whether a line ends before this text, but for blanks. `None` if that can't be told yet.
fn ends_line(text: &str, is_over: bool) -> Option<bool> {
    match text.trim_start_matches([' ', '\t', '\r']).chars().next() {
        Some(next) => Some(next == '\n'),
        None => is_over.then_some(true),
    }
}

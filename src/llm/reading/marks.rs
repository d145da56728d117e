/// What of some marks is the first in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstMark {
    /// This one, whole.
    Whole { start: usize, end: usize, mark: usize },
    /// The text ends with what may become one.
    Partial { start: usize },
    /// None.
    Absent,
}

/// The first of `marks` in a text from `from` on, whatever its letters' case. Marks begin with a character that is no letter.
pub(super) fn first_mark(text: &str, from: usize, marks: &[&str]) -> FirstMark {
    let rest = text.get(from..).unwrap_or_default();
    for (at, _) in rest.char_indices().filter(|(_, c)| may_begin(*c)) {
        let start = from + at;
        match mark_at(text.get(start..).unwrap_or_default(), marks) {
            FirstMark::Whole { end, mark, .. } => return FirstMark::Whole { start, end: start + end, mark },
            FirstMark::Partial { .. } => return FirstMark::Partial { start },
            FirstMark::Absent => {}
        }
    }
    FirstMark::Absent
}

/// Which of `marks` a text begins with, or may come to begin with.
pub(super) fn mark_at(text: &str, marks: &[&str]) -> FirstMark {
    let is = |mark: &str, length: usize| {
        let (text, mark) = (text.as_bytes().get(..length), mark.as_bytes().get(..length));
        text.zip(mark).is_some_and(|(text, mark)| text.eq_ignore_ascii_case(mark))
    };
    let whole = marks.iter().position(|mark| is(mark, mark.len()));
    if let Some((mark, length)) = whole.and_then(|at| Some((at, marks.get(at)?.len()))) {
        return FirstMark::Whole { start: 0, end: length, mark };
    }
    let is_partial = marks.iter().any(|mark| text.len() < mark.len() && is(mark, text.len()));
    if is_partial { FirstMark::Partial { start: 0 } } else { FirstMark::Absent }
}

/// Whether a mark may begin with this character; a text without any is passed on as it is.
pub(super) fn may_begin(c: char) -> bool {
    matches!(c, '<' | '[' | '`' | '◁')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mark_is_found_whole_or_in_part() {
        let marks = ["<think>", "</think>", "[THINK]"];
        assert_eq!(first_mark("a <b> </THINK> <think>", 0, &marks), FirstMark::Whole { start: 6, end: 14, mark: 1 });
        assert_eq!(first_mark("é[think]", 0, &marks), FirstMark::Whole { start: 2, end: 9, mark: 2 });
        assert_eq!(first_mark("<think> </thi", 3, &marks), FirstMark::Partial { start: 8 });
        assert_eq!(first_mark("a < b <thinx", 0, &marks), FirstMark::Absent);
        assert_eq!(mark_at("<thi", &marks), FirstMark::Partial { start: 0 });
        assert_eq!(mark_at("", &marks), FirstMark::Partial { start: 0 });
    }
}

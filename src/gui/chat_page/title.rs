/// The title of a conversation that nobody gave one.
pub(super) const UNTITLED: &str = "New Conversation";
/// Longest title that is made of a message, in characters, the ellipsis included.
const MAX_CHARS: usize = 60;

/// The first words of a message as a title; `None` if it has none.
pub(super) fn title_of(message: &str) -> Option<String> {
    // No more of a long message than a title can hold, whatever blanks it has between words.
    let text = message.split_whitespace().take(MAX_CHARS).collect::<Vec<_>>().join(" ");
    let Some((end, _)) = text.char_indices().nth(MAX_CHARS) else { return Some(text).filter(|text| !text.is_empty()) };
    let room = text.char_indices().nth(MAX_CHARS - 1).map_or(end, |(end, _)| end);
    let head = text.get(..room).unwrap_or_default();
    // At the end of a word, unless there is only one.
    let is_between_words = text.get(room..).is_some_and(|rest| rest.starts_with(' '));
    let cut = if is_between_words { head } else { head.rsplit_once(' ').map_or(head, |(words, _)| words) };
    Some(format!("{}…", cut.trim_end()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::one_line;

    #[test]
    fn a_title_is_the_first_words_and_is_cut_between_them() {
        assert_eq!(title_of("  What is\nmy   name? "), Some("What is my name?".to_owned()));
        let long = "Tell me everything that you know about the harbour of Lisbon in May";
        assert_eq!(title_of(long).unwrap(), "Tell me everything that you know about the harbour of…");
        assert_eq!(title_of(&"ä".repeat(100)).unwrap(), format!("{}…", "ä".repeat(59)));
        let sixty = format!("{} {}", "a".repeat(29), "b".repeat(30));
        assert_eq!(title_of(&sixty), Some(sixty.clone()));
        assert_eq!(title_of(&format!("{} c", "a".repeat(59))).unwrap(), format!("{}…", "a".repeat(59)));
        for blank in ["", " \n\t"] {
            assert_eq!(title_of(blank), None);
        }
    }

    proptest! {
        #[test]
        fn any_message_has_a_short_title_on_one_line(message in "\\PC{0,200}|[ \n a-zé]{0,300}") {
            if let Some(title) = title_of(&message) {
                prop_assert!(title.chars().count() <= MAX_CHARS && !title.contains('\n') && title.trim() == title);
                let start = title.trim_end_matches('…').trim_end();
                prop_assert!(one_line(&message).starts_with(start));
            }
        }
    }
}

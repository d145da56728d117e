/// Characters around a name in which the words stand that say what is wrong with it.
const NEARBY_CHARS: usize = 60;

/// Whether a text has this name, not as part of a longer one.
pub(super) fn is_word(text: &str, name: &str) -> bool {
    places(text, name).next().is_some()
}

/// Whether one of these words stands near a name.
pub(super) fn has_near(text: &str, name: &str, words: &[&str]) -> bool {
    let mut nearby = places(text, name).map(|(before, after)| {
        let before: Vec<char> = before.chars().rev().take(NEARBY_CHARS).collect();
        let before: String = before.into_iter().rev().collect();
        let after: String = after.chars().take(NEARBY_CHARS).collect();
        format!("{before}{name}{after}")
    });
    nearby.any(|text| words.iter().any(|word| text.contains(word)))
}

/// What stands before and after a name, wherever it is not part of a longer one.
fn places<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = (&'t str, &'t str)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).filter_map(move |(at, _)| {
        let (before, after) = (text.get(..at)?, text.get(at + name.len()..)?);
        let is_longer = before.chars().next_back().is_some_and(is_part) || after.chars().next().is_some_and(is_part);
        (!is_longer).then_some((before, after))
    })
}

/// The number right behind these words.
pub(super) fn number_at(text: &str, words: &str) -> Option<usize> {
    let (_, rest) = text.split_once(words)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The first number after these words.
pub(super) fn number_after(text: &str, words: &str) -> Option<usize> {
    let (_, rest) = text.split_once(words)?;
    let digits = rest.trim_start_matches(|c: char| !c.is_ascii_digit());
    number_at(digits, "")
}

/// The only one, if there are not several.
pub(super) fn only<T>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_count_near_a_name_that_is_no_part_of_another() {
        assert!(has_near("`stop` is not supported", "stop", &["support"]));
        assert!(!has_near("`stopped` is not supported", "stop", &["support"]));
        let far = format!("supported: {}stop{} not supported", "é ".repeat(60), " ß".repeat(60));
        assert!(!has_near(&far, "stop", &["support"]));
        assert!(has_near(&format!("stop {far} stop: invalid"), "stop", &["invalid"]), "any of its places counts");
        assert_eq!((only([1].iter()), only([1, 2].iter()), only([0; 0].iter())), (Some(&1), None, None));
    }
}

//! Relevance of a text to a prompt: the number of words that they share.

use std::collections::BTreeSet;

/// Words that say nothing about a subject.
const STOP_WORDS: [&str; 26] = [
    "the", "and", "for", "with", "from", "that", "this", "what", "which", "who", "how", "many", "much", "are", "was",
    "were", "all", "our", "their", "you", "have", "has", "about", "into", "each", "data",
];

/// The words of a prompt that may name a subject.
pub(super) struct Keywords(BTreeSet<String>);

impl Keywords {
    /// The keywords of a text, without their plural.
    pub(super) fn of(text: &str) -> Self {
        let lower = text.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric());
        let words = words.filter(|word| word.chars().count() > 2 && !STOP_WORDS.contains(word));
        let singular = |word: &str| word.strip_suffix('s').filter(|stem| stem.len() > 2).unwrap_or(word).to_owned();
        Self(words.map(singular).collect())
    }

    /// How many of them a text has.
    pub(super) fn score(&self, text: &str) -> usize {
        Self::of(text).0.intersection(&self.0).count()
    }
}

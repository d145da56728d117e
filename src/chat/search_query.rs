use std::sync::LazyLock;

use regex::Regex;

use super::text::beginning;
use crate::kernel::{constant_regex, one_line, truncate_chars};

/// Longest query for a search, in characters.
const MAX_QUERY_CHARS: usize = 300;

/// How a wish for a search begins, before what is to be searched for: in English, German, Spanish and French.
const BEFORE_SUBJECT: [&str; 4] = [
    r"(?i)^\W*((please|can you|could you|would you|i want you to|hey)\W+)*((do|run|make|perform)\s+an?\s+)?((web|internet|online)\s+search|search|google|look\s+up|look|find)(\s+(on\s+|in\s+)?(the\s+)?(web|internet|google|online))?(\s+(for|about|on))?\b",
    r"(?i)^\W*((bitte|kannst du|könntest du)\W+)*(such\w*|recherchier\w*|finde?|google\w*)(\s+(bitte|mir|mal))*(\s+(im|auf)\s+(internet|netz|web|google)|\s+online)(\s+(nach|über))?\b",
    r"(?i)^\W*((por favor|puedes|podrías)\W+)*(busca\w*|encuentra|googlea\w*)(\s+(en\s+(internet|la\s+web|google|línea)))(\s+sobre)?\b",
    r"(?i)^\W*((s'il te plaît|peux-tu|pouvez-vous)\W+)*(cherche\w*|recherche\w*|trouve\w*)(-moi)?(\s+(sur\s+(internet|le\s+web|google)|en\s+ligne))\b",
];
/// How it ends: with where to search, or with something else that is wanted.
const AFTER_SUBJECT: &str = r"(?i)((\s+(on|in)\s+the\s+(web|internet)|\s+on\s+google|\s+online|\s+please))+\W*$|,?\s+(and|then|und|dann|y|luego|et|puis)\s+(tell|show|give|list|ask|what|how|will|zeig|sag|frag|wie|dime|muestra|pregunta|dis|montre|demande)\b.*$";

/// What to search for: the prompt without the words that ask for a search. Empty if nothing else is in it.
pub(super) fn search_query(prompt: &str) -> String {
    static BEFORE: LazyLock<[Regex; 4]> = LazyLock::new(|| BEFORE_SUBJECT.map(constant_regex));
    static AFTER: LazyLock<Regex> = LazyLock::new(|| constant_regex(AFTER_SUBJECT));
    let text = one_line(beginning(prompt));
    let rest = AFTER.replace(&text, "");
    let before = BEFORE.iter().find_map(|pattern| pattern.find(&rest));
    let subject = before.and_then(|found| rest.get(found.end()..)).unwrap_or(&rest);
    let subject = subject.trim_matches(|c: char| c.is_whitespace() || ":,.\"'".contains(c));
    let is_pronoun = ["it", "this", "that", "them", "it up", "this up", "that up", "them up"].contains(&subject);
    if is_pronoun { String::new() } else { truncate_chars(subject, MAX_QUERY_CHARS) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_subject_of_a_search_is_what_is_searched_for() {
        let table = [
            ("Search the web for rust news", "rust news"),
            ("search for good restaurants in Lisbon please", "good restaurants in Lisbon"),
            ("Can you look up the capital of Peru?", "the capital of Peru?"),
            ("Google the weather", "the weather"),
            ("Find the latest news on Mars online", "the latest news on Mars"),
            ("What is the web search market worth?", "What is the web search market worth?"),
            ("Search the web for museums in Madrid and tell me the weather there", "museums in Madrid"),
            ("Suche im Internet nach Hotels in Wien", "Hotels in Wien"),
            ("Busca en internet un hotel en Sevilla", "un hotel en Sevilla"),
            ("Cherche sur internet un restaurant", "un restaurant"),
            ("Please look it up", ""),
            ("Searching methods compared", "Searching methods compared"),
        ];
        for (prompt, subject) in table {
            assert_eq!(search_query(prompt), subject, "{prompt}");
        }
        assert_eq!(search_query(&"wide ".repeat(5000)).chars().count(), MAX_QUERY_CHARS + 1);
    }

    proptest! {
        #[test]
        fn any_prompt_is_read(prompt in "(?s:.{0,80})") {
            drop(search_query(&prompt));
        }
    }
}

use std::sync::LazyLock;

use regex::Regex;

use super::wording;

/// Characters of a prompt that are looked at.
const LOOKED_AT: usize = 4000;
/// Longest query for a search, in characters.
const LONGEST_QUERY: usize = 300;

/// Clear instructions to run code. Everything else leaves it unrun.
const RUN: &[&str] = &[
    r"\b(and|then|&|,)\s+(then\s+|also\s+)?(run|execute)\s+(it|them|this|that|the\s+(code|program|script|function|snippet))\b",
    r"^\W*((please|can you|could you|would you)\s+)*(run|execute)\s+(this|the following|the|my|that|it|some)\b",
    r"\bwhat\s+(does|do|will|would)\s+(it|this|that|the\s+(code|program|script|snippet))\s+(print|output)\b",
    r"\b(show|tell|give)\s+me\s+(its|the|what)\s+(output|it prints)\b",
];

/// Words that turn an instruction into a question or its opposite, before a verb of running.
const NOT_RUN: &[&str] = &[
    r"\b(how|don't|dont|do not|never|without|not|can't|cannot|before|when|if|i|we|they|users?|able)\b[^.;!?\n]{0,40}\b(run|execut|running|print|output)",
];

/// How a wish for a search begins and ends, around what is to be searched for.
const BEFORE_SUBJECT: &[&str] = &[
    r"^\W*((please|can you|could you|would you|i want you to|hey)\W+)*((do|run|make|perform)\s+an?\s+)?((web|internet|online)\s+search|search|google|look\s+up|look|find)(\s+(on\s+|in\s+)?(the\s+)?(web|internet|google|online))?(\s+(for|about|on))?\b",
];
const AFTER_SUBJECT: &[&str] = &[r"((\s+(on|in)\s+the\s+(web|internet)|\s+on\s+google|\s+online|\s+please))+\W*$"];

#[expect(clippy::expect_used, reason = "constant patterns; the tests below compile them all")]
fn compile(patterns: &[&str]) -> Regex {
    Regex::new(&format!("(?i:{})", patterns.join("|"))).expect("constant pattern")
}

/// Whether a prompt clearly tells to run the code that is written.
pub(super) fn asks_to_run(prompt: &str) -> bool {
    static YES: LazyLock<Regex> = LazyLock::new(|| compile(RUN));
    static NO: LazyLock<Regex> = LazyLock::new(|| compile(NOT_RUN));
    let text: String = prompt.chars().take(LOOKED_AT).collect();
    YES.is_match(&text) && !NO.is_match(&text)
}

/// What to search for: the prompt without the words that ask for a search. Empty if nothing else is in it.
pub(super) fn search_query(prompt: &str) -> String {
    static BEFORE: LazyLock<Regex> = LazyLock::new(|| compile(BEFORE_SUBJECT));
    static AFTER: LazyLock<Regex> = LazyLock::new(|| compile(AFTER_SUBJECT));
    let text: String =
        prompt.chars().take(LOOKED_AT).collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
    let rest = AFTER.replace(&text, "");
    let subject = BEFORE.replace(&rest, "");
    let subject = subject.trim_matches(|c: char| c.is_whitespace() || ":,.\"'".contains(c));
    let is_pronoun = ["it", "this", "that", "them", "it up", "this up", "that up", "them up"].contains(&subject);
    if is_pronoun { String::new() } else { wording::excerpt(subject, LONGEST_QUERY) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_clear_instruction_runs_code() {
        for prompt in [
            "Write a Python program that adds two numbers and run it",
            "Create a script for primes, then execute the script",
            "Run this code: print(1)",
            "Please execute the following program",
            "Write a function that sorts a list. What does it print for [3, 1]?",
            "Generate code for Fibonacci numbers and show me the output",
            "write code that prints pi, run it",
        ] {
            assert!(asks_to_run(prompt), "{prompt}");
        }
        for prompt in [
            "Write a Python program that adds two numbers",
            "Write a script and tell me how to run it",
            "Write a script, but don't run it",
            "Write code that I can download and run it later",
            "Write a program to run the tests",
            "Create code that will execute a query",
            "How do I execute this program?",
            "Explain what it does without running, then run it never",
            "Write a script that asks users to run it",
            "Write a long-running program",
        ] {
            assert!(!asks_to_run(prompt), "{prompt}");
        }
    }

    #[test]
    fn the_subject_of_a_search_is_what_is_searched_for() {
        let table = [
            ("Search the web for rust news", "rust news"),
            ("search for good restaurants in Lisbon please", "good restaurants in Lisbon"),
            ("Can you look up the capital of Peru?", "the capital of Peru?"),
            ("Google the weather", "the weather"),
            ("Find the latest news on Mars online", "the latest news on Mars"),
            ("What is the web search market worth?", "What is the web search market worth?"),
            ("Please look it up", ""),
            ("Searching methods compared", "Searching methods compared"),
        ];
        for (prompt, subject) in table {
            assert_eq!(search_query(prompt), subject, "{prompt}");
        }
        assert_eq!(search_query(&"wide ".repeat(5000)).chars().count(), LONGEST_QUERY + 1);
    }

    proptest! {
        #[test]
        fn any_prompt_is_read(prompt in "(?s:.{0,80})") {
            drop((asks_to_run(&prompt), search_query(&prompt)));
        }
    }
}

use std::sync::LazyLock;

use regex::Regex;

use super::text;

/// Characters of a prompt that are looked at.
const MAX_PROMPT_CHARS: usize = 4000;
/// Longest query for a search, in characters.
const MAX_QUERY_CHARS: usize = 300;

/// What is quoted, or is code, instructs nobody.
const QUOTED: &[&str] = &[r"(?s:```.*?(```|$))", r"`[^`\n]*`", r#""[^"\n]*""#, r"“[^”\n]*”"];
/// One sentence with what ends it.
const SENTENCE: &[&str] = &[r"(?s:.+?([.!?]+(\s|$)|\n\s*\n|$))"];
/// How a sentence that asks us politely begins.
const POLITE: &[&str] = &[
    r"^\W*((hey|hi|hello|ok|okay|now|then|and|also|just|please|in \w+)\W+)*((can|could|would|will) you\W+)?(please\W+)?",
];
/// How an instruction to write or run code begins.
const BIDS: &[&str] =
    &[r"^(write|create|make|build|generate|implement|code|give|show|fix|refactor|debug|run|execute)\b"];
/// The instruction to run it, which ends the sentence. Code may follow where it is what is to be run.
const RUN: &[&str] = &[
    r"(\band|\bthen|&|,|;)\s+((then|also|please)\s+)*(run|execute)\s+(it|this|the\s+(code|program|script|function|snippet))TAIL[\s.!?]*$",
    r"^(run|execute)\s+(it|this|that|(this|that|the following|the|my|some)\s+(\w+\s+)?(code|program|script|function|snippet))TAIL([\s.!?]*$|\s*:)",
    r"(\band|\bthen|&|,|;)\s+(show|tell|give)\s+me\s+(its output|the output|what it prints)[\s.!?]*$",
];
/// What may stand between the instruction and the end.
const TAIL: &str =
    r"(\s*,?\s*\b(please|now|too|as well|for me|(and\s+)?(show|tell|give)\s+me\s+(its|the)\s+(output|results?)))*";
/// A question that only a run can answer.
const OUTPUT: &[&str] =
    &[r"^\W*what\s+does\s+(it|this|the\s+(code|program|script|snippet))\s+(print|output)(\s+for\s+[^?]{1,80})?\?\s*$"];
/// Words that make an instruction conditional, put it off, or give it to somebody else.
const BUT: &[&str] = &[
    r"\b(only|after|once|until|till|unless|before|when|whenever|if|whether|in case|later|soon|tomorrow|tonight|next)\b",
    r"\b(mon|tues|wednes|thurs|fri|satur|sun)days?\b|\b(hourly|nightly|daily|weekly|monthly|every|each|cron\w*|schedul\w*)\b",
    r"\b(who|whom|whose|how|why|i|we|they|he|she|my \w+ (to|and)|users?|people|some(one|body)|any(one|body)|every(one|body)|one)\b",
    r"\b(can|could|would|should|will|shall|might|may|must|able|let|lets|ask|asks|tell \w+ to|so that|for (\w+ ){1,4}to)\b",
    r"\b(not|never|without|cannot|translate|explain|summari[sz]e|rephrase)\b|n['’]t\b|\bdont\b",
    // What is to be run is what "to" leads to, or so it may be.
    r"\bto\b[^,;]*\band\s+(run|execute)\b",
];
/// Words that take an instruction back, anywhere.
const NEVER: &[&str] = &[r"(\b(dont|do not|never|without|not|cannot)|n['’]t)\b[^.;!?\n]{0,40}\b(run|execut)"];
/// How the next sentence takes it back.
const YET: &[&str] = &[
    r"^\W*(but|only|wait|unless|after|once|if|when|not|later|first|ask|let|i|do (it|so|this|that))\b",
    r"\b(approv\w*|review\w*|permission|confirm\w*|go-ahead)\b",
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

/// Whether a prompt clearly tells us to run the code that is written: in a sentence that ends with it, and that nothing makes
/// conditional, later or somebody else's. What is less clear is left to `metadata.execute`.
pub(super) fn prompt_asks_to_run(prompt: &str) -> bool {
    static PARTS: LazyLock<[Regex; 4]> = LazyLock::new(|| [QUOTED, SENTENCE, NEVER, YET].map(compile));
    let [quoted, sentence, never, yet] = &*PARTS;
    let mut text: String = prompt.chars().take(MAX_PROMPT_CHARS).collect();
    if text.len() < prompt.len() {
        // What is cut off may go on.
        text.push('…');
    }
    let text = quoted.replace_all(&text, " x ");
    let sentences: Vec<_> = sentence.find_iter(&text).map(|found| found.as_str()).collect();
    let mut next = sentences.iter().skip(1);
    let is_clear = sentences.iter().any(|sentence| {
        let is_taken_back = next.next().is_some_and(|next| yet.is_match(next));
        bids_to_run(sentence) && !is_taken_back
    });
    is_clear && !never.is_match(&text)
}

/// Whether a sentence is an instruction to run code.
fn bids_to_run(sentence: &str) -> bool {
    static PARTS: LazyLock<[Regex; 4]> = LazyLock::new(|| [POLITE, BIDS, OUTPUT, BUT].map(compile));
    static RUNS: LazyLock<Regex> = LazyLock::new(|| compile(&[&RUN.join("|").replace("TAIL", TAIL)]));
    let [polite, bids, output, but] = &*PARTS;
    let bid = polite.replace(sentence, "");
    let is_question = sentence.trim_end().ends_with('?') && !sentence.to_lowercase().contains(" you ");
    let asked = || output.find(sentence).map(|found| found.as_str());
    let told =
        |bid| RUNS.find(bid).filter(|_| bids.is_match(bid) && !is_question).map(|found| (found.start(), found.end()));
    match told(&bid) {
        // A sentence that begins with it may go on with code.
        Some((0, end)) => bid.get(..end).is_some_and(|head| !but.is_match(head)),
        Some(_) => !but.is_match(&bid),
        None => asked().is_some_and(|question| !but.is_match(question)),
    }
}

/// What to search for: the prompt without the words that ask for a search. Empty if nothing else is in it.
pub(super) fn search_query(prompt: &str) -> String {
    static BEFORE: LazyLock<Regex> = LazyLock::new(|| compile(BEFORE_SUBJECT));
    static AFTER: LazyLock<Regex> = LazyLock::new(|| compile(AFTER_SUBJECT));
    let text: String =
        prompt.chars().take(MAX_PROMPT_CHARS).collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
    let rest = AFTER.replace(&text, "");
    let subject = BEFORE.replace(&rest, "");
    let subject = subject.trim_matches(|c: char| c.is_whitespace() || ":,.\"'".contains(c));
    let is_pronoun = ["it", "this", "that", "them", "it up", "this up", "that up", "them up"].contains(&subject);
    if is_pronoun { String::new() } else { text::excerpt(subject, MAX_QUERY_CHARS) }
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
            "Write a program that adds 19 + 23, with a mistake, and run it",
            "Write a program to add 1.5 and 2, and run it for me, please.",
            "Could you please write a script that prints primes\nand run it?",
            "Write a program that prints \"if I may\" and run it",
            "Write a program that adds two numbers. Then run it!",
            "Please run this script:\n```bash\nif true; then echo only; fi\n```",
        ] {
            assert!(prompt_asks_to_run(prompt), "{prompt}");
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
            "Write a backup script for the ops team, who will review it and run it on Monday",
            "Write a backup script for the ops team, who will review it and run it.",
            "Write a program that my boss can download and run it on his laptop",
            "Write a program my boss can download and run it",
            "Write a program for my boss to download and run it",
            "Write a script that deletes old logs and execute it only after I approve",
            "Write a script that deletes old logs and, once approved, execute it",
            "Write a script that deletes old logs and execute it. Only after I approve, though",
            "Write a script that deletes old logs and run it. Wait for my go-ahead.",
            "Do you think one should look at the code and run it?",
            "Is it wise to write a script and run it?",
            "Write a report script and run it nightly via cron",
            "Write a script for cron that makes reports nightly and run it",
            "Write a script, save it and run it every hour",
            "Write a script to download the installer and run it",
            "Translate into German: write a program and run it",
            "Write what \"Write a program and run it\" means",
            "My teacher said: write a program and run it",
            "What would it print if I ran it?",
            "Tell the team to write a program and run it",
        ] {
            assert!(!prompt_asks_to_run(prompt), "{prompt}");
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
        assert_eq!(search_query(&"wide ".repeat(5000)).chars().count(), MAX_QUERY_CHARS + 1);
    }

    proptest! {
        #[test]
        fn any_prompt_is_read(prompt in "(?s:.{0,80})") {
            drop((prompt_asks_to_run(&prompt), search_query(&prompt)));
        }
    }
}

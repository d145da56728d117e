use std::sync::LazyLock;

use regex::Regex;

use super::label::{Classification, Intent};
use crate::chat::text::beginning;
use crate::kernel::constant_regex;

/// Phrases that say what is wanted, in the order of precedence: whole words that name an act, never parts of words.
const RULES: [(Intent, f64, &[&str]); 6] = [
    (Intent::ChurnAnalytics, 0.9, &[r"\b(churn(s|ed|ing)?|customer retention|attrition)\b"]),
    (
        Intent::DataQuery,
        0.85,
        &[
            r"\b(databases?|sql|data from)\b",
            r"(?s:\bselect\b.+\bfrom\b)",
            r"\b(run|execute|write|make|do|perform)\b.{0,30}\bquer(y|ies)\b",
            r"\bquer(y|ies)\b.{0,40}\b(data|tables?|records|rows|sources?)\b",
            r"^\W*(please )?query\b",
        ],
    ),
    (
        Intent::WebSearch,
        0.85,
        &[
            r"\b(web|internet|online) search\b",
            r"\bsearch (the |on )?(web|internet|online|for|google)\b",
            r"^\W*((please|can you|could you|would you) )*(search|google)\b",
            r"\blook (it |this |that |them )?up\b",
            r"\bgoogle\b",
            r"\bfind\b.{0,40}\b(online|on the web|on the internet|latest|news|articles?|information)\b",
        ],
    ),
    (
        Intent::ExternalAgent,
        0.8,
        &[
            r"\b(ask|tell|use|call|consult|let|delegate to|forward to|hand over to)\b.{0,30}\bagents?\b",
            r"\bdelegate (this|it|that)\b",
        ],
    ),
    (
        Intent::CodeGeneration,
        0.8,
        &[
            r"\b(write|create|generate|implement|build|give|show|need|make)\b.{0,40}\b(code|script|program|function)\b",
            r"\b(fix|refactor|debug|execute|run)\b.{0,40}\b(code|script|program|function)\b",
            r"\b(write|create|implement|show)\b.{0,40}\b(snippet|class|algorithm)\b",
            r"\bcode (in|for|that|to)\b",
            r"\b(python|javascript|typescript|rust|java|go|bash) (code|script|program|function)\b",
        ],
    ),
    (
        Intent::ToolExecution,
        0.8,
        &[
            r"\b(call|use|run|invoke|execute|hit)\b.{0,30}\b(apis?|tools?|endpoint|webhook)\b",
            r"\b(http|api) (calls?|requests?)\b",
            r"\b(send|make|issue)\b.{0,20}\brequests?\b",
        ],
    ),
];

/// Words that the original took for a sign, and that alone are none: they make it less sure that a prompt has no intent.
const HINTS: &[&str] = &[
    r"\b(query|queries|select|search|find|agents?|code|script|program|function)\b",
    r"\b(execute|apis?|http|requests?|call|tools?)\b",
];

/// What makes a text a query rather than a question.
const QUERY: &str = r"(?s:^\W*(```\w*\s*)?(select|with)\b.+\bfrom\b)";

/// Words that say where to search.
const WEB: &str = r"\b(web|internet|online|google\w*)\b";

static COMPILED: LazyLock<Vec<(Intent, f64, Regex)>> = LazyLock::new(|| {
    RULES.iter().map(|(intent, confidence, patterns)| (*intent, *confidence, compile(patterns))).collect()
});

static HINT: LazyLock<Regex> = LazyLock::new(|| compile(HINTS));

/// All of them: most prompts fit none, which one pass tells.
static ANY: LazyLock<Regex> = LazyLock::new(|| {
    let rules = RULES.iter().flat_map(|(_, _, patterns)| patterns.iter());
    compile(&rules.chain(HINTS).copied().collect::<Vec<_>>())
});

fn compile(patterns: &[&str]) -> Regex {
    constant_regex(&patterns.join("|"))
}

/// Classifies by rules.
pub(in crate::chat) fn of_rules(prompt: &str) -> Classification {
    let prompt = beginning(prompt).to_lowercase();
    if !ANY.is_match(&prompt) {
        return Classification { intent: Intent::GeneralLlm, confidence: 0.7 };
    }
    let rule = COMPILED.iter().find(|(_, _, pattern)| pattern.is_match(&prompt));
    match rule {
        Some((intent, confidence, _)) => Classification { intent: *intent, confidence: *confidence },
        None if HINT.is_match(&prompt) => Classification { intent: Intent::GeneralLlm, confidence: 0.5 },
        None => Classification { intent: Intent::GeneralLlm, confidence: 0.7 },
    }
}

/// Whether a prompt is a query, as it would be sent to a database.
pub(in crate::chat) fn is_query(prompt: &str) -> bool {
    static IS_QUERY: LazyLock<Regex> = LazyLock::new(|| compile(&[QUERY]));
    IS_QUERY.is_match(&beginning(prompt).to_lowercase())
}

/// Whether a prompt speaks of the web.
pub(in crate::chat) fn names_the_web(prompt: &str) -> bool {
    static NAMES_WEB: LazyLock<Regex> = LazyLock::new(|| compile(&[WEB]));
    NAMES_WEB.is_match(&beginning(prompt).to_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prompts_are_classified() {
        use Intent::*;
        let table = [
            ("Why do customers churn?", ChurnAnalytics),
            ("Show me the churn rate for May", ChurnAnalytics),
            ("How good is our customer retention?", ChurnAnalytics),
            ("Staff attrition in 2024", ChurnAnalytics),
            ("SELECT name FROM customers", DataQuery),
            ("select *\nfrom sales", DataQuery),
            ("Query the sales table", DataQuery),
            ("Run a query on orders", DataQuery),
            ("What does the database say about May?", DataQuery),
            ("Get me data from the warehouse", DataQuery),
            ("Search the web for rust news", WebSearch),
            ("search for good restaurants", WebSearch),
            ("Can you search cheap flights", WebSearch),
            ("Look up the capital of Peru", WebSearch),
            ("Please look it up", WebSearch),
            ("Google the weather", WebSearch),
            ("Find the latest news on Mars", WebSearch),
            ("Ask the billing agent about my invoice", ExternalAgent),
            ("Delegate this to someone", ExternalAgent),
            ("Write a function that sorts a list", CodeGeneration),
            ("I need a Python script", CodeGeneration),
            ("Fix this code", CodeGeneration),
            ("Create a program that prints primes", CodeGeneration),
            ("Call the weather API", ToolExecution),
            ("Use the calculator tool", ToolExecution),
            ("Make an HTTP request to the status page", ToolExecution),
            ("Send a request to the service", ToolExecution),
            ("Hello", GeneralLlm),
            ("", GeneralLlm),
            ("What is the capital of Peru?", GeneralLlm),
        ];
        for (prompt, intent) in table {
            assert_eq!(of_rules(prompt).intent, intent, "{prompt}");
        }
    }

    #[test]
    fn a_query_is_told_from_a_question() {
        for query in ["SELECT name FROM plans", "```sql\nselect 1\nfrom x\n```", "WITH a AS (SELECT 1) SELECT * FROM a"]
        {
            assert!(is_query(query), "{query}");
        }
        assert!(!is_query("Select an offer from the list for me") || is_query("select an offer from x"));
        assert!(!is_query("What does SELECT .. FROM do?"));
        assert!(names_the_web("Look it up ONLINE") && !names_the_web("Look up the invoices"));
    }

    #[test]
    fn a_word_inside_a_word_or_out_of_place_is_no_sign() {
        let table = [
            "Good recall of facts",
            "Please update me",
            "Explain HTTP status 404",
            "Please select an answer",
            "What is a dress code?",
            "Research is fun",
            "My favourite television program",
            "The functional area grew",
            "She called yesterday",
            "I have a query about my bill",
            "decode the message of the poem",
            "the scripture says",
            "a capital letter",
            "How does binary search work?",
        ];
        for prompt in table {
            assert_eq!(of_rules(prompt).intent, Intent::GeneralLlm, "{prompt}");
        }
        assert!(of_rules("Please select an answer").confidence < of_rules("Good recall of facts").confidence);
    }

    proptest! {
        #[test]
        fn any_text_is_classified(text in ".{0,80}") {
            of_rules(&text);
        }
    }
}

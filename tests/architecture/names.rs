//! Names that were given up do not come back: each had a term that everybody knows.

use proc_macro2::{TokenStream, TokenTree};

use crate::none;
use crate::source::rust_files;

/// A name of an item, field or variable, and what it is called now. One that ends in `_` is the beginning of names.
const RETIRED: &[(&str, &str)] = &[
    ("MOST_", "MAX_"),
    ("LONGEST_", "MAX_"),
    ("DEEPEST_", "MAX_"),
    ("WIDEST_", "MAX_"),
    ("LARGEST_", "MAX_"),
    ("LOOKED_AT", "MAX_"),
    ("PATIENCE", "_TIMEOUT"),
    ("PATIENT", "_TIMEOUT"),
    ("SOON", "DEADLINE"),
    ("LIFETIME", "MAX_LIFETIME"),
    ("PoisonError", "parking_lot::Mutex"),
    ("asks_to_run", "nothing: the words of a prompt do not decide that code runs"),
    ("be_modest", "deprioritize"),
    ("carry_on", "run"),
    ("climbs", "has_dot_dot"),
    ("impose", "apply_limits"),
    ("keeps_to_its_server", "check_credential_origin"),
    ("key_leaves_home", "check_credential_origin"),
    ("last_words", "print_fatal"),
    ("names_a_secret", "is_credential_name"),
    ("obituary", "exit_report"),
    ("set_aside", "fail_over"),
    ("sign_of_life", "request_health"),
    ("stands_for", "embedded_addresses"),
    ("Begun", "AgentReply"),
    ("ChatCommand", "UserRequest"),
    ("Lax", "Lenient"),
    ("Queried", "QueryResponse"),
    ("StepLog", "ExecutionRecorder"),
    ("Verdict", "Classification, RetryDecision"),
];

/// A file or folder, without its extension, and what it is called now.
const RETIRED_FILES: &[(&str, &str)] = &[
    ("below", "join_url"),
    ("lax", "lenient"),
    ("offering", "tool_selection"),
    ("outside", "failover"),
    ("patience", "write_timeout"),
    ("wishes", "search_query"),
    ("wording", "text"),
];

#[test]
fn retired_names_do_not_come_back() {
    let mut wrong = Vec::new();
    for (path, text) in ["src", "tests", "benches"].into_iter().flat_map(rust_files) {
        let parts: Vec<_> = path.trim_end_matches(".rs").split('/').collect();
        for (old, new) in RETIRED_FILES.iter().filter(|(old, _)| parts.contains(old)) {
            wrong.push(format!("{path} is called {old}; the term is {new}"));
        }
        let mut words = Vec::new();
        identifiers(text.parse().unwrap(), &mut words);
        words.sort();
        words.dedup();
        for word in &words {
            let is = |old: &str| word == old || old.ends_with('_') && word.starts_with(old);
            if let Some((_, new)) = RETIRED.iter().find(|(old, _)| is(old)) {
                wrong.push(format!("{path} has {word}; the term is {new}"));
            }
        }
    }
    none(&wrong, "retired names");
}

fn identifiers(tokens: TokenStream, found: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(word) => found.push(word.to_string()),
            TokenTree::Group(group) => identifiers(group.stream(), found),
            _ => {}
        }
    }
}

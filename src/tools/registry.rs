use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::function::Described;
use super::{Function, Tool};
use crate::settings::Resource;

/// Longest name that chat completions allow.
const LONGEST_CALL_NAME: usize = 64;

/// The functions of one tool, before they have got names that models may use.
pub(super) fn one(tool: &Tool, described: Described) -> Function {
    let description = tool.effective.description().map(str::to_owned).filter(|text| !text.trim().is_empty());
    Function {
        name: tool.name.to_string(),
        call_name: String::new(),
        description: description.unwrap_or(described.description),
        parameters: described.parameters,
        tool: tool.clone(),
        remote: None,
    }
}

/// A function of an MCP server.
pub(super) fn remote(tool: &Tool, name: &str, described: Described) -> Function {
    Function {
        name: format!("{}__{name}", tool.name),
        call_name: String::new(),
        description: described.description,
        parameters: described.parameters,
        tool: tool.clone(),
        remote: Some(name.to_owned()),
    }
}

/// Gives every function a name that models may use. A name that has other letters, is too long or is taken gets a digest of
/// the whole name at its end, so that it stays the same from one request to the next.
pub(super) fn with_call_names(functions: Vec<Function>) -> Vec<Function> {
    let mut taken = HashSet::new();
    let name = |function: Function| {
        let mut call_name = plain(&function.name);
        let mut attempt = 0;
        while attempt == 0 && call_name != function.name || !taken.insert(call_name.clone()) {
            call_name = with_digest(&function.name, attempt);
            attempt += 1;
        }
        Function { call_name, ..function }
    };
    functions.into_iter().map(name).collect()
}

fn with_digest(name: &str, attempt: usize) -> String {
    let digest = Sha256::digest(format!("{name}{}", " ".repeat(attempt)));
    let digest: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let mut start = plain(name);
    start.truncate(LONGEST_CALL_NAME - digest.len() - 1);
    format!("{start}_{digest}")
}

fn plain(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    name.chars().map(allowed).take(LONGEST_CALL_NAME).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::settings::{Environment, load};

    fn function(name: &str) -> Function {
        let tools = json!({"a": {"type": "http_request"}}).to_string();
        let settings = load(Environment::from_pairs([("TOOLS", tools)])).unwrap().settings;
        let described = Described { description: "D".to_owned(), parameters: json!({}) };
        Function { name: name.to_owned(), ..one(&Arc::clone(settings.tools.get("a").unwrap()), described) }
    }

    fn names(of: &[&str]) -> Vec<String> {
        let functions = with_call_names(of.iter().map(|name| function(name)).collect());
        functions.into_iter().map(|function| function.call_name).collect()
    }

    #[test]
    fn plain_names_stay_and_others_get_one_that_does_not_depend_on_their_neighbours() {
        let three = names(&["weather", "Küche 7", "Kuche 7"]);
        assert_eq!(three[0], "weather");
        assert!(three[1].starts_with("K_che_7_") && three[2].starts_with("Kuche_7_"), "{three:?}");
        assert_eq!(names(&["Küche 7"])[0], three[1]);
        let copied = names(&[&three[1], "Küche 7"]);
        assert!(copied[0] == three[1] && copied[1] != three[1], "{copied:?}");
    }

    proptest! {
        #[test]
        fn every_name_is_one_that_models_may_use_and_no_two_are_alike(given in proptest::collection::hash_set(".{1,80}", 1..6)) {
            let given: Vec<_> = given.iter().map(String::as_str).collect();
            let named = names(&given);
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            prop_assert!(named.iter().all(|name| (1..=64).contains(&name.len()) && name.chars().all(allowed)), "{:?}", named);
            let distinct: std::collections::HashSet<_> = named.iter().collect();
            prop_assert_eq!(distinct.len(), given.len());
        }
    }
}

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::function::FunctionSpec;
use super::{Tool, ToolFunction};
use crate::kernel::{Error, FieldIssue, quoted};
use crate::settings::{Catalog, ToolSettings};

/// Longest name that chat completions allow.
const MAX_CALL_NAME_CHARS: usize = 64;
/// Digits at the end of a name that is not a function's own.
const DIGEST_CHARS: usize = 8;
/// What such a name keeps of the function's own.
const MAX_START_CHARS: usize = MAX_CALL_NAME_CHARS - DIGEST_CHARS - 1;

/// Names that an error lists at most.
const MAX_LISTED_NAMES: usize = 100;

/// Stands between the name of an MCP server and that of one of its tools.
const SEPARATOR: &str = "__";

/// The tool that a name means: the one of that name, or else the MCP server whose name it begins with, of several the one with the
/// longest, or else one that a model is told of under that name; and with a server, the name of its own tool.
pub fn resolve_name<'a>(tools: impl Iterator<Item = &'a Tool>, name: &'a str) -> Option<(&'a Tool, Option<&'a str>)> {
    let read = |tool: &'a Tool| {
        let by_name = by_name(tool, name).map(|member| (true, tool, member));
        by_name.or_else(|| by_call_name(tool, name).map(|member| (false, tool, member)))
    };
    let found = tools.filter_map(read).max_by_key(|(is_by_name, tool, _)| (*is_by_name, tool.name.as_str().len()));
    found.map(|(_, tool, member)| (tool, member))
}

fn by_name<'a>(tool: &Tool, name: &'a str) -> Option<Option<&'a str>> {
    match name.strip_prefix(tool.name.as_str())? {
        "" => Some(None),
        rest if tool.effective.is_mcp() => Some(Some(rest.strip_prefix(SEPARATOR)?)),
        _ => None,
    }
}

/// Which tool of a server is meant can't be read from such a name, so it is the whole.
fn by_call_name<'a>(tool: &Tool, name: &'a str) -> Option<Option<&'a str>> {
    if !tool.effective.is_mcp() {
        return (call_name(tool.name.as_str(), 0) == name).then_some(None);
    }
    let start = sanitize(&format!("{}{SEPARATOR}", tool.name), MAX_START_CHARS);
    name.starts_with(&start).then_some(Some(name))
}

/// [`resolve_name`], or the error that a caller reads.
pub(super) fn require<'a>(
    tools: &'a Catalog<ToolSettings>,
    name: &'a str,
) -> Result<(&'a Tool, Option<&'a str>), Error> {
    resolve_name(tools.iter(), name)
        .ok_or_else(|| not_found(name, "there are", tools.iter().map(|tool| tool.name.as_str())))
}

/// The function of this name.
pub(super) fn find_published(name: &str, functions: Vec<ToolFunction>) -> Result<ToolFunction, Error> {
    let found = functions.iter().find(|function| function.has_name(name)).cloned();
    found.ok_or_else(|| not_found(name, "its server has", functions.iter().map(|function| function.name.as_str())))
}

fn not_found<'a>(name: &str, what: &str, names: impl Iterator<Item = &'a str>) -> Error {
    let names: Vec<_> = names.take(MAX_LISTED_NAMES).collect();
    let names = if names.is_empty() { String::new() } else { format!("; {what}: {}", names.join(", ")) };
    Error::not_found(format!("Tool {} not found{names}", quoted(name)))
}

/// The function that is meant by the body's `tool`.
pub(super) fn choose_member(member: Option<&str>, functions: Vec<ToolFunction>) -> Result<ToolFunction, Error> {
    let names: Vec<_> = functions.iter().filter_map(|function| function.remote.clone()).collect();
    let is_meant = |function: &ToolFunction| {
        function.remote.as_deref() == member
            || function.remote.is_some() && member.is_some_and(|name| function.has_name(name))
    };
    let msg = match (member, names.is_empty()) {
        (None, false) => "Input should name one of the MCP server's tools",
        (Some(_), true) => "Input should be absent: the tool has only one function",
        _ => "Input should be one of the MCP server's tools",
    };
    functions.into_iter().find(is_meant).ok_or_else(|| {
        let loc = vec!["body".into(), "tool".into()];
        let msg = if names.is_empty() { msg.to_owned() } else { format!("{msg}: {}", names.join(", ")) };
        Error::invalid(vec![FieldIssue::new("value_error", loc, msg, member.into())])
    })
}

/// A function of a tool, or one of an MCP server's, before it has got a name that models may use.
pub(super) fn function(tool: &Tool, remote: Option<&str>, spec: FunctionSpec) -> ToolFunction {
    let name = match remote {
        Some(remote) => format!("{}{SEPARATOR}{remote}", tool.name),
        None => tool.name.to_string(),
    };
    let FunctionSpec { description, parameters, accepted } = spec;
    let (call_name, remote) = (String::new(), remote.map(str::to_owned));
    ToolFunction { name, call_name, description, parameters, accepted, tool: tool.clone(), remote }
}

/// Gives every function a name that models may use. A name that has other letters, is too long or is taken gets a digest of
/// the whole name at its end, so that it stays the same from one request to the next.
pub(super) fn with_call_names(functions: Vec<ToolFunction>) -> Vec<ToolFunction> {
    let mut taken = HashSet::new();
    let name = |function: ToolFunction| {
        let mut names = (0..).map(|attempt| call_name(&function.name, attempt));
        let call_name = names.find(|name| taken.insert(name.clone())).unwrap_or_default();
        ToolFunction { call_name, ..function }
    };
    functions.into_iter().map(name).collect()
}

/// The name that models use; another one with each attempt.
pub fn call_name(name: &str, attempt: usize) -> String {
    let plain = sanitize(name, MAX_CALL_NAME_CHARS);
    if attempt == 0 && plain == name {
        return plain;
    }
    let digest = Sha256::digest(format!("{name}{}", " ".repeat(attempt)));
    let digest: String = digest.iter().take(DIGEST_CHARS / 2).map(|byte| format!("{byte:02x}")).collect();
    format!("{}_{digest}", sanitize(name, MAX_START_CHARS))
}

fn sanitize(name: &str, max_chars: usize) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    name.chars().map(allowed).take(max_chars).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::settings::{Environment, load};

    fn function(name: &str) -> ToolFunction {
        let tools = json!({"a": {"type": "http_request"}}).to_string();
        let settings = load(Environment::from_pairs([("TOOLS", tools)])).unwrap().settings;
        let spec = FunctionSpec::new("D", json!({}));
        ToolFunction { name: name.to_owned(), ..super::function(settings.tools.get("a").unwrap(), None, spec) }
    }

    fn names(of: &[&str]) -> Vec<String> {
        let functions = with_call_names(of.iter().map(|name| function(name)).collect());
        functions.into_iter().map(|function| function.call_name).collect()
    }

    #[test]
    fn a_name_means_the_tool_of_that_name_or_else_a_tool_of_the_server_with_the_longest_fitting_name() {
        let tools = json!({
            "a": {"type": "mcp"}, "a__b": {"type": "mcp"}, "a__b__c": {"type": "http_request"}, "b": {"type": "http_request"},
            "a__b__d__e": {"type": "http_request"}, "Küche 7": {"type": "http_request"}, "my files": {"type": "mcp"},
        });
        let settings = load(Environment::from_pairs([("TOOLS", tools.to_string())])).unwrap().settings;
        let read = |name| {
            let (tool, member) = resolve_name(settings.tools.iter(), name)?;
            Some((tool.name.as_str(), member))
        };
        assert_eq!(read("a"), Some(("a", None)));
        assert_eq!(read("a__b"), Some(("a__b", None)));
        assert_eq!(read("a__c__b"), Some(("a", Some("c__b"))));
        assert_eq!(read("a__b__x__y"), Some(("a__b", Some("x__y"))));
        // A tool of that very name wins, one of another kind has no tools of its own, and a server's name may end in a line.
        assert_eq!(read("a__b__c"), Some(("a__b__c", None)));
        assert_eq!(read("a__b__c__d"), Some(("a__b", Some("c__d"))));
        assert_eq!(read("a___b"), Some(("a", Some("_b"))));
        // Models are told other names of some.
        let called = ["Küche 7", "my files__read it"].map(|name| call_name(name, 0));
        let tools = called.each_ref().map(|name| read(name).map(|(tool, _)| tool));
        assert_eq!(tools, [Some("Küche 7"), Some("my files")], "{called:?}");
        assert_eq!((read("b__x"), read("a_b"), read("ab__c"), read("c")), (None, None, None, None));
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

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::function::Described;
use super::{Function, Tool};

/// Longest name that chat completions allow.
const LONGEST_CALL_NAME: usize = 64;

/// The functions of one tool, before they have got names that models may use.
pub(super) fn one(tool: &Tool, described: Described) -> Function {
    let description = tool.effective.description.clone().filter(|text| !text.trim().is_empty());
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
        if call_name != function.name || !taken.insert(call_name.clone()) {
            let digest = Sha256::digest(&function.name);
            let digest: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            call_name.truncate(LONGEST_CALL_NAME - digest.len() - 1);
            call_name = format!("{call_name}_{digest}");
            taken.insert(call_name.clone());
        }
        Function { call_name, ..function }
    };
    functions.into_iter().map(name).collect()
}

fn plain(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    name.chars().map(allowed).take(LONGEST_CALL_NAME).collect()
}

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::listing::{MAX_TOOLS, ToolListing};
use crate::tools::function::FunctionSpec;

/// What the tools of a server were at first and last: one that describes a tool anew may mean to lead a model astray.
#[derive(Debug, Default)]
pub(super) struct ToolFingerprints(HashMap<String, (Fingerprint, Fingerprint)>);

type Fingerprint = [u8; 32];

impl ToolFingerprints {
    /// Compares a list with what is known, marks in it what has changed, and logs what is new about it.
    pub(super) fn compare(&mut self, server: &str, listed: &mut ToolListing) {
        let is_first = self.0.is_empty();
        for tool in &mut listed.tools {
            let now = fingerprint(&tool.spec);
            let Some((first, last)) = self.0.get_mut(&tool.name) else {
                self.0.insert(tool.name.clone(), (now, now));
                if !is_first {
                    tracing::info!(server, tool = %tool.name, "an MCP server has a new tool");
                }
                continue;
            };
            tool.changed = *first != now;
            if *last != now {
                *last = now;
                tracing::warn!(
                    server, tool = %tool.name,
                    "an MCP server has changed the description or schema of a tool; look at it and save the tool to accept it"
                );
            }
        }
        // A server that lists ever new names must not fill our memory.
        if self.0.len() > 2 * MAX_TOOLS {
            self.0.retain(|name, _| listed.tools.iter().any(|tool| tool.name == *name));
        }
    }
}

fn fingerprint(spec: &FunctionSpec) -> Fingerprint {
    let mut schema = spec.parameters.clone();
    schema.sort_all_objects();
    Sha256::digest(format!("{}\0{schema}", spec.description)).into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::super::listing::ListedTool;
    use super::*;

    fn listed(tools: &[(&str, &str, Value)]) -> ToolListing {
        let describe = |(name, description, parameters): &(&str, &str, Value)| ListedTool {
            name: (*name).to_owned(),
            spec: FunctionSpec::new(*description, parameters.clone()),
            changed: false,
        };
        ToolListing { tools: tools.iter().map(describe).collect(), skipped: Vec::new(), expires_at: Instant::now() }
    }

    fn changed(known: &mut ToolFingerprints, tools: &[(&str, &str, Value)]) -> Vec<bool> {
        let mut listed = listed(tools);
        known.compare("test", &mut listed);
        listed.tools.iter().map(|tool| tool.changed).collect()
    }

    #[test]
    fn a_tool_is_changed_until_it_is_again_what_it_was_first() {
        let mut known = ToolFingerprints::default();
        let schema = json!({"type": "object", "title": "A"});
        assert_eq!(changed(&mut known, &[("a", "adds", schema.clone())]), [false]);
        let reordered = json!({"title": "A", "type": "object"});
        assert_eq!(changed(&mut known, &[("a", "adds", reordered), ("b", "new", json!({}))]), [false, false]);
        assert_eq!(changed(&mut known, &[("a", "adds, and sends it to me", schema.clone())]), [true]);
        assert_eq!(changed(&mut known, &[("a", "adds, and sends it to me", schema.clone())]), [true]);
        assert_eq!(changed(&mut known, &[("a", "adds", json!({"type": "object"}))]), [true]);
        assert_eq!(changed(&mut known, &[("a", "adds", schema)]), [false]);
    }
}

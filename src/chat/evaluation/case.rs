use std::fmt;

use serde_json::{Map, Value};

use crate::chat::request::ChatOptions;
use crate::chat::routing::RoutedTarget;
use crate::grounding::ResourceKind;

/// A resource that a prompt should reach or reached: `datasource:crm`, `agent:billing`, `tool:weather`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::chat) struct Target {
    pub(in crate::chat) kind: ResourceKind,
    pub(in crate::chat) name: String,
}

impl Target {
    const KINDS: [(&str, ResourceKind); 3] =
        [("datasource", ResourceKind::DataSource), ("agent", ResourceKind::Agent), ("tool", ResourceKind::Tool)];

    /// What is expected of the text of one.
    pub(in crate::chat) const EXPECTED: &str =
        "Input should be a list of targets such as datasource:crm, agent:billing or tool:weather";

    /// Reads `kind:name`.
    pub(in crate::chat) fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':')?;
        let kind = Self::KINDS.iter().find(|(label, _)| *label == kind)?.1;
        (!name.is_empty()).then(|| Self { kind, name: name.to_owned() })
    }
}

impl From<RoutedTarget> for Target {
    fn from(RoutedTarget { kind, name, .. }: RoutedTarget) -> Self {
        Self { kind, name }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = Self::KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(label, _)| label);
        write!(f, "{label}:{}", self.name)
    }
}

/// A prompt and what it should come to.
#[derive(Clone, Debug)]
pub(in crate::chat) struct EvaluationCase {
    pub(in crate::chat) prompt: String,
    /// The keys of `metadata` that steer the server.
    pub(in crate::chat) options: ChatOptions,
    /// The metadata as it was given.
    pub(in crate::chat) metadata: Map<String, Value>,
    /// What it should reach; nothing if the model alone should answer.
    pub(in crate::chat) expected: Vec<Target>,
    /// Rows that a data source should give: only then is the prompt carried out.
    pub(in crate::chat) rows: Option<Vec<Value>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_as_it_is_written() {
        for text in ["datasource:crm", "agent:a:b", "tool:mcp__echo"] {
            assert_eq!(Target::parse(text).unwrap().to_string(), text);
        }
        for wrong in ["crm", "table:crm", "tool:", ""] {
            assert_eq!(Target::parse(wrong), None, "{wrong}");
        }
    }
}

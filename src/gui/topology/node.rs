use std::fmt;

use serde::Serialize;

/// The kinds of nodes that the page knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NodeType {
    Start,
    IntentRouter,
    Planner,
    LlmAgent,
    ToolExecutor,
    Grounding,
    MemoryStore,
    Audit,
    End,
}

/// A node of the graph. What there is one of has a plain id, what has a name one that begins with its sort: `tool:weather`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::gui) enum NodeId {
    Start,
    IntentRouter,
    Planner,
    Llm,
    Agent(String),
    DataSource(String),
    Tool(String),
    Conversations,
    Cache,
    Audit,
    End,
}

impl NodeId {
    /// Those with plain ids.
    const PLAIN: [(Self, &'static str); 8] = [
        (Self::Start, "start"),
        (Self::IntentRouter, "intent_router"),
        (Self::Planner, "planner"),
        (Self::Llm, "llm_agent"),
        (Self::Conversations, "memory_store"),
        (Self::Cache, "cache"),
        (Self::Audit, "audit"),
        (Self::End, "end"),
    ];

    /// The node of this id, if it is written as one.
    pub(super) fn parse(id: &str) -> Option<Self> {
        if let Some((node, _)) = Self::PLAIN.into_iter().find(|(_, plain)| *plain == id) {
            return Some(node);
        }
        let (sort, name) = id.split_once(':')?;
        match sort {
            "agent" => Some(Self::Agent(name.to_owned())),
            "datasource" => Some(Self::DataSource(name.to_owned())),
            "tool" => Some(Self::Tool(name.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(name) => write!(f, "agent:{name}"),
            Self::DataSource(name) => write!(f, "datasource:{name}"),
            Self::Tool(name) => write!(f, "tool:{name}"),
            plain => f.write_str(Self::PLAIN.iter().find(|(node, _)| node == plain).map_or("", |(_, id)| id)),
        }
    }
}

impl Serialize for NodeId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_the_node_that_it_names() {
        let named = ["agent:a:b", "datasource:crm", "tool:my tool"].map(str::to_owned);
        let plain = NodeId::PLAIN.map(|(node, _)| node.to_string());
        for id in named.into_iter().chain(plain) {
            assert_eq!(NodeId::parse(&id).map(|node| node.to_string()), Some(id));
        }
        assert_eq!((NodeId::parse("grounding"), NodeId::parse("model:x")), (None, None));
    }
}

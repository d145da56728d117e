use std::collections::HashMap;

use serde::Serialize;

use super::node::{NodeId, NodeType};
use crate::kernel::fit_chars;
use crate::outbound::BreakerState;
use crate::settings::{CatalogEntry, IntentClassifier, Resource, Settings};
use crate::storage::BackendStatus;

/// Agents, data sources and tools that are shown, of each.
const MAX_NODES_PER_SORT: usize = 100;
/// Longest description of a node, in characters.
const MAX_DESCRIPTION_CHARS: usize = 200;

/// How a node is, as far as is known without asking anybody. The page shows every word but `idle` as something wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NodeStatus {
    /// Nothing is known against it.
    Idle,
    /// Something else stands in for it.
    Degraded,
    Disabled,
    NotConfigured,
    /// It failed when it was asked last.
    Unhealthy,
}

/// A node as the page shows it.
#[derive(Clone, Debug, Serialize)]
pub(in crate::gui) struct GraphNode {
    pub(super) id: NodeId,
    #[serde(rename = "type")]
    pub(super) kind: NodeType,
    pub(super) label: String,
    pub(super) description: String,
    pub(super) status: NodeStatus,
}

/// Something goes from one node to another.
#[derive(Clone, Debug, Serialize)]
pub(in crate::gui) struct GraphEdge {
    pub(super) source: NodeId,
    pub(super) target: NodeId,
    pub(super) label: &'static str,
}

/// What is configured, and how a request goes through it.
#[derive(Clone, Debug)]
pub(in crate::gui) struct TopologyGraph {
    pub(in crate::gui) nodes: Vec<GraphNode>,
    pub(in crate::gui) edges: Vec<GraphEdge>,
    /// Agents, data sources and tools that are not shown, because there are too many.
    pub(in crate::gui) left_out: usize,
}

/// What is known of the parts without asking them.
#[derive(Debug, Default)]
pub(super) struct KnownHealth {
    /// What is wrong with the LLM.
    pub(super) llm_problem: Option<String>,
    /// In the order of the catalogs.
    pub(super) agents: Vec<BreakerState>,
    pub(super) datasources: Vec<BreakerState>,
    pub(super) redis: Option<BackendStatus>,
    pub(super) postgres: Option<BackendStatus>,
    /// Why the last test of a node failed.
    pub(super) failed_tests: HashMap<NodeId, String>,
}

impl TopologyGraph {
    /// The graph of these settings.
    pub(super) fn of(settings: &Settings, known: &KnownHealth) -> Self {
        let mut graph = Self { nodes: Vec::new(), edges: Vec::new(), left_out: 0 };
        graph.add_fixed(NodeId::Start, NodeType::Start, "Start", "A prompt comes in");
        graph.add_fixed(NodeId::IntentRouter, NodeType::IntentRouter, "Intent Router", router_description(settings));
        graph.add_fixed(NodeId::Planner, NodeType::Planner, "Planner", "Makes a plan of steps, and of who takes each");
        graph.connect(NodeId::Start, NodeId::IntentRouter, "prompt");
        graph.connect(NodeId::IntentRouter, NodeId::Planner, "intent");
        graph.add_resources(resources(settings, known));
        graph.nodes.push(llm_node(settings, known));
        graph.connect(NodeId::Planner, NodeId::Llm, "question");
        graph.add_stores(settings, known);
        graph.add_fixed(NodeId::End, NodeType::End, "End", "The answer goes out");
        graph.connect(NodeId::Audit, NodeId::End, "answer");
        graph.tell_failed_tests(&known.failed_tests);
        graph
    }

    /// Whether it shows this node.
    pub(super) fn has(&self, id: &NodeId) -> bool {
        self.nodes.iter().any(|node| node.id == *id)
    }

    fn add_fixed(&mut self, id: NodeId, kind: NodeType, label: &str, description: &str) {
        let (label, description) = (label.to_owned(), description.to_owned());
        self.nodes.push(GraphNode { id, kind, label, description, status: NodeStatus::Idle });
    }

    fn connect(&mut self, source: NodeId, target: NodeId, label: &'static str) {
        self.edges.push(GraphEdge { source, target, label });
    }

    fn add_resources(&mut self, sorts: [Vec<GraphNode>; 3]) {
        for mut nodes in sorts {
            self.left_out += nodes.len().saturating_sub(MAX_NODES_PER_SORT);
            nodes.truncate(MAX_NODES_PER_SORT);
            for node in nodes {
                if node.status != NodeStatus::Disabled {
                    self.connect(NodeId::Planner, node.id.clone(), "step");
                    self.connect(node.id.clone(), NodeId::Llm, "result");
                }
                self.nodes.push(node);
            }
        }
    }

    /// A test has asked, so what it found wins over what is known without asking.
    fn tell_failed_tests(&mut self, failed: &HashMap<NodeId, String>) {
        for node in &mut self.nodes {
            let is_in_use = !matches!(node.status, NodeStatus::Disabled | NodeStatus::NotConfigured);
            if let Some(reason) = failed.get(&node.id).filter(|_| is_in_use) {
                node.status = NodeStatus::Unhealthy;
                node.description = fit_chars(&format!("Its last test failed: {reason}"), MAX_DESCRIPTION_CHARS);
            }
        }
    }

    /// What is kept of an answer, and where.
    fn add_stores(&mut self, settings: &Settings, known: &KnownHealth) {
        let conversations =
            store_node(NodeId::Conversations, "Memory Store", "Conversations", settings.memory.enabled, &known.redis);
        let cache = store_node(NodeId::Cache, "Answer Cache", "Cached answers", settings.cache.enabled, &known.redis);
        let audit = store_node(NodeId::Audit, "Audit", "Records of executions", true, &known.postgres);
        for node in [&conversations, &cache].into_iter().filter(|node| node.status != NodeStatus::Disabled) {
            self.connect(NodeId::Llm, node.id.clone(), "answer");
            self.connect(node.id.clone(), NodeId::Audit, "kept");
        }
        self.connect(NodeId::Llm, NodeId::Audit, "answer");
        self.nodes.extend([conversations, cache, audit]);
    }
}

fn router_description(settings: &Settings) -> &'static str {
    match settings.orchestration.intent_classifier {
        IntentClassifier::Rules => "Words decide what a prompt asks for",
        IntentClassifier::Auto => "Words decide what a prompt asks for; the LLM where they are not clear",
        IntentClassifier::Llm => "The LLM decides what a prompt asks for",
    }
}

fn llm_node(settings: &Settings, known: &KnownHealth) -> GraphNode {
    let llm = settings.llm.written();
    let label = llm.default_model.clone().unwrap_or_else(|| "LLM".to_owned());
    let (status, description) = match (&llm.base_url, &known.llm_problem) {
        (None, _) => (NodeStatus::NotConfigured, "No LLM is configured".to_owned()),
        (Some(url), None) => (NodeStatus::Idle, format!("Writes the answer, at {url}")),
        (Some(_), Some(problem)) => (NodeStatus::Unhealthy, problem.clone()),
    };
    node(NodeId::Llm, NodeType::LlmAgent, &label, &description, status)
}

/// Agents, data sources and tools, each sort in the order of its catalog.
fn resources(settings: &Settings, known: &KnownHealth) -> [Vec<GraphNode>; 3] {
    let agents = settings.agents.iter().zip(or_unknown(&known.agents));
    let agents = agents.map(|(entry, breaker)| {
        let (id, about) = (NodeId::Agent(entry.name.to_string()), format!("Agent at {}", entry.written.url));
        let status = status_of(entry, breaker);
        resource_node(id, NodeType::LlmAgent, entry, &about, status)
    });
    let are_consulted = settings.orchestration.grounding_enabled;
    let datasources = settings.datasources.iter().zip(or_unknown(&known.datasources));
    let datasources = datasources.map(|(entry, breaker)| {
        let (id, about) = (NodeId::DataSource(entry.name.to_string()), format!("{} data source", entry.effective.kind));
        let status = if are_consulted { status_of(entry, breaker) } else { NodeStatus::Disabled };
        resource_node(id, NodeType::Grounding, entry, &about, status)
    });
    let tools = settings.tools.iter().map(|entry| {
        let (id, about) = (NodeId::Tool(entry.name.to_string()), format!("Tool of type {}", entry.effective.kind));
        let status = match status_of(entry, None) {
            NodeStatus::Idle if entry.effective.is_unsupported() => NodeStatus::Unhealthy,
            status => status,
        };
        resource_node(id, NodeType::ToolExecutor, entry, &about, status)
    });
    [agents.collect(), datasources.collect(), tools.collect()]
}

/// The states of all entries: a catalog may have grown since they were asked for.
fn or_unknown(states: &[BreakerState]) -> impl Iterator<Item = Option<BreakerState>> {
    states.iter().copied().map(Some).chain(std::iter::repeat(None))
}

fn status_of<T: Resource>(entry: &CatalogEntry<T>, breaker: Option<BreakerState>) -> NodeStatus {
    match breaker {
        _ if !entry.effective.enabled() => NodeStatus::Disabled,
        Some(BreakerState::Open | BreakerState::HalfOpen) => NodeStatus::Unhealthy,
        Some(BreakerState::Closed) | None => NodeStatus::Idle,
    }
}

fn resource_node<T: Resource>(
    id: NodeId,
    kind: NodeType,
    entry: &CatalogEntry<T>,
    about: &str,
    status: NodeStatus,
) -> GraphNode {
    let description = match (status, entry.effective.description()) {
        (NodeStatus::Unhealthy, _) => format!("{about}: it failed when it was used, or can't be used"),
        (_, Some(description)) => format!("{about}: {description}"),
        (_, None) => about.to_owned(),
    };
    node(id, kind, entry.name.as_str(), &description, status)
}

/// What is kept in a service, for which the embedded store stands in.
fn store_node(id: NodeId, label: &str, content: &str, is_enabled: bool, service: &Option<BackendStatus>) -> GraphNode {
    let name = if id == NodeId::Audit { "Postgres" } else { "Redis" };
    let kind = if id == NodeId::Audit { NodeType::Audit } else { NodeType::MemoryStore };
    let (status, place) = match service {
        _ if !is_enabled => (NodeStatus::Disabled, "are not kept".to_owned()),
        None => (NodeStatus::Idle, "are kept in the embedded store".to_owned()),
        Some(service) if service.connected => (NodeStatus::Idle, format!("are kept in {name}")),
        Some(_) => (NodeStatus::Degraded, format!("are kept in the embedded store until {name} returns")),
    };
    node(id, kind, label, &format!("{content} {place}"), status)
}

fn node(id: NodeId, kind: NodeType, label: &str, description: &str, status: NodeStatus) -> GraphNode {
    let description = fit_chars(description, MAX_DESCRIPTION_CHARS);
    GraphNode { id, kind, label: label.to_owned(), description, status }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::settings::{Environment, load};

    /// The settings with so many agents and tools, of which every third is disabled.
    fn settings(agents: usize, tools: usize, variables: &[(&str, &str)]) -> Settings {
        let entries = |count: usize, entry: Value| {
            let of = |n: usize| {
                let mut entry = entry.clone();
                entry["enabled"] = (!n.is_multiple_of(3)).into();
                (format!("r{n}"), entry)
            };
            Value::Object((0..count).map(of).collect::<Map<_, _>>()).to_string()
        };
        let agents = entries(agents, json!({"url": "http://127.0.0.1:9"}));
        let tools = entries(tools, json!({"type": "http_request", "config": {"base_url": "http://127.0.0.1:9"}}));
        let all = [("EXTERNAL_AGENTS", agents.as_str()), ("TOOLS", tools.as_str())];
        let all = all.into_iter().chain(variables.iter().copied());
        load(Environment::from_pairs(all)).unwrap().settings
    }

    fn status(graph: &TopologyGraph, id: &str) -> Option<NodeStatus> {
        graph.nodes.iter().find(|node| node.id.to_string() == id).map(|node| node.status)
    }

    #[test]
    fn a_node_is_as_it_is_known_to_be() {
        let variables = [("LLM_BASE_URL", "http://llm:1"), ("MEMORY_ENABLED", "false")];
        let settings = settings(3, 2, &variables);
        let known = KnownHealth {
            llm_problem: Some("LLM at llm:1 refused the connection".to_owned()),
            agents: vec![BreakerState::Closed, BreakerState::Open, BreakerState::Closed],
            ..KnownHealth::default()
        };
        let graph = TopologyGraph::of(&settings, &known);
        let expected = [
            ("llm_agent", NodeStatus::Unhealthy),
            ("agent:r0", NodeStatus::Disabled),
            ("agent:r1", NodeStatus::Unhealthy),
            ("agent:r2", NodeStatus::Idle),
            ("tool:r0", NodeStatus::Disabled),
            ("tool:r1", NodeStatus::Idle),
            ("memory_store", NodeStatus::Disabled),
            ("audit", NodeStatus::Idle),
        ];
        for (id, expected) in expected {
            assert_eq!(status(&graph, id), Some(expected), "{id}");
        }

        let failed = ["agent:r0", "agent:r2", "tool:r1"].map(|id| (NodeId::parse(id).unwrap(), "x".repeat(300)));
        let known = KnownHealth { failed_tests: HashMap::from(failed), ..KnownHealth::default() };
        let tested = TopologyGraph::of(&settings, &known);
        let seen = ["agent:r0", "agent:r1", "agent:r2", "tool:r1"].map(|id| status(&tested, id).unwrap());
        let unhealthy = NodeStatus::Unhealthy;
        assert_eq!(seen, [NodeStatus::Disabled, NodeStatus::Idle, unhealthy, unhealthy]);
        assert!(tested.nodes.iter().all(|node| node.description.chars().count() <= MAX_DESCRIPTION_CHARS));

        let nothing = TopologyGraph::of(&self::settings(0, 0, &[]), &KnownHealth::default());
        assert_eq!(status(&nothing, "llm_agent"), Some(NodeStatus::NotConfigured));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]

        #[test]
        fn edges_lead_from_node_to_node_and_from_start_to_end(agents in 0..130_usize, tools in 0..130_usize) {
            let graph = TopologyGraph::of(&settings(agents, tools, &[]), &KnownHealth::default());
            let ids: HashSet<_> = graph.nodes.iter().map(|node| node.id.clone()).collect();
            prop_assert_eq!(ids.len(), graph.nodes.len(), "an id names one node");
            prop_assert!(graph.edges.iter().all(|edge| ids.contains(&edge.source) && ids.contains(&edge.target)));
            prop_assert_eq!(graph.nodes.len() + graph.left_out, 8 + agents + tools);
            prop_assert!(graph.nodes.len() <= 8 + 3 * MAX_NODES_PER_SORT);
            let mut reached = HashSet::from([NodeId::Start]);
            for _ in 0..6 {
                let next: Vec<_> = graph.edges.iter().filter(|edge| reached.contains(&edge.source)).collect();
                reached.extend(next.into_iter().map(|edge| edge.target.clone()));
            }
            prop_assert!(reached.contains(&NodeId::End));
        }
    }
}

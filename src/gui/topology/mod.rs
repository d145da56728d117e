//! What is configured as a graph, and executions that run in the background for a page that follows them.
//!
//! `node` names nodes, `graph` draws them with what is known of each, `component` tests one, `failed_tests` keeps
//! which failed last, `runs` keeps what runs, `progress`
//! reads how far an execution is out of its record.

mod component;
mod failed_tests;
mod graph;
mod node;
mod progress;
mod runs;
mod service;
mod services;

pub(super) use component::ComponentTest;
pub(super) use graph::{GraphEdge, GraphNode, TopologyGraph};
pub(super) use node::NodeId;
pub(super) use progress::{RunLogLine, RunProgress};
pub use service::TopologyService;
pub use services::TopologyServices;

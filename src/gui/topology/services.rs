use std::collections::HashMap;
use std::sync::Arc;

use super::graph::{KnownHealth, TopologyGraph};
use super::node::NodeId;
use crate::agents::AgentService;
use crate::chat::ChatService;
use crate::datasources::DataSourceService;
use crate::llm::LlmService;
use crate::memory::MemoryService;
use crate::monitoring::MonitoringService;
use crate::settings::Settings;
use crate::storage::{ConfigService, Stores};
use crate::tools::ToolService;

/// What the page looks into. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TopologyServices {
    /// Carries prompts out.
    pub chat: Arc<ChatService>,
    /// Has the records of executions.
    pub stores: Stores,
    /// The LLM.
    pub llm: LlmService,
    /// Agents.
    pub agents: AgentService,
    /// Data sources.
    pub datasources: DataSourceService,
    /// Tools.
    pub tools: ToolService,
    /// Conversations.
    pub memory: MemoryService,
    /// Knows how the LLM was last.
    pub monitoring: MonitoringService,
}

impl TopologyServices {
    /// The settings as they are now.
    pub(super) fn settings(&self) -> Settings {
        self.llm.snapshot()
    }

    /// What is configured, and what is known of it, the tests that failed included.
    pub(super) fn graph(&self, settings: &Settings, failed_tests: HashMap<NodeId, String>) -> TopologyGraph {
        let known = KnownHealth {
            llm_problem: self.monitoring.known_llm_problem(settings),
            agents: self.agents.breakers(settings),
            datasources: self.datasources.breakers(settings),
            redis: self.stores.redis(),
            postgres: self.stores.postgres(),
            failed_tests,
        };
        TopologyGraph::of(settings, &known)
    }
}

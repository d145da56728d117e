use crate::agents::AgentService;
use crate::datasources::DataSourceService;
use crate::llm::LlmClient;
use crate::memory::{MemoryService, ResponseCache};
use crate::tools::ToolService;

/// The services that chat works with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChatServices {
    /// Answers, and writes queries.
    pub llm: LlmClient,
    /// Hands work over.
    pub agents: AgentService,
    /// Asks for data.
    pub datasources: DataSourceService,
    /// Do things.
    pub tools: ToolService,
    /// Remembers.
    pub memory: MemoryService,
    /// Keeps answers.
    pub cache: ResponseCache,
}

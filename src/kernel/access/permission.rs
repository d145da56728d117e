/// What an operation needs, as keys and tokens name it among their scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// `chat`
    Chat,
    /// `memory:own`
    MemoryOwn,
    /// `memory:all`
    MemoryAll,
    /// `executions:own`
    ExecutionsOwn,
    /// `executions:all`
    ExecutionsAll,
    /// `agents:read`
    AgentsRead,
    /// `agents:write`
    AgentsWrite,
    /// `agents:use`
    AgentsUse,
    /// `datasources:read`
    DataSourcesRead,
    /// `datasources:write`
    DataSourcesWrite,
    /// `datasources:use`
    DataSourcesUse,
    /// `tools:read`
    ToolsRead,
    /// `tools:write`
    ToolsWrite,
    /// `tools:use`
    ToolsUse,
    /// `llm:read`
    LlmRead,
    /// `llm:write`
    LlmWrite,
    /// `llm:use`
    LlmUse,
    /// `monitoring`
    Monitoring,
    /// `audit`
    Audit,
    /// `keys`
    Keys,
}

impl Permission {
    /// Every permission: its name on the wire, and what it is for.
    pub const ALL: [(Self, &'static str, &'static str); 20] = [
        (Self::Chat, "chat", "Ask, and get an answer"),
        (Self::MemoryOwn, "memory:own", "Read and clear one's own conversations"),
        (Self::MemoryAll, "memory:all", "Read, change and clear anybody's conversations, and speak for anybody"),
        (Self::ExecutionsOwn, "executions:own", "Read what the server did for oneself"),
        (Self::ExecutionsAll, "executions:all", "Read what the server did for anybody"),
        (Self::AgentsRead, "agents:read", "Read how agents are configured"),
        (Self::AgentsWrite, "agents:write", "Configure agents"),
        (Self::AgentsUse, "agents:use", "Call agents, in chat too"),
        (Self::DataSourcesRead, "datasources:read", "Read how data sources are configured, and their schemas"),
        (Self::DataSourcesWrite, "datasources:write", "Configure data sources and verified questions"),
        (Self::DataSourcesUse, "datasources:use", "Query data sources, in chat too"),
        (Self::ToolsRead, "tools:read", "Read how tools are configured"),
        (Self::ToolsWrite, "tools:write", "Configure tools"),
        (Self::ToolsUse, "tools:use", "Run tools, in chat too"),
        (Self::LlmRead, "llm:read", "Read how the LLM connection is configured"),
        (Self::LlmWrite, "llm:write", "Configure the LLM connection"),
        (Self::LlmUse, "llm:use", "Send prompts to the LLM directly"),
        (Self::Monitoring, "monitoring", "Read health, figures and the log"),
        (Self::Audit, "audit", "Read the audit log"),
        (Self::Keys, "keys", "Make, list and revoke API keys"),
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(known, ..)| *known == self).map_or("", |(_, name, _)| name)
    }

    /// The permission of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == name).map(|(permission, ..)| *permission)
    }

    /// What comes along with it: who may see everybody's may see their own, and who may configure may read.
    pub(super) fn implied(self) -> Option<Self> {
        match self {
            Self::MemoryAll => Some(Self::MemoryOwn),
            Self::ExecutionsAll => Some(Self::ExecutionsOwn),
            Self::AgentsWrite => Some(Self::AgentsRead),
            Self::DataSourcesWrite => Some(Self::DataSourcesRead),
            Self::ToolsWrite => Some(Self::ToolsRead),
            Self::LlmWrite => Some(Self::LlmRead),
            _ => None,
        }
    }

    /// The permission to use one resource is named by this and the resource: `tools.use:weather`.
    pub(super) fn of_named_use(prefix: &str) -> Option<Self> {
        match prefix {
            "agents.use" => Some(Self::AgentsUse),
            "datasources.use" => Some(Self::DataSourcesUse),
            "tools.use" => Some(Self::ToolsUse),
            _ => None,
        }
    }
}

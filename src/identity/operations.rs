use std::collections::HashMap;

use crate::kernel::{Caller, Permission};

/// Who may use an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationAccess {
    /// Anybody.
    Public,
    /// Whoever is recognised.
    Authenticated,
    /// Whoever has all of these permissions.
    Needs(&'static [Permission]),
    /// Whoever may use a resource of this sort; which one is for the operation to look at.
    Uses(Permission),
}

impl OperationAccess {
    /// What `caller` lacks; `None` if it may use the operation.
    pub fn lacking(self, caller: &Caller) -> Option<Permission> {
        match self {
            Self::Public | Self::Authenticated => None,
            Self::Needs(permissions) => permissions.iter().copied().find(|permission| !caller.may(*permission)),
            Self::Uses(permission) => (!caller.may_use_any(permission)).then_some(permission),
        }
    }

    /// The permissions that it needs, as scopes are written.
    pub fn scopes(self) -> Vec<&'static str> {
        match self {
            Self::Public | Self::Authenticated => Vec::new(),
            Self::Needs(permissions) => permissions.iter().map(|permission| permission.as_str()).collect(),
            Self::Uses(permission) => vec![permission.as_str()],
        }
    }
}

/// Operations whose reply may be a stream that pages read with an `EventSource`, which can't send headers: those take a ticket.
pub const STREAMS: [&str; 2] = ["list_execution_events", "monitoring_logs"];

/// What an operation of the API's document needs; `None` for one that is not in the table, which nobody may use.
pub fn access(operation: &str) -> Option<OperationAccess> {
    TABLE.iter().find(|(known, _)| *known == operation).map(|(_, access)| *access)
}

/// What the operations need, by method and path, for the layer that asks at each request.
#[derive(Debug, Default)]
pub struct OperationMap(HashMap<String, Vec<MappedOperation>>);

/// An operation at its path.
#[derive(Debug)]
pub struct MappedOperation {
    /// `GET`, `PUT`, ...
    pub method: &'static str,
    /// Its id in the API's document.
    pub id: String,
    /// Who may use it.
    pub access: OperationAccess,
}

impl OperationMap {
    /// Adds an operation under the pattern of its path. One that the table does not know needs what only administrators have.
    pub fn add(&mut self, path: &str, method: &'static str, id: &str) {
        let access = access(id).unwrap_or(UNKNOWN);
        self.0.entry(path.to_owned()).or_default().push(MappedOperation { method, id: id.to_owned(), access });
    }

    /// The operation of this method and pattern. HEAD is what GET is.
    pub fn find(&self, path: &str, method: &str) -> Option<&MappedOperation> {
        let method = if method == "HEAD" { "GET" } else { method };
        self.0.get(path)?.iter().find(|operation| operation.method == method)
    }
}

/// What nobody has said anything about is for administrators.
pub const UNKNOWN: OperationAccess = Needs(&[Keys]);

use OperationAccess::{Authenticated, Needs, Public, Uses};
use Permission::{
    AgentsRead, AgentsUse, AgentsWrite, Audit, Chat, DataSourcesRead, DataSourcesUse, DataSourcesWrite, ExecutionsAll,
    ExecutionsOwn, Keys, LlmRead, LlmUse, LlmWrite, MemoryAll, MemoryOwn, Monitoring, ToolsRead, ToolsUse, ToolsWrite,
};

/// What each operation needs, by its id in the API's document. The one place that says so.
const TABLE: &[(&str, OperationAccess)] = &[
    ("root", Public),
    ("health", Public),
    ("livez", Public),
    ("readyz", Public),
    ("create_token", Authenticated),
    ("create_ticket", Authenticated),
    ("auth_me", Authenticated),
    ("auth_usage", Authenticated),
    ("list_keys", Needs(&[Keys])),
    ("create_key", Needs(&[Keys])),
    ("revoke_key", Needs(&[Keys])),
    ("list_audit", Needs(&[Audit])),
    ("list_revisions", Needs(&[Audit])),
    ("get_revision", Needs(&[Audit])),
    ("diff_revision", Needs(&[Audit])),
    ("roll_back", Needs(&[AgentsWrite, DataSourcesWrite, ToolsWrite, LlmWrite])),
    ("get_llm_config", Needs(&[LlmRead])),
    ("put_llm_config", Needs(&[LlmWrite])),
    ("post_llm_config", Needs(&[LlmWrite])),
    ("delete_llm_config", Needs(&[LlmWrite])),
    ("llm_health", Needs(&[LlmRead])),
    ("list_llm_models", Needs(&[LlmRead])),
    ("test_llm", Needs(&[LlmUse])),
    ("list_agents", Needs(&[AgentsRead])),
    ("get_agent", Needs(&[AgentsRead])),
    ("create_agent", Needs(&[AgentsWrite])),
    ("update_agent", Needs(&[AgentsWrite])),
    ("delete_agent", Needs(&[AgentsWrite])),
    ("agents_health", Needs(&[AgentsRead])),
    ("test_agent", Needs(&[AgentsWrite])),
    ("call_agent", Uses(AgentsUse)),
    ("list_datasources", Needs(&[DataSourcesRead])),
    ("get_datasource", Needs(&[DataSourcesRead])),
    ("create_datasource", Needs(&[DataSourcesWrite])),
    ("update_datasource", Needs(&[DataSourcesWrite])),
    ("delete_datasource", Needs(&[DataSourcesWrite])),
    ("datasources_health", Needs(&[DataSourcesRead])),
    ("datasource_schema", Needs(&[DataSourcesRead])),
    ("datasource_tables", Needs(&[DataSourcesRead])),
    ("test_datasource", Needs(&[DataSourcesWrite])),
    ("query_datasource", Uses(DataSourcesUse)),
    ("list_verified", Needs(&[DataSourcesRead])),
    ("get_verified", Needs(&[DataSourcesRead])),
    ("create_verified", Needs(&[DataSourcesWrite])),
    ("update_verified", Needs(&[DataSourcesWrite])),
    ("replace_verified", Needs(&[DataSourcesWrite])),
    ("delete_verified", Needs(&[DataSourcesWrite])),
    ("delete_all_verified", Needs(&[DataSourcesWrite])),
    ("list_tools", Needs(&[ToolsRead])),
    ("get_tool", Needs(&[ToolsRead])),
    ("create_tool", Needs(&[ToolsWrite])),
    ("update_tool", Needs(&[ToolsWrite])),
    ("delete_tool", Needs(&[ToolsWrite])),
    ("test_tool", Needs(&[ToolsWrite])),
    ("tool_schemas", Needs(&[ToolsRead])),
    ("tool_types", Needs(&[ToolsRead])),
    ("execute_tool", Uses(ToolsUse)),
    ("get_memory_config", Needs(&[MemoryOwn])),
    ("memory_health", Needs(&[Monitoring])),
    ("get_history", Needs(&[MemoryOwn])),
    ("get_context", Needs(&[MemoryOwn])),
    ("get_summary", Needs(&[MemoryOwn])),
    ("get_memory_stats", Needs(&[MemoryOwn])),
    ("add_message", Needs(&[MemoryOwn])),
    ("clear_memory", Needs(&[MemoryOwn])),
    ("memory_totals", Needs(&[Monitoring])),
    ("clear_all_memory", Needs(&[MemoryAll])),
    ("clear_memory_of_clear", Needs(&[MemoryAll])),
    ("clear_memory_of_stats", Needs(&[MemoryAll])),
    ("monitoring_connectivity", Needs(&[Monitoring])),
    ("monitoring_health", Needs(&[Monitoring])),
    ("monitoring_logs", Needs(&[Monitoring])),
    ("monitoring_metrics", Needs(&[Monitoring])),
    ("monitoring_status", Needs(&[Monitoring])),
    ("chat", Needs(&[Chat])),
    ("chat_health", Authenticated),
    ("evaluate_routing", Needs(&[Chat, Monitoring])),
    ("list_executions", Needs(&[ExecutionsOwn])),
    ("get_execution", Needs(&[ExecutionsOwn])),
    ("list_execution_events", Needs(&[ExecutionsOwn])),
    ("verify_step", Needs(&[ExecutionsOwn, DataSourcesWrite])),
    // What the existing GUI calls beyond that.
    ("show_certificates", Needs(&[LlmRead])),
    ("list_credentials", Needs(&[LlmRead])),
    ("page_timeouts", Authenticated),
    ("list_llm_connections", Needs(&[LlmRead])),
    ("save_llm_connection", Needs(&[LlmWrite])),
    ("delete_llm_connection", Needs(&[LlmWrite])),
    ("llm_connection_models", Needs(&[LlmRead])),
    ("test_llm_connection", Needs(&[LlmUse])),
    ("list_planners", Authenticated),
    ("get_planner", Authenticated),
    ("test_planner", Needs(&[Chat, Monitoring])),
    ("list_routers", Authenticated),
    ("get_router", Authenticated),
    ("test_router", Needs(&[Chat, Monitoring])),
    ("list_chat_page_conversations", Needs(&[Chat])),
    ("create_chat_page_conversation", Needs(&[Chat])),
    ("get_chat_page_conversation", Needs(&[Chat])),
    ("delete_chat_page_conversation", Needs(&[Chat])),
    ("send_chat_page_message", Needs(&[Chat])),
    ("stream_chat_page_message", Needs(&[Chat])),
    ("chat_page_metrics", Needs(&[Monitoring])),
    ("chat_page_models", Needs(&[Chat])),
    ("chat_page_profiles", Needs(&[Chat])),
    ("list_prompt_profiles", Needs(&[Chat])),
    ("put_prompt_profile", Needs(&[LlmWrite])),
    ("topology_graph", Needs(&[AgentsRead, DataSourcesRead, ToolsRead, LlmRead])),
    ("execute_topology", Needs(&[Chat, ExecutionsAll])),
    ("topology_execution", Needs(&[ExecutionsAll])),
    ("stop_topology_execution", Needs(&[ExecutionsAll])),
    ("test_topology_component", Needs(&[AgentsWrite, DataSourcesWrite, ToolsWrite, LlmWrite])),
];

use super::error::McpError;
use crate::kernel::Redaction;
use crate::outbound::HttpClient;
use crate::settings::{Environment, McpOptions, McpTransport};
use crate::tools::context::ToolContext;

/// What it takes to connect to a server.
#[derive(Clone)]
pub(super) struct McpTarget {
    pub(super) name: String,
    pub(super) transport: McpTransport,
    pub(super) redaction: Redaction,
    pub(super) http: HttpClient,
    pub(super) environment: Environment,
}

impl McpTarget {
    /// The server of a tool, if the operator allows it.
    pub(super) fn of(
        context: ToolContext<'_>,
        options: &McpOptions,
        environment: &Environment,
    ) -> Result<Self, McpError> {
        let ToolContext { tool, policy, http, .. } = context;
        let transport = options.transport.clone();
        let transport = transport.ok_or_else(|| McpError::other("has neither 'url' nor 'command' in its config"))?;
        if let McpTransport::Stdio { command, .. } = &transport
            && !policy.mcp_stdio_commands.contains(command)
        {
            return Err(McpError::CommandNotAllowed(command.clone()));
        }
        let (http, environment) = (http.clone(), environment.clone());
        let (name, redaction) = (tool.name.to_string(), tool.redaction().clone());
        Ok(Self { name, transport, redaction, http, environment })
    }
}

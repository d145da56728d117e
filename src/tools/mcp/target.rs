use std::time::Duration;

use super::error::McpError;
use crate::kernel::Redaction;
use crate::outbound::HttpClient;
use crate::settings::{Environment, McpOptions, McpTransport};
use crate::tools::context::ToolContext;

/// What a start gets at least, however short calls are to be: who calls meanwhile waits for it no longer than for a call.
const MIN_START_TIMEOUT: Duration = Duration::from_secs(30);
/// Bounds of the wait for an answer to a question that servers of before 2026-07-28 may never answer: a third of a call.
const MIN_PROBE_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// What it takes to connect to a server.
#[derive(Clone)]
pub(super) struct McpTarget {
    pub(super) name: String,
    pub(super) transport: McpTransport,
    pub(super) redaction: Redaction,
    pub(super) http: HttpClient,
    pub(super) environment: Environment,
    /// Longest time that a connection may take to come about.
    pub(super) start_timeout: Duration,
    /// How long a server gets to say that it speaks the newest revision.
    pub(super) probe_timeout: Duration,
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
        let transport =
            transport.ok_or_else(|| McpError::Other("has neither 'url' nor 'command' in its config".to_owned()))?;
        if let McpTransport::Stdio { command, .. } = &transport
            && !policy.mcp_stdio_commands.contains(command)
        {
            return Err(McpError::CommandNotAllowed(command.clone()));
        }
        let (http, environment) = (http.clone(), environment.clone());
        let (name, redaction) = (tool.name.to_string(), tool.redaction().clone());
        let call_timeout = options.timeout.unwrap_or(policy.timeout);
        let start_timeout = call_timeout.max(MIN_START_TIMEOUT);
        let probe_timeout = (call_timeout / 3).clamp(MIN_PROBE_TIMEOUT, MAX_PROBE_TIMEOUT);
        Ok(Self { name, transport, redaction, http, environment, start_timeout, probe_timeout })
    }
}

use std::time::Duration;

use crate::kernel::Fields;

/// What the operator allows tools, whatever their own configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolPolicy {
    /// `TOOLS_EXECUTION_TIMEOUT`: limit for one execution of a tool that names none of its own.
    pub timeout: Duration,
    /// `TOOLS_MAX_CONCURRENT`: how many tools run at once in the whole process, and how many tasks of one request.
    pub max_concurrent: usize,
    /// `ALLOW_UNSANDBOXED_CODE`: whether a tool may run code without a sandbox.
    pub allow_unsandboxed_code: bool,
    /// `MCP_STDIO_COMMANDS`: the programs that a tool may start as MCP servers.
    pub mcp_stdio_commands: Vec<String>,
}

impl ToolPolicy {
    pub(super) fn read(env: &mut Fields<'_>) -> Self {
        Self {
            timeout: env.seconds_or("TOOLS_EXECUTION_TIMEOUT", 30, 1..=3600),
            max_concurrent: env.count_or("TOOLS_MAX_CONCURRENT", 5, 1..=1000),
            allow_unsandboxed_code: env.or("ALLOW_UNSANDBOXED_CODE", false),
            mcp_stdio_commands: env.or("MCP_STDIO_COMMANDS", Vec::new()),
        }
    }
}

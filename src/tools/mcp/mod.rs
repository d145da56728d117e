//! MCP servers as tools: each of a server's tools is a function `name__tool`. The protocol is the official SDK's, `rmcp`,
//! in its newest revision and in those before.
//!
//! Called by `runtime`. [`McpClient`] lists, calls and tests; `pool` keeps one connection for each tool as it was saved, and
//! `backoff` leaves a server alone that can't be connected to; `connection` opens, shares and ends one, over `http` (our own HTTP
//! client) or `stdio` (a process); `listing` reads a server's tools and notices changes; `output` reads what a call gave;
//! `error` says what went wrong. To add a transport: a variant of `settings::McpTransport` and its arm in `McpConnection`.

mod backoff;
mod connection;
mod error;
mod http;
mod listing;
mod output;
mod pool;
mod stdio;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use super::Tool;
use super::check::{ToolCheck, ToolCheckStatus};
use super::function::ToolFunction;
use super::naming;
use super::result::ToolResult;
use crate::kernel::Deadline;
use crate::outbound::{CallError, HttpClient};
use crate::settings::{Environment, McpOptions, McpTransport, ToolPolicy};
use connection::{McpConnection, McpTarget};
use error::McpError;
use listing::ToolListing;
use output::ServerInfo;
use pool::{McpServer, ServerPool};

/// Longest wait for connections to end at shutdown.
const CLOSE_ALL_TIMEOUT: Duration = Duration::from_secs(6);

/// Speaks to MCP servers and keeps the connections to them. Cheap to clone.
#[derive(Clone)]
pub(super) struct McpClient(Arc<McpClientInner>);

struct McpClientInner {
    http: HttpClient,
    environment: Environment,
    servers: ServerPool,
    tasks: TaskTracker,
}

impl fmt::Debug for McpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("McpClient")
    }
}

impl McpClient {
    /// A client that reaches servers over HTTP through `http`; processes find their way by `environment`.
    pub(super) fn new(http: HttpClient, environment: &Environment) -> Self {
        let (environment, servers, tasks) = (environment.clone(), ServerPool::default(), TaskTracker::new());
        Self(Arc::new(McpClientInner { http, environment, servers, tasks }))
    }

    /// The functions of a server, those that are excluded left out; the error is a full sentence.
    pub(super) async fn functions(
        &self,
        tool: &Tool,
        options: &McpOptions,
        rules: &ToolPolicy,
        deadline: Deadline,
    ) -> Result<Vec<ToolFunction>, String> {
        let target = self.target(tool, options, rules);
        let listing = async { self.listed(tool, &target?, options).await };
        match timeout_at(deadline.instant(), listing).await.unwrap_or(Err(McpError::Call(CallError::Timeout))) {
            Ok(listed) => {
                let function = |offer: listing::ListedTool| naming::remote(tool, &offer.name, offer.spec);
                Ok(listed.tools.into_iter().map(function).collect())
            }
            Err(failure) => Err(tool.redaction().text(&sentence(tool, &failure))),
        }
    }

    /// Calls a function with arguments that fit its schema.
    pub(super) async fn execute(
        &self,
        tool: &Tool,
        options: &McpOptions,
        rules: &ToolPolicy,
        function: &str,
        arguments: &Map<String, Value>,
        deadline: Deadline,
    ) -> ToolResult {
        let target = self.target(tool, options, rules);
        let server = self.0.servers.get_or_insert(tool);
        let calling = async {
            let connection = self.connection(&server, &target?).await?;
            let answer = connection.call(function, arguments).await.inspect_err(|failure| {
                // Whether the call was carried out is not known, so it is not repeated; the next one connects anew.
                if !matches!(failure, McpError::ErrorReply(_)) {
                    connection.close();
                }
            })?;
            Ok((answer, connection.server()))
        };
        let called = timeout_at(deadline.instant(), calling).await.unwrap_or(Err(McpError::Call(CallError::Timeout)));
        let result = match called {
            Ok((answer, server)) => {
                let result = output::result(answer, &who(tool)).with("tool", function);
                return match server {
                    Some(server) => result
                        .with("server", ServerInfo::of(&server))
                        .with("protocol_version", server.protocol_version.as_str()),
                    None => result,
                };
            }
            Err(failure) if failure.is_timeout() => ToolResult::timeout(sentence(tool, &failure)),
            Err(failure @ McpError::ErrorReply(_)) => ToolResult::failure(sentence(tool, &failure)),
            Err(failure) => ToolResult::error(sentence(tool, &failure)),
        };
        result.with("tool", function)
    }

    /// Connects anew and lists the server's tools.
    pub(super) async fn check(
        &self,
        tool: &Tool,
        options: &McpOptions,
        rules: &ToolPolicy,
        deadline: Deadline,
    ) -> ToolCheck {
        let Some(transport) = &options.transport else {
            let what = "needs 'url' (streamable HTTP) or 'command' (a program that speaks MCP) in its config";
            return ToolCheck::incomplete(format!("Tool '{}' {what}", tool.name));
        };
        let limit = deadline.remaining().as_secs_f64().round();
        let target = self.target(tool, options, rules);
        let server = self.0.servers.get_or_insert(tool);
        // Somebody is at work on it.
        server.backoff().allow_now();
        let checking = async {
            let target = target?;
            let connection =
                McpConnection::open(target.clone(), self.0.tasks.clone(), server.end.child_token()).await?;
            server.backoff().record(false, Instant::now());
            let listed = connection.list(&target, options, &server.fingerprints).await?;
            Ok((listed, connection.server()))
        };
        let checked = timeout_at(deadline.instant(), checking).await.unwrap_or(Err(McpError::Call(CallError::Timeout)));
        let check = match checked {
            Ok((listed, info)) => {
                server.refresh();
                let check = passed(&listed);
                let version = info.as_ref().map(|info| info.protocol_version.to_string());
                check.with("server", info.and_then(|info| ServerInfo::of(&info))).with("protocol_version", version)
            }
            Err(failure) => failed(tool, &failure, limit),
        };
        let transport = if matches!(transport, McpTransport::Http { .. }) { "streamable_http" } else { "stdio" };
        check.with("transport", transport)
    }

    /// Lets go of what is kept for a tool of this name, which is no more. Calls that are under way come to their end.
    pub(super) fn forget(&self, name: &str) {
        self.0.servers.forget(name);
    }

    /// Ends all connections and the processes behind them.
    pub(super) async fn close(&self) {
        self.0.tasks.close();
        self.0.servers.close();
        if timeout(CLOSE_ALL_TIMEOUT, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some connections to MCP servers did not end in time");
        }
    }

    fn target(&self, tool: &Tool, options: &McpOptions, rules: &ToolPolicy) -> Result<McpTarget, McpError> {
        let transport = options.transport.clone();
        let transport = transport.ok_or_else(|| McpError::other("has neither 'url' nor 'command' in its config"))?;
        if let McpTransport::Stdio { command, .. } = &transport
            && !rules.mcp_stdio_commands.contains(command)
        {
            return Err(McpError::CommandNotAllowed(command.clone()));
        }
        let (http, environment) = (self.0.http.clone(), self.0.environment.clone());
        let (name, redaction) = (tool.name.to_string(), tool.redaction().clone());
        Ok(McpTarget { name, transport, redaction, http, environment })
    }

    async fn connection(&self, server: &McpServer, target: &McpTarget) -> Result<Arc<McpConnection>, McpError> {
        if self.0.tasks.is_closed() {
            return Err(McpError::other("is not connected to: this server is stopping"));
        }
        server.connect(target, &self.0.tasks).await
    }

    async fn listed(&self, tool: &Tool, target: &McpTarget, options: &McpOptions) -> Result<ToolListing, McpError> {
        let server = self.0.servers.get_or_insert(tool);
        let connection = self.connection(&server, target).await?;
        match connection.list(target, options, &server.fingerprints).await {
            // It may be the connection's fault; a list can be asked for twice.
            Err(failure) if !failure.is_timeout() && !matches!(failure, McpError::ErrorReply(_)) => {
                connection.close();
                let connection = self.connection(&server, target).await?;
                connection.list(target, options, &server.fingerprints).await
            }
            listed => listed,
        }
    }
}

fn who(tool: &Tool) -> String {
    format!("MCP server '{}'", tool.name)
}

fn sentence(tool: &Tool, failure: &McpError) -> String {
    format!("{} {failure}", who(tool))
}

fn passed(listed: &ToolListing) -> ToolCheck {
    let tools = listed.summaries();
    let count = if let [_] = *tools { "1 tool".to_owned() } else { format!("{} tools", tools.len()) };
    let check = ToolCheck::passed(ToolCheckStatus::Reachable, format!("MCP server answered with {count}"));
    let check = check.with("tools", tools);
    if listed.skipped.is_empty() { check } else { check.with("skipped", &listed.skipped) }
}

fn failed(tool: &Tool, failure: &McpError, limit: f64) -> ToolCheck {
    let sentence = sentence(tool, failure);
    match failure {
        McpError::Call(error) => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number of seconds")]
            let seconds = limit as u64;
            ToolCheck::unreachable(error, seconds)
        }
        McpError::CommandNotAllowed(_) => {
            ToolCheck { tested: false, ..ToolCheck::failed(ToolCheckStatus::Failed, "Command not allowed", sentence) }
        }
        McpError::Status(status) => {
            ToolCheck::failed(ToolCheckStatus::Failed, format!("HTTP {status}"), sentence).with("status_code", *status)
        }
        _ => ToolCheck::failed(ToolCheckStatus::Error, "No connection", sentence),
    }
}

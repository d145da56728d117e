//! MCP servers as tools: each of a server's tools is a function `name__tool`. The protocol is the official SDK's, `rmcp`,
//! in its newest revision and in those before.
//!
//! Called by `runtime`. [`McpClient`] lists, calls and tests; `servers` keeps one connection for each tool as it was saved, and
//! `rest` leaves a server alone that can't be connected to; `connection` opens, shares and ends one, over `http` (our own HTTP
//! client) or `stdio` (a process); `listing` reads a server's tools and notices changes; `output` reads what a call gave;
//! `failure` says what went wrong. To add a transport: a variant of `settings::McpTransport` and its arm in `Connection`.

mod connection;
mod failure;
mod http;
mod listing;
mod output;
mod rest;
mod servers;
mod stdio;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use super::Tool;
use super::check::Check;
use super::function::Function;
use super::registry;
use super::result::ToolResult;
use crate::kernel::Deadline;
use crate::outbound::{CallError, HttpClient};
use crate::settings::{Environment, McpOptions, McpTransport, ToolPolicy};
use connection::{Connection, Target};
use failure::Failure;
use listing::Listed;
use servers::{Server, Servers};

/// Longest wait for connections to end at shutdown.
const LONGEST_CLOSING: Duration = Duration::from_secs(6);

/// Speaks to MCP servers and keeps the connections to them. Cheap to clone.
#[derive(Clone)]
pub(super) struct McpClient(Arc<Inner>);

struct Inner {
    http: HttpClient,
    environment: Environment,
    servers: Servers,
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
        let (environment, servers, tasks) = (environment.clone(), Servers::default(), TaskTracker::new());
        Self(Arc::new(Inner { http, environment, servers, tasks }))
    }

    /// The functions of a server, those that are excluded left out; the error is a full sentence.
    pub(super) async fn functions(
        &self,
        tool: &Tool,
        options: &McpOptions,
        rules: &ToolPolicy,
        deadline: Deadline,
    ) -> Result<Vec<Function>, String> {
        let target = self.target(tool, options, rules);
        let listing = async { self.listed(tool, &target?, options).await };
        match timeout_at(deadline.instant(), listing).await.unwrap_or(Err(Failure::Call(CallError::Timeout))) {
            Ok(listed) => {
                let function = |offer: listing::Offer| registry::remote(tool, &offer.name, offer.described);
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
        let server = self.0.servers.of(tool);
        let calling = async {
            let connection = self.connection(&server, &target?).await?;
            let answer = connection.call(function, arguments).await.inspect_err(|failure| {
                // Whether the call was carried out is not known, so it is not repeated; the next one connects anew.
                if !matches!(failure, Failure::Answer(_)) {
                    connection.close();
                }
            })?;
            Ok((answer, connection.server()))
        };
        let called = timeout_at(deadline.instant(), calling).await.unwrap_or(Err(Failure::Call(CallError::Timeout)));
        let result = match called {
            Ok((answer, server)) => {
                let result = output::result(answer, &who(tool)).with("tool", function);
                return match server {
                    Some(server) => result
                        .with("server", output::server(&server))
                        .with("protocol_version", server.protocol_version.as_str()),
                    None => result,
                };
            }
            Err(failure) if failure.is_timeout() => ToolResult::timeout(sentence(tool, &failure)),
            Err(failure @ Failure::Answer(_)) => ToolResult::failure(sentence(tool, &failure)),
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
    ) -> Check {
        let Some(transport) = &options.transport else {
            let what = "needs 'url' (streamable HTTP) or 'command' (a program that speaks MCP) in its config";
            return Check::incomplete(format!("Tool '{}' {what}", tool.name));
        };
        let limit = deadline.remaining().as_secs_f64().round();
        let target = self.target(tool, options, rules);
        let server = self.0.servers.of(tool);
        // Somebody is at work on it.
        server.rest().interrupt();
        let checking = async {
            let target = target?;
            let connection = Connection::open(target.clone(), self.0.tasks.clone(), server.end.child_token()).await?;
            server.rest().note(false, Instant::now());
            let listed = connection.list(&target, options, &server.known).await?;
            Ok((listed, connection.server()))
        };
        let checked = timeout_at(deadline.instant(), checking).await.unwrap_or(Err(Failure::Call(CallError::Timeout)));
        let check = match checked {
            Ok((listed, info)) => {
                server.refresh();
                let check = passed(&listed);
                let version = info.as_ref().map(|info| info.protocol_version.to_string());
                check
                    .with("server", info.map_or(Value::Null, |info| output::server(&info)))
                    .with("protocol_version", version)
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
        if timeout(LONGEST_CLOSING, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some connections to MCP servers did not end in time");
        }
    }

    fn target(&self, tool: &Tool, options: &McpOptions, rules: &ToolPolicy) -> Result<Target, Failure> {
        let transport = options.transport.clone();
        let transport = transport.ok_or_else(|| Failure::other("has neither 'url' nor 'command' in its config"))?;
        if let McpTransport::Stdio { command, .. } = &transport
            && !rules.mcp_stdio_commands.contains(command)
        {
            return Err(Failure::Forbidden(command.clone()));
        }
        let (http, environment) = (self.0.http.clone(), self.0.environment.clone());
        let (name, redaction) = (tool.name.to_string(), tool.redaction().clone());
        Ok(Target { name, transport, redaction, http, environment })
    }

    async fn connection(&self, server: &Server, target: &Target) -> Result<Arc<Connection>, Failure> {
        if self.0.tasks.is_closed() {
            return Err(Failure::other("is not connected to: this server is stopping"));
        }
        server.opening(target, &self.0.tasks).await
    }

    async fn listed(&self, tool: &Tool, target: &Target, options: &McpOptions) -> Result<Listed, Failure> {
        let server = self.0.servers.of(tool);
        let connection = self.connection(&server, target).await?;
        match connection.list(target, options, &server.known).await {
            // It may be the connection's fault; a list can be asked for twice.
            Err(failure) if !failure.is_timeout() && !matches!(failure, Failure::Answer(_)) => {
                connection.close();
                let connection = self.connection(&server, target).await?;
                connection.list(target, options, &server.known).await
            }
            listed => listed,
        }
    }
}

fn who(tool: &Tool) -> String {
    format!("MCP server '{}'", tool.name)
}

fn sentence(tool: &Tool, failure: &Failure) -> String {
    format!("{} {failure}", who(tool))
}

fn passed(listed: &Listed) -> Check {
    let tools = listed.details();
    let count = if let [_] = *tools { "1 tool".to_owned() } else { format!("{} tools", tools.len()) };
    let check = Check::passed("reachable", format!("MCP server answered with {count}")).with("tools", tools);
    match listed.problems() {
        problems if problems.is_empty() => check,
        problems => check.with("skipped", problems),
    }
}

fn failed(tool: &Tool, failure: &Failure, limit: f64) -> Check {
    let sentence = sentence(tool, failure);
    match failure {
        Failure::Call(error) => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number of seconds")]
            let seconds = limit as u64;
            Check::unreachable(error, seconds)
        }
        Failure::Forbidden(_) => Check { tested: false, ..Check::failed("failed", "Command not allowed", sentence) },
        Failure::Status(status) => {
            Check::failed("failed", format!("HTTP {status}"), sentence).with("status_code", *status)
        }
        _ => Check::failed("error", "No connection", sentence),
    }
}

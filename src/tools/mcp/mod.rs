//! MCP servers as tools: each of a server's tools is a function `name__tool`. The protocol is the official SDK's, `rmcp`,
//! in its newest revision and in those before.
//!
//! Called by `runtime`. [`McpClient`] lists, calls and tests; `target` is what it takes to connect; `pool` keeps one connection
//! for each tool as it was saved, and `backoff` leaves a server alone that can't be connected to; `connection` opens, shares and
//! ends one, over `http` (our own HTTP client) or `stdio` (a process, with `message_lines` of its output and `process_log` of the rest),
//! `handshake` begins it, and `usage` knows when it is idle; `repair` mends a server's messages before the SDK reads them, and
//! `input_schema` the schemas in them; `listing` reads a server's tools, and `fingerprints` notices changes; `output` reads what a call
//! gave; `error` says what went wrong. To add a transport: a variant of `settings::McpTransport` and its arm in `McpConnection`.

mod backoff;
mod connection;
mod error;
mod fingerprints;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod handshake;
mod http;
mod input_schema;
mod listing;
mod message_lines;
mod output;
mod pool;
mod process_log;
mod repair;
mod stdio;
mod target;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

use super::check::{ToolCheck, ToolCheckStatus};
use super::context::ToolContext;
use super::function::FunctionList;
use super::result::ToolResult;
use super::{Tool, naming};
use crate::kernel::Deadline;
use crate::settings::{Environment, McpOptions, McpTransport};
use error::McpError;
use listing::ToolListing;
use output::ServerInfo;
use pool::McpServerPool;
use target::McpTarget;

/// Speaks to MCP servers and keeps the connections to them. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct McpClient {
    environment: Environment,
    servers: Arc<McpServerPool>,
}

impl McpClient {
    /// A client whose processes find their way by `environment`.
    pub(super) fn new(environment: &Environment) -> Self {
        Self { environment: environment.clone(), servers: Arc::default() }
    }

    /// The functions of a server, those that are excluded left out; the error is a full sentence.
    pub(super) async fn functions(
        &self,
        context: ToolContext<'_>,
        options: &McpOptions,
    ) -> Result<FunctionList, String> {
        let tool = context.tool;
        let listing = within(context.deadline, async {
            let target = McpTarget::of(context, options, &self.environment)?;
            let server = self.servers.get_or_insert(tool);
            let connection = server.connection(&target).await?;
            match connection.list(&target, options, &server.fingerprints).await {
                // It may be the connection's fault; a list can be asked for twice.
                Err(error) if error != McpError::TIMEOUT && !matches!(error, McpError::ErrorReply(_)) => {
                    connection.close();
                    server.connection(&target).await?.list(&target, options, &server.fingerprints).await
                }
                listing => listing,
            }
        });
        let listing = listing.await.map_err(|error| tool.redaction().text(&sentence(tool, &error)))?;
        let left_out =
            listing.skipped_summary().map(|skipped| tool.redaction().text(&format!("{}: {skipped}", who(tool))));
        let functions = listing.tools.into_iter();
        let functions = functions.map(|listed| naming::function(tool, Some(&listed.name), listed.spec)).collect();
        Ok(FunctionList { functions, left_out })
    }

    /// Calls a function with arguments that fit its schema.
    pub(super) async fn execute(
        &self,
        context: ToolContext<'_>,
        options: &McpOptions,
        function: &str,
        arguments: &Map<String, Value>,
    ) -> ToolResult {
        let tool = context.tool;
        let called = within(context.deadline, async {
            let target = McpTarget::of(context, options, &self.environment)?;
            // Held until the answer is there: connections end with the last who holds this.
            let server = self.servers.get_or_insert(tool);
            let connection = server.connection(&target).await?;
            let answer = connection.call(function, arguments).await.inspect_err(|error| {
                // Whether the call was carried out is not known, so it is not repeated; the next one connects anew.
                if !matches!(error, McpError::ErrorReply(_)) {
                    connection.close();
                }
            })?;
            Ok((answer, connection.server()))
        });
        let (result, server) = match called.await {
            Ok((answer, server)) => (output::result(answer, &who(tool)), server),
            Err(error) => {
                let text = sentence(tool, &error);
                let result = match error {
                    McpError::TIMEOUT => ToolResult::timeout(text),
                    McpError::ErrorReply(_) => ToolResult::failure(text),
                    _ => ToolResult::error(text),
                };
                (result, None)
            }
        };
        let server = server.as_deref();
        result
            .with("tool", function)
            .with_some("server", server.map(ServerInfo::of))
            .with_some("protocol_version", server.map(|server| server.protocol_version.as_str()))
    }

    /// Connects anew and lists the server's tools.
    pub(super) async fn check(&self, context: ToolContext<'_>, options: &McpOptions) -> ToolCheck {
        let tool = context.tool;
        let Some(transport) = &options.transport else {
            let what = "needs 'url' (streamable HTTP) or 'command' (a program that speaks MCP) in its config";
            return ToolCheck::incomplete(format!("Tool '{}' {what}", tool.name));
        };
        let seconds = (context.deadline.remaining() + Duration::from_millis(500)).as_secs();
        let server = self.servers.get_or_insert(tool);
        // Somebody is at work on it.
        server.backoff.lock().allow_now();
        let checked = within(context.deadline, async {
            let target = McpTarget::of(context, options, &self.environment)?;
            let connection = server.open(&target).await?;
            server.backoff.lock().record(false, Instant::now());
            let listing = connection.list(&target, options, &server.fingerprints).await?;
            Ok((listing, connection.server()))
        });
        let check = match checked.await {
            Ok((listing, info)) => {
                server.refresh();
                let info = info.as_deref();
                passed(&listing)
                    .with("server", info.and_then(ServerInfo::of))
                    .with("protocol_version", info.map(|info| info.protocol_version.as_str()))
            }
            Err(error) => failed(tool, &error, seconds),
        };
        let transport = if matches!(transport, McpTransport::Http { .. }) { "streamable_http" } else { "stdio" };
        check.with("transport", transport)
    }

    /// Lets go of what is kept for tools but those of these names and versions. Calls that are under way come to their end.
    pub(super) fn retain(&self, is_current: impl Fn(&str, &str) -> bool) {
        self.servers.retain(is_current);
    }

    /// Ends all connections and the processes behind them.
    pub(super) async fn close(&self) {
        self.servers.close().await;
    }
}

async fn within<T>(deadline: Deadline, work: impl Future<Output = Result<T, McpError>>) -> Result<T, McpError> {
    timeout_at(deadline.instant(), work).await.unwrap_or(Err(McpError::TIMEOUT))
}

fn who(tool: &Tool) -> String {
    format!("MCP server '{}'", tool.name)
}

fn sentence(tool: &Tool, error: &McpError) -> String {
    format!("{} {error}", who(tool))
}

fn passed(listing: &ToolListing) -> ToolCheck {
    let tools = listing.summaries();
    let count = if let [_] = *tools { "1 tool".to_owned() } else { format!("{} tools", tools.len()) };
    let check = ToolCheck::passed(format!("MCP server answered with {count}")).with("tools", tools);
    if listing.skipped.is_empty() { check } else { check.with("skipped", &listing.skipped) }
}

fn failed(tool: &Tool, error: &McpError, seconds: u64) -> ToolCheck {
    let sentence = sentence(tool, error);
    match error {
        McpError::Call(error) => ToolCheck::unreachable(error, seconds),
        McpError::CommandNotAllowed(_) => {
            ToolCheck { tested: false, ..ToolCheck::failed(ToolCheckStatus::Failed, "Command not allowed", sentence) }
        }
        McpError::Status(status) => {
            ToolCheck::failed(ToolCheckStatus::Failed, format!("HTTP {status}"), sentence).with("status_code", *status)
        }
        _ => ToolCheck::failed(ToolCheckStatus::Error, "No connection", sentence),
    }
}

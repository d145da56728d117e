//! MCP servers as tools: each of a server's tools is a function `name__tool`. The protocol is the official SDK's, `rmcp`,
//! in its newest revision and in those before.
//!
//! Called by `runtime`. [`McpClient`] keeps one connection per tool of the catalog; `connection` opens, shares and ends it,
//! over `http` (our own HTTP client) or `stdio` (a process); `listing` reads a server's tools and notices changes; `output`
//! reads what a call gave; `failure` says what went wrong. To add a transport: a variant of `settings::McpTransport` and its
//! arm in `Connection`.

mod connection;
mod failure;
mod http;
mod listing;
mod output;
mod stdio;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::Tool;
use super::check::Check;
use super::function::Function;
use super::registry;
use super::result::ToolResult;
use crate::kernel::Deadline;
use crate::outbound::{CallError, HttpClient};
use crate::settings::{Environment, McpOptions, McpTransport, Resource, ToolRules};
use connection::{Connection, Target};
use failure::Failure;
use listing::{Known, Listed};

/// How long a server that can't be connected to is left alone: at first, and at most. The time doubles with each failure.
const FIRST_REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// Longest wait for connections to end at shutdown.
const LONGEST_CLOSING: Duration = Duration::from_secs(6);

/// Speaks to MCP servers and keeps the connections to them. Cheap to clone.
#[derive(Clone)]
pub(super) struct McpClient(Arc<Inner>);

struct Inner {
    http: HttpClient,
    environment: Environment,
    servers: Mutex<HashMap<String, Arc<Server>>>,
    tasks: TaskTracker,
}

/// What is kept of a server, for one version of the tool that names it.
struct Server {
    version: String,
    known: Mutex<Known>,
    connection: Mutex<Option<Opening>>,
    failures: Arc<Mutex<Failures>>,
    end: CancellationToken,
    _end: DropGuard,
}

/// How often in a row no connection came about, and until when that is believed to go on.
#[derive(Debug, Default)]
struct Failures {
    count: u32,
    until: Option<Instant>,
}

/// A connection that is there or comes about, in a task that no caller can cancel for the others.
type Opening = Shared<BoxFuture<'static, Result<Arc<Connection>, Failure>>>;

impl fmt::Debug for McpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("McpClient")
    }
}

impl McpClient {
    /// A client that reaches servers over HTTP through `http`; processes find their way by `environment`.
    pub(super) fn new(http: HttpClient, environment: &Environment) -> Self {
        let (environment, servers) = (environment.clone(), Mutex::default());
        Self(Arc::new(Inner { http, environment, servers, tasks: TaskTracker::new() }))
    }

    /// The functions of a server, those that are excluded left out; the error is a full sentence.
    pub(super) async fn functions(
        &self,
        tool: &Tool,
        options: &McpOptions,
        rules: &ToolRules,
        deadline: Deadline,
    ) -> Result<Vec<Function>, String> {
        let target = self.target(tool, options, rules);
        let listing = async { self.listed(tool, &target?, options).await };
        match timeout_at(deadline.instant(), listing).await.unwrap_or(Err(Failure::Call(CallError::Timeout))) {
            Ok(listed) => {
                let function = |offer: listing::Offer| registry::remote(tool, &offer.name, offer.described);
                Ok(listed.tools.into_iter().map(function).collect())
            }
            Err(failure) => Err(tool.effective.redaction().text(&sentence(tool, &failure))),
        }
    }

    /// Calls a function with arguments that fit its schema.
    pub(super) async fn execute(
        &self,
        tool: &Tool,
        options: &McpOptions,
        rules: &ToolRules,
        function: &str,
        arguments: &Map<String, Value>,
        deadline: Deadline,
    ) -> ToolResult {
        let target = self.target(tool, options, rules);
        let calling = async {
            let connection = self.connection(tool, &target?).await?;
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
        rules: &ToolRules,
        deadline: Deadline,
    ) -> Check {
        let Some(transport) = &options.transport else {
            let what = "needs 'url' (streamable HTTP) or 'command' (a program that speaks MCP) in its config";
            return Check::incomplete(format!("Tool '{}' {what}", tool.name));
        };
        let limit = deadline.remaining().as_secs_f64().round();
        let target = self.target(tool, options, rules);
        let server = self.server(tool);
        server.failures().until = None;
        let checking = async {
            let target = target?;
            let connection = Connection::open(target.clone(), self.0.tasks.clone(), server.end.child_token()).await?;
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

    /// Lets go of what is kept for a tool of this name, which is no more.
    pub(super) fn forget(&self, name: &str) {
        let server = self.servers().remove(name);
        if let Some(server) = server {
            server.end.cancel();
        }
    }

    /// Ends all connections and the processes behind them.
    pub(super) async fn close(&self) {
        self.0.tasks.close();
        self.servers().drain().for_each(|(_, server)| server.end.cancel());
        if timeout(LONGEST_CLOSING, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some connections to MCP servers did not end in time");
        }
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<String, Arc<Server>>> {
        self.0.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn target(&self, tool: &Tool, options: &McpOptions, rules: &ToolRules) -> Result<Target, Failure> {
        let transport = options.transport.clone();
        let transport = transport.ok_or_else(|| Failure::other("has neither 'url' nor 'command' in its config"))?;
        if let McpTransport::Stdio { command, .. } = &transport
            && !rules.mcp_stdio_commands.contains(command)
        {
            return Err(Failure::Forbidden(command.clone()));
        }
        let (http, environment) = (self.0.http.clone(), self.0.environment.clone());
        let (name, redaction) = (tool.name.to_string(), tool.effective.redaction());
        Ok(Target { name, transport, redaction, http, environment })
    }

    /// What is kept of the server; nothing yet if the tool is another than the last time.
    fn server(&self, tool: &Tool) -> Arc<Server> {
        let mut servers = self.servers();
        match servers.get(tool.name.as_str()) {
            Some(server) if server.version == tool.version => Arc::clone(server),
            _ => {
                let server = Arc::new(Server::new(tool.version.clone()));
                if let Some(former) = servers.insert(tool.name.to_string(), Arc::clone(&server)) {
                    former.end.cancel();
                }
                server
            }
        }
    }

    async fn connection(&self, tool: &Tool, target: &Target) -> Result<Arc<Connection>, Failure> {
        if self.0.tasks.is_closed() {
            return Err(Failure::other("is not connected to: this server is stopping"));
        }
        self.server(tool).opening(target, &self.0.tasks).await
    }

    async fn listed(&self, tool: &Tool, target: &Target, options: &McpOptions) -> Result<Listed, Failure> {
        let server = self.server(tool);
        let connection = self.connection(tool, target).await?;
        match connection.list(target, options, &server.known).await {
            // It may be the connection's fault; a list can be asked for twice.
            Err(failure) if !failure.is_timeout() && !matches!(failure, Failure::Answer(_)) => {
                connection.close();
                let connection = self.connection(tool, target).await?;
                connection.list(target, options, &server.known).await
            }
            listed => listed,
        }
    }
}

impl Server {
    fn new(version: String) -> Self {
        let end = CancellationToken::new();
        let (known, connection, guard) = (Mutex::default(), Mutex::default(), end.clone().drop_guard());
        Self { version, known, connection, failures: Arc::default(), end, _end: guard }
    }

    fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, unless it is closed or could not be opened some time ago: then a new one.
    fn opening(&self, target: &Target, tasks: &TaskTracker) -> Opening {
        let mut current = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opening) = &*current {
            match opening.clone().now_or_never() {
                Some(Ok(connection)) if connection.is_closed() => {}
                Some(Err(_)) if self.failures().until.is_none_or(|until| until <= Instant::now()) => {}
                _ => return opening.clone(),
            }
        }
        let opening = Connection::open(target.clone(), tasks.clone(), self.end.child_token());
        let failures = Arc::clone(&self.failures);
        let opening = tasks.spawn(async move {
            let opened = opening.await;
            failures.lock().unwrap_or_else(PoisonError::into_inner).note(opened.is_err());
            opened
        });
        let opening = opening.map(|opened| opened.unwrap_or(Err(Failure::Closed))).boxed().shared();
        *current = Some(opening.clone());
        opening
    }

    /// Has the list of tools read anew when it is needed next.
    fn refresh(&self) {
        let opening = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(Ok(connection)) = opening.and_then(FutureExt::now_or_never) {
            connection.refresh();
        }
    }
}

impl Failures {
    fn note(&mut self, failed: bool) {
        let rest = FIRST_REST.saturating_mul(2_u32.saturating_pow(self.count)).min(LONGEST_REST);
        *self = if failed {
            Self { count: self.count.saturating_add(1), until: Some(Instant::now() + rest) }
        } else {
            Self::default()
        };
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

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rmcp::ClientHandler;
use rmcp::model::{CallToolRequestParams, CallToolResponse, ClientCapabilities, ClientConfig, Implementation};
use rmcp::model::{ProtocolVersion, ServerPeerInfo};
use rmcp::service::{
    ClientCacheConfig, ClientLifecycleMode, ClientServiceExt, NotificationContext, Peer, RoleClient, RunningService,
};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::error::{McpError, TransportFault};
use super::http::McpHttp;
use super::listing::{self, ToolFingerprints, ToolListing};
use super::stdio::ServerProcess;
use super::target::McpTarget;
use super::usage::UsageTracker;
use crate::kernel::count_panics;
use crate::settings::{McpOptions, McpTransport};

/// The revision that servers of before 2026-07-28 are offered; they may answer with an older one.
const LEGACY_VERSION: ProtocolVersion = ProtocolVersion::V_2025_11_25;
/// Longest time that a connection may take to come about. The SDK alone waits ten seconds for whoever must say it is older.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time that it may take to find out why a connection is closed.
const CAUSE_TIMEOUT: Duration = Duration::from_millis(800);
/// Longest time that the SDK may take to say farewell.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection to a server. A task keeps what is behind it, and ends it when the last user drops this.
pub(super) struct McpConnection {
    peer: Peer<RoleClient>,
    state: Arc<McpConnectionState>,
    listed: Mutex<Option<ToolListing>>,
    _end: DropGuard,
}

/// What a connection shares with the task that keeps it.
struct McpConnectionState {
    name: String,
    fault: TransportFault,
    usage: UsageTracker,
    /// Whether the server has said that its tools are others now.
    is_stale: AtomicBool,
    end: CancellationToken,
}

impl McpConnection {
    /// Connects. `end` closes the connection from outside, at any time.
    pub(super) async fn open(
        target: McpTarget,
        tasks: TaskTracker,
        end: CancellationToken,
    ) -> Result<Arc<Self>, McpError> {
        let opening = timeout(CONNECT_TIMEOUT, async {
            let newest_first = ClientLifecycleMode::Auto {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                legacy_version: Some(LEGACY_VERSION),
            };
            match Self::connect(&target, &tasks, end.clone(), newest_first).await {
                // Some older servers break off instead of saying that they don't understand.
                Err(error) if error.may_be_legacy_server() => {
                    Self::connect(&target, &tasks, end.clone(), ClientLifecycleMode::Initialize).await
                }
                opened => opened,
            }
        });
        tokio::select! {
            opened = opening => opened.unwrap_or(Err(McpError::TIMEOUT)),
            () = end.cancelled() => Err(McpError::Closed),
        }
    }

    async fn connect(
        target: &McpTarget,
        tasks: &TaskTracker,
        end: CancellationToken,
        lifecycle: ClientLifecycleMode,
    ) -> Result<Arc<Self>, McpError> {
        let (name, fault, is_stale) = (target.name.clone(), TransportFault::default(), AtomicBool::new(false));
        let state = Arc::new(McpConnectionState { name, fault, usage: UsageTracker::new(), is_stale, end });
        let (handler, fault) = (NotificationHandler(Arc::clone(&state)), state.fault.clone());
        let (service, mut process) = match &target.transport {
            McpTransport::Http { url, auth_token, headers } => {
                let client = McpHttp::new(target.http.clone(), url, auth_token.as_ref(), headers, fault);
                (handler.serve_with_lifecycle(client.transport(), lifecycle).await, None)
            }
            McpTransport::Stdio { command, args, env } => {
                let (process, messages) = ServerProcess::start(target, command, args, env, fault)?;
                (handler.serve_with_lifecycle(messages, lifecycle).await, Some(process))
            }
        };
        let service = match service {
            Ok(service) => service,
            Err(error) => {
                state.record_exit(process.as_mut()).await;
                return Err(state.fault.explain(error.into()));
            }
        };
        let peer = service.peer().clone();
        peer.set_response_cache_config(ClientCacheConfig::disabled()).await;
        tasks.spawn(count_panics("mcp_connection", run_connection(service, process, Arc::clone(&state))));
        let _end = state.end.clone().drop_guard();
        Ok(Arc::new(Self { peer, state, listed: Mutex::new(None), _end }))
    }

    /// Whether it can't be used any more.
    pub(super) fn is_closed(&self) -> bool {
        self.state.end.is_cancelled() || self.peer.is_transport_closed()
    }

    /// Ends it.
    pub(super) fn close(&self) {
        self.state.end.cancel();
    }

    /// What the server says of itself.
    pub(super) fn server(&self) -> Option<Arc<ServerPeerInfo>> {
        self.peer.peer_info()
    }

    /// Forgets which tools the server has.
    pub(super) fn refresh(&self) {
        self.state.is_stale.store(true, Ordering::Release);
    }

    /// The server's tools: asked for, unless they are known. Callers wait for each other, so that it is asked once.
    pub(super) async fn list(
        &self,
        target: &McpTarget,
        options: &McpOptions,
        fingerprints: &parking_lot::Mutex<ToolFingerprints>,
    ) -> Result<ToolListing, McpError> {
        let _in_use = self.state.usage.start();
        let mut listed = self.listed.lock().await;
        let is_stale = self.state.is_stale.swap(false, Ordering::AcqRel);
        if let Some(listed) = &*listed
            && !is_stale
            && Instant::now() < listed.expires_at
        {
            return Ok(listed.clone());
        }
        // Until it has succeeded; the caller may leave meanwhile.
        *listed = None;
        let mut found = match listing::list(&self.peer, options, &target.redaction).await {
            Ok(found) => found,
            Err(failure) => return Err(self.with_cause(failure).await),
        };
        fingerprints.lock().compare(&target.name, &mut found);
        *listed = Some(found.clone());
        Ok(found)
    }

    /// Calls one of the server's tools. Dropping it cancels the call there too.
    pub(super) async fn call(&self, tool: &str, arguments: &Map<String, Value>) -> Result<CallToolResponse, McpError> {
        let _in_use = self.state.usage.start();
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments.clone());
        match self.peer.call_tool_once(params).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.with_cause(error.into()).await),
        }
    }

    /// The cause of a failure, for which the keeper may have to look first.
    async fn with_cause(&self, failure: McpError) -> McpError {
        if failure == McpError::Closed {
            drop(timeout(CAUSE_TIMEOUT, self.state.end.cancelled()).await);
        }
        self.state.fault.explain(failure)
    }
}

/// Holds a connection until it breaks, is ended or has been idle for long; then leaves nothing behind.
async fn run_connection(
    service: RunningService<RoleClient, NotificationHandler>,
    mut process: Option<ServerProcess>,
    state: Arc<McpConnectionState>,
) {
    // However this ends, the connection is closed for its users.
    let closed = state.end.clone().drop_guard();
    let stop = service.cancellation_token();
    let mut waiting = pin!(service.waiting());
    let has_broken = tokio::select! {
        _ = &mut waiting => true,
        () = state.end.cancelled() => false,
        () = state.usage.wait_idle() => false,
    };
    if has_broken {
        state.record_exit(process.as_mut()).await;
    }
    drop(closed);
    if !has_broken {
        stop.cancel();
        drop(timeout(CLOSE_TIMEOUT, &mut waiting).await);
    }
    if let Some(process) = process {
        process.end().await;
    }
}

impl McpConnectionState {
    /// Notes how a process ended, if that is why the connection is closed.
    async fn record_exit(&self, process: Option<&mut ServerProcess>) {
        if let Some(process) = process
            && let Some((how, words)) = process.exit_report().await
        {
            tracing::warn!(server = self.name, untrusted = words, "the process of an MCP server {how}");
            let words = if words.is_empty() { words } else { format!("; its last words: {words}") };
            self.fault.note(McpError::Other(how + &words));
        }
    }
}

/// Hears what a server says unasked. It may ask for nothing: we have told it that we can't do anything for it.
struct NotificationHandler(Arc<McpConnectionState>);

impl ClientHandler for NotificationHandler {
    fn get_info(&self) -> ClientConfig {
        let client = Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), client).with_protocol_version(LEGACY_VERSION)
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.0.is_stale.store(true, Ordering::Release);
    }
}

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use rmcp::ClientHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientCapabilities, ClientConfig, Implementation, ServerPeerInfo,
};
use rmcp::service::{ClientCacheConfig, NotificationContext, Peer, RoleClient, RunningService, serve_directly};
use rmcp::transport::{Transport, TransportAdapterIdentity};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::error::{McpError, TransportFault};
use super::fingerprints::ToolFingerprints;
use super::handshake::{self, Handshake, HandshakeError, OLDER_VERSION};
use super::http::McpHttp;
use super::listing::{self, ToolListing};
use super::stdio::ServerProcess;
use super::target::McpTarget;
use super::usage::UsageTracker;
use crate::kernel::count_panics;
use crate::settings::{McpOptions, McpTransport};

/// How often a connection is begun in another way before it counts as failed.
const MAX_HANDSHAKES: usize = 4;
/// Longest time that it may take to find out why a connection is closed.
const CAUSE_TIMEOUT: Duration = Duration::from_millis(800);
/// Longest time that the SDK may take to say farewell.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A list of tools that is read, in a task that no caller can cancel for the others, or that was read last.
type PendingListing = Shared<BoxFuture<'static, Result<ToolListing, McpError>>>;

/// A connection to a server. A task keeps what is behind it, and ends it when the last user drops this.
pub(super) struct McpConnection {
    peer: Peer<RoleClient>,
    state: Arc<McpConnectionState>,
    listing: Mutex<Option<PendingListing>>,
    tasks: TaskTracker,
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
    /// Connects, first in the way that is `known` to work. `end` closes the connection from outside, at any time.
    pub(super) async fn open(
        target: McpTarget,
        tasks: TaskTracker,
        end: CancellationToken,
        known: Arc<Mutex<Handshake>>,
    ) -> Result<Arc<Self>, McpError> {
        let opening = Self::open_somehow(&target, &tasks, &end, &known);
        tokio::select! {
            opened = timeout(target.start_timeout, opening) => opened.unwrap_or_else(|_| {
                // What it never answered may have been the greeting.
                let mut known = known.lock();
                *known = known.other();
                Err(McpError::TIMEOUT)
            }),
            () = end.cancelled() => Err(McpError::Closed),
        }
    }

    async fn open_somehow(
        target: &McpTarget,
        tasks: &TaskTracker,
        end: &CancellationToken,
        known: &Mutex<Handshake>,
    ) -> Result<Arc<Self>, McpError> {
        let mut handshake = known.lock().clone();
        for attempt in 1.. {
            match Self::connect(target, tasks, end.clone(), &handshake).await {
                Ok((connection, next)) => {
                    *known.lock() = next;
                    return Ok(connection);
                }
                Err(HandshakeError::Failed(error)) if attempt == MAX_HANDSHAKES => return Err(error),
                Err(error) => handshake = handshake.after(error, attempt == 1)?,
            }
        }
        Err(McpError::Closed)
    }

    /// Connects in one way; gives also the way to take the next time.
    async fn connect(
        target: &McpTarget,
        tasks: &TaskTracker,
        end: CancellationToken,
        handshake: &Handshake,
    ) -> Result<(Arc<Self>, Handshake), HandshakeError> {
        let (name, fault, is_stale) = (target.name.clone(), TransportFault::default(), AtomicBool::new(false));
        let state = Arc::new(McpConnectionState { name, fault, usage: UsageTracker::new(), is_stale, end });
        let (handler, fault, probe) =
            (NotificationHandler(Arc::clone(&state)), state.fault.clone(), target.probe_timeout);
        let (begun, mut process) = match &target.transport {
            McpTransport::Http { url, auth_token, headers } => {
                let client = McpHttp::new(target.http.clone(), url, auth_token.as_ref(), headers, probe, fault);
                // Its own limit ends the wait for the probe, which nothing else can follow meanwhile.
                (begin(handler, client.transport(), handshake, 2 * probe).await, None)
            }
            McpTransport::Stdio { command, args, env } => {
                let (process, messages) = ServerProcess::start(target, command, args, env, fault)?;
                (begin(handler, messages, handshake, probe).await, Some(process))
            }
        };
        let (service, next) = match begun {
            Ok(begun) => begun,
            Err(HandshakeError::Failed(error)) => {
                state.record_exit(process.as_mut()).await;
                return Err(state.fault.explain(error).into());
            }
            Err(speaks) => return Err(speaks),
        };
        let (peer, tasks) = (service.peer().clone(), tasks.clone());
        peer.set_response_cache_config(ClientCacheConfig::disabled()).await;
        tasks.spawn(count_panics("mcp_connection", run_connection(service, process, Arc::clone(&state))));
        let _end = state.end.clone().drop_guard();
        Ok((Arc::new(Self { peer, state, listing: Mutex::new(None), tasks, _end }), next))
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

    /// The server's tools: asked for, unless they are known. Who comes meanwhile waits for the same answer, and who leaves does not end
    /// that for the others.
    pub(super) async fn list(
        self: &Arc<Self>,
        target: &McpTarget,
        options: &McpOptions,
        fingerprints: &Arc<Mutex<ToolFingerprints>>,
    ) -> Result<ToolListing, McpError> {
        let pending = {
            let mut pending = self.listing.lock();
            match &*pending {
                Some(running) if self.is_current(running) => running.clone(),
                _ => pending.insert(self.start_listing(target, options, fingerprints)).clone(),
            }
        };
        pending.await
    }

    /// Whether a list is still being read, or is to be believed.
    fn is_current(&self, listing: &PendingListing) -> bool {
        match listing.peek() {
            None => true,
            Some(Ok(listed)) => !self.state.is_stale.load(Ordering::Acquire) && Instant::now() < listed.expires_at,
            Some(Err(_)) => false,
        }
    }

    fn start_listing(
        self: &Arc<Self>,
        target: &McpTarget,
        options: &McpOptions,
        fingerprints: &Arc<Mutex<ToolFingerprints>>,
    ) -> PendingListing {
        let (connection, target, options) = (Arc::clone(self), target.clone(), options.clone());
        let fingerprints = Arc::clone(fingerprints);
        self.state.is_stale.store(false, Ordering::Release);
        let listing = async move {
            let _in_use = connection.state.usage.start();
            let listing = timeout(target.start_timeout, listing::list(&connection.peer, &options, &target.redaction));
            match listing.await.unwrap_or(Err(McpError::TIMEOUT)) {
                Ok(mut found) => {
                    fingerprints.lock().compare(&target.name, &mut found);
                    Ok(found)
                }
                Err(failure) => Err(connection.with_cause(failure).await),
            }
        };
        let listing = self.tasks.spawn(count_panics("mcp_listing", listing));
        listing.map(|listed| listed.ok().flatten().unwrap_or(Err(McpError::Closed))).boxed().shared()
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

/// Shakes hands over a transport, and leaves it to the SDK; gives also the handshake to begin with the next time.
async fn begin<T: Transport<RoleClient> + 'static>(
    handler: NotificationHandler,
    mut transport: T,
    handshake: &Handshake,
    probe: Duration,
) -> Result<(RunningService<RoleClient, NotificationHandler>, Handshake), HandshakeError> {
    let (info, next) = handshake::connect(&mut transport, handler.get_info(), handshake, probe).await?;
    let service = serve_directly::<_, _, T, T::Error, TransportAdapterIdentity>(handler, transport, Some(info));
    Ok((service, next))
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
        ClientConfig::new(ClientCapabilities::default(), client).with_protocol_version(OLDER_VERSION)
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.0.is_stale.store(true, Ordering::Release);
    }
}

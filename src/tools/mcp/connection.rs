use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rmcp::ClientHandler;
use rmcp::model::{CallToolRequestParams, CallToolResponse, ClientCapabilities, ClientConfig, Implementation};
use rmcp::model::{ProtocolVersion, ServerPeerInfo};
use rmcp::service::{
    ClientCacheConfig, ClientLifecycleMode, ClientServiceExt, NotificationContext, Peer, RoleClient, RunningService,
};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::error::{McpError, TransportFault};
use super::http::McpHttp;
use super::listing::{self, ToolFingerprints, ToolListing};
use super::stdio::ServerProcess;
use crate::kernel::Redaction;
use crate::outbound::{CallError, HttpClient};
use crate::settings::{Environment, McpOptions, McpTransport};

/// The revision that servers of before 2026-07-28 are offered; they may answer with an older one.
const LEGACY_VERSION: ProtocolVersion = ProtocolVersion::V_2025_11_25;
/// Longest time that a connection may take to come about. The SDK itself gives a server ten seconds to say that it does not
/// know the newest revision.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Time after which a connection that nobody uses is closed, and a process behind it ended.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// Longest time that it may take to find out why a connection is closed.
const CAUSE_TIMEOUT: Duration = Duration::from_millis(800);
/// Longest time that the SDK may take to say farewell.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// What it takes to connect to a server.
#[derive(Clone)]
pub(super) struct McpTarget {
    pub(super) name: String,
    pub(super) transport: McpTransport,
    pub(super) redaction: Redaction,
    pub(super) http: HttpClient,
    pub(super) environment: Environment,
}

/// A connection to a server. A task keeps what is behind it, and ends it when the last user drops this.
pub(super) struct McpConnection {
    peer: Peer<RoleClient>,
    fault: TransportFault,
    usage: Arc<UsageTracker>,
    is_stale: Arc<AtomicBool>,
    listed: Mutex<Option<ToolListing>>,
    end: CancellationToken,
    _end: DropGuard,
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
                Err(failure) if failure.may_be_legacy_server() => {
                    Self::connect(&target, &tasks, end.clone(), ClientLifecycleMode::Initialize).await
                }
                opened => opened,
            }
        });
        tokio::select! {
            opened = opening => opened.unwrap_or(Err(McpError::Call(CallError::Timeout))),
            () = end.cancelled() => Err(McpError::Closed),
        }
    }

    async fn connect(
        target: &McpTarget,
        tasks: &TaskTracker,
        end: CancellationToken,
        lifecycle: ClientLifecycleMode,
    ) -> Result<Arc<Self>, McpError> {
        let fault = TransportFault::default();
        let is_stale = Arc::new(AtomicBool::new(false));
        let listener = NotificationHandler { is_stale: Arc::clone(&is_stale) };
        let redaction = target.redaction.clone();
        let (service, process) = match &target.transport {
            McpTransport::Http { url, auth_token, headers } => {
                let client = McpHttp::new(target.http.clone(), url, auth_token.as_ref(), headers, fault.clone());
                (listener.serve_with_lifecycle(client.transport(), lifecycle).await, None)
            }
            McpTransport::Stdio { command, args, env } => {
                let (reader, fault) = (target.http.reader(), fault.clone());
                let (process, messages) =
                    ServerProcess::start(command, args, env, &target.environment, redaction, reader, fault)?;
                (listener.serve_with_lifecycle(messages, lifecycle).await, Some(process))
            }
        };
        let mut process = process;
        let service = match service {
            Ok(service) => service,
            Err(error) => {
                record_exit(&target.name, process.as_mut(), &fault).await;
                return Err(fault.explain(error.into()));
            }
        };
        let peer = service.peer().clone();
        peer.set_response_cache_config(ClientCacheConfig::disabled()).await;
        let usage = Arc::new(UsageTracker::default());
        tasks.spawn(run_connection(
            target.name.clone(),
            service,
            process,
            Arc::clone(&usage),
            fault.clone(),
            end.clone(),
        ));
        Ok(Arc::new(Self {
            peer,
            fault,
            usage,
            is_stale,
            listed: Mutex::new(None),
            _end: end.clone().drop_guard(),
            end,
        }))
    }

    /// Whether it can't be used any more.
    pub(super) fn is_closed(&self) -> bool {
        self.end.is_cancelled() || self.peer.is_transport_closed()
    }

    /// Ends it.
    pub(super) fn close(&self) {
        self.end.cancel();
    }

    /// What the server says of itself.
    pub(super) fn server(&self) -> Option<Arc<ServerPeerInfo>> {
        self.peer.peer_info()
    }

    /// Forgets which tools the server has.
    pub(super) fn refresh(&self) {
        self.is_stale.store(true, Ordering::Release);
    }

    /// The server's tools: asked for, unless they are known. Callers wait for each other, so that it is asked once.
    pub(super) async fn list(
        &self,
        target: &McpTarget,
        options: &McpOptions,
        fingerprints: &parking_lot::Mutex<ToolFingerprints>,
    ) -> Result<ToolListing, McpError> {
        let _in_use = self.usage.start();
        let mut listed = self.listed.lock().await;
        let is_stale = self.is_stale.swap(false, Ordering::AcqRel);
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
        let _in_use = self.usage.start();
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments.clone());
        match self.peer.call_tool_once(params).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.with_cause(error.into()).await),
        }
    }

    /// The cause of a failure, for which the keeper may have to look first.
    async fn with_cause(&self, failure: McpError) -> McpError {
        if failure == McpError::Closed {
            drop(timeout(CAUSE_TIMEOUT, self.end.cancelled()).await);
        }
        self.fault.explain(failure)
    }
}

/// Holds a connection until it breaks, is ended or has been idle for long; then leaves nothing behind.
async fn run_connection(
    name: String,
    service: RunningService<RoleClient, NotificationHandler>,
    process: Option<ServerProcess>,
    usage: Arc<UsageTracker>,
    fault: TransportFault,
    end: CancellationToken,
) {
    let stop = service.cancellation_token();
    let mut process = process;
    let mut waiting = pin!(service.waiting());
    let has_broken = tokio::select! {
        _ = &mut waiting => true,
        () = end.cancelled() => false,
        () = usage.wait_idle() => false,
    };
    if has_broken {
        record_exit(&name, process.as_mut(), &fault).await;
        end.cancel();
    } else {
        end.cancel();
        stop.cancel();
        drop(timeout(CLOSE_TIMEOUT, &mut waiting).await);
    }
    if let Some(process) = process {
        process.end().await;
    }
}

/// Notes how a process ended, if that is why the connection is closed.
async fn record_exit(name: &str, process: Option<&mut ServerProcess>, fault: &TransportFault) {
    if let Some(process) = process
        && let Some((how, words)) = process.exit_report().await
    {
        tracing::warn!(server = name, untrusted = words, "the process of an MCP server {how}");
        let words = if words.is_empty() { words } else { format!("; its last words: {words}") };
        fault.note(McpError::Other(how + &words));
    }
}

/// Hears what a server says unasked. It may ask for nothing: we have told it that we can't do anything for it.
struct NotificationHandler {
    is_stale: Arc<AtomicBool>,
}

impl ClientHandler for NotificationHandler {
    fn get_info(&self) -> ClientConfig {
        let client = Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), client).with_protocol_version(LEGACY_VERSION)
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.is_stale.store(true, Ordering::Release);
    }
}

/// Who uses a connection, and when it was last used.
#[derive(Debug)]
struct UsageTracker {
    users: AtomicUsize,
    last: parking_lot::Mutex<Instant>,
}

impl Default for UsageTracker {
    fn default() -> Self {
        Self { users: AtomicUsize::new(0), last: parking_lot::Mutex::new(Instant::now()) }
    }
}

impl UsageTracker {
    fn start(self: &Arc<Self>) -> UsageGuard {
        self.users.fetch_add(1, Ordering::AcqRel);
        UsageGuard(Arc::clone(self))
    }

    fn last(&self) -> Instant {
        *self.last.lock()
    }

    /// Waits until nobody has used the connection for long.
    async fn wait_idle(&self) {
        loop {
            if self.users.load(Ordering::Acquire) == 0 && self.last().elapsed() >= IDLE_TIMEOUT {
                return;
            }
            sleep_until((self.last() + IDLE_TIMEOUT).max(Instant::now() + Duration::from_secs(1))).await;
        }
    }
}

struct UsageGuard(Arc<UsageTracker>);

impl Drop for UsageGuard {
    fn drop(&mut self) {
        *self.0.last.lock() = Instant::now();
        self.0.users.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_only_after_its_last_user_has_left() {
        let usage = Arc::new(UsageTracker::default());
        let started = Instant::now();
        let user = usage.start();
        assert!(timeout(3 * IDLE_TIMEOUT, usage.wait_idle()).await.is_err());
        drop(user);
        usage.wait_idle().await;
        assert!(started.elapsed() >= 4 * IDLE_TIMEOUT, "{:?}", started.elapsed());
        assert!(started.elapsed() < 5 * IDLE_TIMEOUT, "{:?}", started.elapsed());
    }
}

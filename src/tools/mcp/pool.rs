use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::backoff::ConnectBackoff;
use super::connection::McpConnection;
use super::error::McpError;
use super::fingerprints::ToolFingerprints;
use super::handshake::Handshake;
use super::target::McpTarget;
use crate::kernel::count_panics;
use crate::settings::{CatalogEntry, ToolSettings};
use crate::tools::Tool;

/// A connection that is there or comes about, in a task that no caller can cancel for the others.
type PendingConnection = Shared<BoxFuture<'static, Result<Arc<McpConnection>, McpError>>>;

/// Longest wait for connections to end at shutdown.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(6);

/// Servers by tool and by the state in which it was saved: requests go on with the state that they began with.
#[derive(Debug, Default)]
pub(super) struct McpServerPool {
    kept: Mutex<HashMap<(String, String), Arc<McpServer>>>,
    tasks: TaskTracker,
    end: CancellationToken,
}

/// What is kept of one server. Its connections end with the last who holds this.
#[derive(Debug)]
pub(super) struct McpServer {
    tool: Weak<CatalogEntry<ToolSettings>>,
    pub(super) fingerprints: Arc<Mutex<ToolFingerprints>>,
    pub(super) backoff: Arc<Mutex<ConnectBackoff>>,
    connection: Mutex<Option<PendingConnection>>,
    /// How it is spoken to first.
    handshake: Arc<Mutex<Handshake>>,
    tasks: TaskTracker,
    end: CancellationToken,
    _end: DropGuard,
}

impl McpServerPool {
    /// What is kept for this state of a tool. Of states that neither the catalog nor any request knows any longer nothing is.
    pub(super) fn get_or_insert(&self, tool: &Tool) -> Arc<McpServer> {
        let mut kept = self.kept.lock();
        kept.retain(|_, server| server.tool.strong_count() > 0);
        let key = (tool.name.to_string(), tool.version.clone());
        Arc::clone(kept.entry(key).or_insert_with(|| {
            let end = self.end.child_token();
            Arc::new(McpServer {
                tool: Arc::downgrade(tool),
                fingerprints: Arc::default(),
                backoff: Arc::default(),
                connection: Mutex::default(),
                handshake: Arc::default(),
                tasks: self.tasks.clone(),
                _end: end.clone().drop_guard(),
                end,
            })
        }))
    }

    /// Lets go of what is kept for tools but those of these names and versions. Calls that are under way come to their end.
    pub(super) fn retain(&self, is_current: impl Fn(&str, &str) -> bool) {
        self.kept.lock().retain(|(name, version), _| is_current(name, version));
    }

    /// Ends all connections and the processes behind them, and connects no more.
    pub(super) async fn close(&self) {
        self.tasks.close();
        self.end.cancel();
        self.kept.lock().clear();
        if timeout(CLOSE_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::warn!("some connections to MCP servers did not end in time");
        }
    }
}

impl McpServer {
    /// The connection, unless it is closed or could not be opened some time ago: then a new one.
    pub(super) async fn connection(&self, target: &McpTarget) -> Result<Arc<McpConnection>, McpError> {
        if self.tasks.is_closed() {
            return Err(McpError::Other("is not connected to: this server is stopping".to_owned()));
        }
        self.pending(target).await
    }

    fn pending(&self, target: &McpTarget) -> PendingConnection {
        let mut current = self.connection.lock();
        if let Some(pending) = &*current {
            match pending.clone().now_or_never() {
                Some(Ok(connection)) if connection.is_closed() => {}
                Some(Err(_)) if self.backoff.lock().is_ready(Instant::now()) => {}
                _ => return pending.clone(),
            }
        }
        let (opening, backoff) = (self.open(target), Arc::clone(&self.backoff));
        let opening = self.tasks.spawn(async move {
            let opened = count_panics("mcp_connection", opening).await.unwrap_or(Err(McpError::Closed));
            backoff.lock().record(opened.is_err(), Instant::now());
            opened
        });
        let pending = opening.map(|opened| opened.unwrap_or(Err(McpError::Closed))).boxed().shared();
        *current = Some(pending.clone());
        pending
    }

    /// A connection that is not shared.
    pub(super) fn open(
        &self,
        target: &McpTarget,
    ) -> impl Future<Output = Result<Arc<McpConnection>, McpError>> + use<> {
        let (tasks, end) = (self.tasks.clone(), self.end.child_token());
        McpConnection::open(target.clone(), tasks, end, Arc::clone(&self.handshake))
    }

    /// Has the list of tools read anew when it is needed next.
    pub(super) fn refresh(&self) {
        let pending = self.connection.lock().clone();
        if let Some(Ok(connection)) = pending.and_then(FutureExt::now_or_never) {
            connection.refresh();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::{Environment, load};

    fn tool(name: &str, url: &str) -> Tool {
        let tools = json!({name: {"type": "mcp", "config": {"url": url}}}).to_string();
        let settings = load(Environment::from_pairs([("TOOLS", tools)])).unwrap().settings;
        Arc::clone(settings.tools.get(name).unwrap())
    }

    fn count(servers: &McpServerPool) -> usize {
        servers.kept.lock().len()
    }

    #[tokio::test]
    async fn each_state_of_a_tool_has_its_own_and_what_nobody_knows_any_longer_is_let_go() {
        let (servers, former, latter) =
            (McpServerPool::default(), tool("a", "http://127.0.0.1:1"), tool("a", "http://127.0.0.1:2"));
        let (first, second) = (servers.get_or_insert(&former), servers.get_or_insert(&latter));
        assert!(!Arc::ptr_eq(&first, &second) && !first.end.is_cancelled());
        assert!(
            Arc::ptr_eq(&first, &servers.get_or_insert(&former))
                && Arc::ptr_eq(&second, &servers.get_or_insert(&latter))
        );

        // Who still uses it is not cut off.
        let (token, other) = (first.end.clone(), tool("b", "http://127.0.0.1:1"));
        drop(former);
        servers.get_or_insert(&other);
        assert_eq!((count(&servers), token.is_cancelled()), (2, false));
        drop(first);
        assert!(token.is_cancelled());

        servers.retain(|name, _| name != "a");
        assert_eq!((count(&servers), second.end.is_cancelled()), (1, false));
        servers.close().await;
        assert!(second.end.is_cancelled() && servers.get_or_insert(&latter).end.is_cancelled());
    }
}

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::backoff::Backoff;
use super::connection::{McpConnection, McpTarget};
use super::error::McpError;
use super::listing::ToolFingerprints;
use crate::settings::{CatalogEntry, ToolSettings};
use crate::tools::Tool;

/// A connection that is there or comes about, in a task that no caller can cancel for the others.
type PendingConnection = Shared<BoxFuture<'static, Result<Arc<McpConnection>, McpError>>>;

/// What is kept of servers: for each tool, and each state in which it was saved. A request goes on with the state that it began
/// with, so two may be in use side by side.
#[derive(Default)]
pub(super) struct ServerPool {
    kept: Mutex<HashMap<(String, String), Arc<McpServer>>>,
    end: CancellationToken,
}

/// What is kept of one server. Its connections end with the last who holds this.
pub(super) struct McpServer {
    tool: Weak<CatalogEntry<ToolSettings>>,
    pub(super) fingerprints: Mutex<ToolFingerprints>,
    connection: Mutex<Option<PendingConnection>>,
    backoff: Arc<Mutex<Backoff>>,
    pub(super) end: CancellationToken,
    _end: DropGuard,
}

impl ServerPool {
    /// What is kept for this state of a tool. Of states that neither the catalog nor any request knows any longer nothing is.
    pub(super) fn get_or_insert(&self, tool: &Tool) -> Arc<McpServer> {
        let mut kept = self.kept();
        kept.retain(|_, server| server.tool.strong_count() > 0);
        let key = (tool.name.to_string(), tool.version.clone());
        Arc::clone(kept.entry(key).or_insert_with(|| Arc::new(McpServer::new(tool, self.end.child_token()))))
    }

    /// Lets go of what is kept for a tool of this name. Calls that are under way come to their end.
    pub(super) fn forget(&self, name: &str) {
        self.kept().retain(|(kept, _), _| kept != name);
    }

    /// Ends all connections, and those to come.
    pub(super) fn close(&self) {
        self.end.cancel();
        self.kept().clear();
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<(String, String), Arc<McpServer>>> {
        self.kept.lock()
    }
}

impl McpServer {
    fn new(tool: &Tool, end: CancellationToken) -> Self {
        let (fingerprints, connection, guard) = (Mutex::default(), Mutex::default(), end.clone().drop_guard());
        Self { tool: Arc::downgrade(tool), fingerprints, connection, backoff: Arc::default(), end, _end: guard }
    }

    pub(super) fn backoff(&self) -> MutexGuard<'_, Backoff> {
        self.backoff.lock()
    }

    /// The connection, unless it is closed or could not be opened some time ago: then a new one.
    pub(super) fn connect(&self, target: &McpTarget, tasks: &TaskTracker) -> PendingConnection {
        let mut current = self.connection.lock();
        if let Some(opening) = &*current {
            match opening.clone().now_or_never() {
                Some(Ok(connection)) if connection.is_closed() => {}
                Some(Err(_)) if self.backoff().is_ready(Instant::now()) => {}
                _ => return opening.clone(),
            }
        }
        let opening = McpConnection::open(target.clone(), tasks.clone(), self.end.child_token());
        let backoff = Arc::clone(&self.backoff);
        let opening = tasks.spawn(async move {
            let opened = opening.await;
            backoff.lock().record(opened.is_err(), Instant::now());
            opened
        });
        let opening = opening.map(|opened| opened.unwrap_or(Err(McpError::Closed))).boxed().shared();
        *current = Some(opening.clone());
        opening
    }

    /// Has the list of tools read anew when it is needed next.
    pub(super) fn refresh(&self) {
        let opening = self.connection.lock().clone();
        if let Some(Ok(connection)) = opening.and_then(FutureExt::now_or_never) {
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

    fn count(servers: &ServerPool) -> usize {
        servers.kept().len()
    }

    #[tokio::test]
    async fn each_state_of_a_tool_has_its_own_and_what_nobody_knows_any_longer_is_let_go() {
        let (servers, former, latter) =
            (ServerPool::default(), tool("a", "http://127.0.0.1:1"), tool("a", "http://127.0.0.1:2"));
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

        servers.forget("a");
        assert_eq!((count(&servers), second.end.is_cancelled()), (1, false));
        servers.close();
        assert!(second.end.is_cancelled() && servers.get_or_insert(&latter).end.is_cancelled());
    }
}

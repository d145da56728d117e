use serde_json::Value;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::storage::{ExecutionStatus, ExecutionStore, Outcome};
use crate::telemetry::{in_context, metrics};

/// Records an execution as cancelled when the client leaves, which drops the request's future.
pub(super) struct CancelGuard<'a> {
    executions: &'a ExecutionStore,
    background: &'a TaskTracker,
    id: Option<String>,
    started: Instant,
}

impl<'a> CancelGuard<'a> {
    /// Watches over an execution; the record is written in the background.
    pub(super) fn new(executions: &'a ExecutionStore, background: &'a TaskTracker, id: &str) -> Self {
        Self { executions, background, id: Some(id.to_owned()), started: Instant::now() }
    }

    /// The execution has ended in another way.
    pub(super) fn disarm(mut self) {
        self.id = None;
    }
}

impl Drop for CancelGuard<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        metrics::chat("none", "cancelled", self.started.elapsed());
        let executions = self.executions.clone();
        self.background.spawn(in_context(async move {
            let outcome = Outcome {
                status: ExecutionStatus::Cancelled,
                answer: None,
                error: Some("Cancelled: the client left, or the server was stopped".to_owned()),
                metadata: Value::Null,
            };
            if let Err(error) = executions.finish(&id, &outcome).await {
                tracing::warn!(%error, "a cancelled execution could not be recorded");
            }
        }));
    }
}

use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::kernel::{Error, Redaction, new_id};
use crate::storage::{Execution, ExecutionStatus, ExecutionStore, Outcome, PendingWrite, Step};
use crate::telemetry::metrics;

const UNRECORDED: &str = "the execution could not be recorded";

/// Records one execution: its beginning, its plan, its steps as they end, and its end. One that is dropped before its end is
/// recorded as cancelled. A record that can't be written must not cost the client an answer, so that is logged only.
#[derive(Debug)]
pub struct ExecutionRecorder {
    executions: ExecutionStore,
    background: TaskTracker,
    id: String,
    redaction: Redaction,
    steps: Mutex<Vec<Step>>,
    /// Tells whether the beginning was written.
    begun: Mutex<Option<PendingWrite>>,
    started: Instant,
    is_finished: bool,
}

impl ExecutionRecorder {
    /// Records a new execution in this store. Writing that must not be cut short goes on in `background`.
    pub fn new(executions: ExecutionStore, background: TaskTracker, redaction: Redaction) -> Self {
        let (id, steps, started) = (new_id(), Mutex::default(), Instant::now());
        Self { executions, background, id, redaction, steps, begun: Mutex::default(), started, is_finished: false }
    }

    /// The id of the execution.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What masks the secrets in what is recorded.
    pub fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// The execution begins.
    pub async fn begin(&self, user_id: &str, prompt: &str, started_ms: i64) {
        let record = Execution {
            id: self.id.clone(),
            user_id: user_id.to_owned(),
            status: ExecutionStatus::Running,
            prompt: prompt.to_owned(),
            started_ms,
            ..Execution::default()
        };
        let begun = self.executions.begin(record).await;
        *self.begun.lock() = begun.inspect_err(|error| tracing::warn!(%error, "{UNRECORDED}")).ok();
    }

    /// The plan is made.
    pub async fn plan(&self, intent: &str, confidence: f64, plan: &Value) {
        let recorded = self.executions.plan(&self.id, intent, confidence, plan.to_string()).await;
        log_failure("the plan could not be recorded", recorded);
    }

    /// A step has ended. Gives it back without secrets.
    pub async fn step(&self, step: Step) -> Step {
        let step = step.masked(&self.redaction);
        metrics::step(&step.action, step.status.as_str());
        let ordinal = {
            let mut steps = self.steps.lock();
            steps.push(step.clone());
            i64::try_from(steps.len() - 1).unwrap_or(i64::MAX)
        };
        log_failure("a step could not be recorded", self.executions.step(&self.id, ordinal, step.clone()).await);
        step
    }

    /// All steps so far, without secrets.
    pub fn steps(&self) -> Vec<Step> {
        self.steps.lock().clone()
    }

    /// The execution ends; if it has failed, `answer` is what a client was shown of it before. `error` is what went wrong, also with
    /// an answer, and `metadata` that of the reply, as JSON. It is written even if the client leaves now. Returns whether it is.
    pub async fn finish(
        &mut self,
        has_failed: bool,
        answer: Option<String>,
        error: Option<String>,
        metadata: String,
    ) -> bool {
        self.is_finished = true;
        let status = if has_failed { ExecutionStatus::Failed } else { ExecutionStatus::Completed };
        let outcome = Outcome { status, answer, error, metadata };
        let finished = self.executions.finish(&self.id, outcome).await;
        // The end of what has not begun is written in vain.
        let begun = self.begun.lock().take();
        let has_begun = match begun {
            Some(begun) => log_failure(UNRECORDED, begun.written().await.map(drop)),
            None => false,
        };
        log_failure(UNRECORDED, finished) && has_begun
    }

    /// Corrects what was recorded of the end.
    pub async fn amend(&self, error: Option<String>, metadata: String) {
        let amended = self.executions.amend(&self.id, error, metadata).await;
        log_failure("the record of an execution could not be corrected", amended);
    }

    fn write_cancelled(&self) {
        let error = Some("Cancelled: the client left, or the server was stopped".to_owned());
        let (status, metadata) = (ExecutionStatus::Cancelled, Value::Null.to_string());
        let outcome = Outcome { status, answer: None, error, metadata };
        let (executions, id) = (self.executions.clone(), self.id.clone());
        let writing = async move {
            log_failure("a cancelled execution could not be recorded", executions.finish(&id, outcome).await);
        };
        self.background.spawn(writing.in_current_span());
    }
}

impl Drop for ExecutionRecorder {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        metrics::chat("none", "cancelled", self.started.elapsed());
        self.write_cancelled();
    }
}

/// Returns whether there was none.
fn log_failure(what: &str, outcome: Result<(), Error>) -> bool {
    outcome.inspect_err(|error| tracing::warn!(%error, "{what}")).is_ok()
}

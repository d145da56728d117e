use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::kernel::{Error, Redaction, new_id};
use crate::storage::{Execution, ExecutionStatus, ExecutionStore, Outcome, Step};
use crate::telemetry::metrics;

/// Records one execution: its beginning, its plan, its steps as they end, and its end. One that is dropped before its end is
/// recorded as cancelled. A record that can't be written must not cost the client an answer, so that is logged only.
#[derive(Debug)]
pub struct ExecutionRecorder {
    executions: ExecutionStore,
    background: TaskTracker,
    id: String,
    redaction: Redaction,
    steps: Mutex<Vec<Step>>,
    started: Instant,
    is_finished: bool,
}

impl ExecutionRecorder {
    /// Records a new execution in this store. Writing that must not be cut short goes on in `background`.
    pub fn new(executions: ExecutionStore, background: TaskTracker, redaction: Redaction) -> Self {
        let (id, steps, started) = (new_id(), Mutex::default(), Instant::now());
        Self { executions, background, id, redaction, steps, started, is_finished: false }
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
        log_failure("the execution could not be recorded", self.executions.begin(record).await);
    }

    /// The plan is made.
    pub async fn plan(&self, intent: &str, confidence: f64, plan: &Value) {
        let recorded = self.executions.plan(&self.id, intent, confidence, plan).await;
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
    /// an answer, and `metadata` that of the reply. Writing goes on even if the client leaves now.
    pub async fn finish(mut self, has_failed: bool, answer: Option<String>, error: Option<String>, metadata: &Value) {
        self.is_finished = true;
        let status = if has_failed { ExecutionStatus::Failed } else { ExecutionStatus::Completed };
        drop(self.write_end(Outcome { status, answer, error, metadata: metadata.to_string() }).await);
    }

    fn write_end(&self, outcome: Outcome) -> tokio::task::JoinHandle<()> {
        let (executions, id) = (self.executions.clone(), self.id.clone());
        let what = match outcome.status {
            ExecutionStatus::Cancelled => "a cancelled execution could not be recorded",
            _ => "the execution could not be recorded",
        };
        let writing = async move { log_failure(what, executions.finish(&id, outcome).await) };
        self.background.spawn(writing.in_current_span())
    }
}

impl Drop for ExecutionRecorder {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        metrics::chat("none", "cancelled", self.started.elapsed());
        let error = Some("Cancelled: the client left, or the server was stopped".to_owned());
        let (status, metadata) = (ExecutionStatus::Cancelled, Value::Null.to_string());
        drop(self.write_end(Outcome { status, answer: None, error, metadata }));
    }
}

fn log_failure(what: &str, outcome: Result<(), Error>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "{what}");
    }
}

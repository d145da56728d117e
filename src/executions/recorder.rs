use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::event_log::EventLog;
use crate::kernel::{Deadline, Error, Redaction, new_id};
use crate::storage::{
    Execution, ExecutionStatus, ExecutionStore, Outcome, PLANNED_EVENT, PendingWrite, PlanRecord, Step, TaskFact,
    TaskStart,
};
use crate::telemetry::metrics;

const UNRECORDED: &str = "the execution could not be recorded";

/// Records one execution: its beginning, its plan, its tasks as they begin and end, and its end. One that is dropped before its end
/// is recorded as cancelled. A record that can't be written must not cost the client an answer, so that is logged only.
#[derive(Debug)]
pub struct ExecutionRecorder {
    executions: ExecutionStore,
    background: TaskTracker,
    log: Arc<EventLog>,
    redaction: Redaction,
    /// Tells whether the beginning was written.
    begun: Mutex<Option<PendingWrite>>,
    started: Instant,
    is_finished: bool,
}

impl ExecutionRecorder {
    /// Records a new execution in this store. Writing that must not be cut short goes on in `background`.
    pub fn new(executions: ExecutionStore, background: TaskTracker, redaction: Redaction) -> Self {
        let (log, started) = (Arc::new(EventLog::new(executions.clone(), new_id())), Instant::now());
        Self { executions, background, log, redaction, begun: Mutex::default(), started, is_finished: false }
    }

    /// The id of the execution.
    pub fn id(&self) -> &str {
        self.log.id()
    }

    /// What masks the secrets in what is recorded.
    pub fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// The execution begins.
    pub async fn begin(&self, user_id: &str, prompt: &str, started_ms: i64) {
        let record = Execution {
            id: self.id().to_owned(),
            user_id: user_id.to_owned(),
            status: ExecutionStatus::Running,
            prompt: prompt.to_owned(),
            started_ms,
            ..Execution::default()
        };
        let begun = self.executions.begin(record).await;
        *self.begun.lock() = begun.inspect_err(|error| tracing::warn!(%error, "{UNRECORDED}")).ok();
    }

    /// The plan is made. Gives the number of that in the log.
    pub async fn plan(&self, intent: &str, confidence: f64, plan: &Value) -> i64 {
        let (intent, plan, planned_ms) = (intent.to_owned(), plan.to_string(), self.executions.now_ms());
        self.log.put(self.log.add_plan(PlanRecord { intent, confidence, plan, planned_ms })).await;
        PLANNED_EVENT
    }

    /// A task with side effects is about to begin, which it must not before this is written or the time is up.
    pub async fn task_begins(&self, start: TaskStart, deadline: Deadline) {
        let (_, key) = self.log.add(TaskFact::Started(start.masked(&self.redaction)));
        let written = timeout_at(deadline.instant(), self.log.write(key)).await;
        let late = |_| Err(Error::internal("could not record a task", "no time is left"));
        log_failure("that a task begins could not be recorded", written.unwrap_or_else(late));
    }

    /// A step has ended. Gives the number of that in the log, the step without secrets, and the recording of it, which is to be begun
    /// at once.
    pub fn step(&self, step: Step) -> (i64, Step, impl Future<Output = ()> + '_) {
        let step = step.masked(&self.redaction);
        metrics::step(&step.action, step.status.as_str());
        let (number, key) = self.log.add(TaskFact::Finished(step.clone()));
        (number, step, self.log.put(key))
    }

    /// All steps so far, without secrets.
    pub fn steps(&self) -> Vec<Step> {
        self.log.steps()
    }

    /// The number that the end has in the log, if nothing more happens before.
    pub fn end_number(&self) -> i64 {
        self.log.end_number()
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
        self.log.put_again(true).await;
        self.is_finished = true;
        let status = if has_failed { ExecutionStatus::Failed } else { ExecutionStatus::Completed };
        let outcome = Outcome { status, answer, error, metadata };
        let finished = self.log.finish(outcome).await;
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
        let amended = self.executions.amend(self.id(), error, metadata).await;
        log_failure("the record of an execution could not be corrected", amended);
    }

    fn write_cancelled(&self) {
        let error = Some("Cancelled: the client left, or the server was stopped".to_owned());
        let (status, metadata) = (ExecutionStatus::Cancelled, Value::Null.to_string());
        let outcome = Outcome { status, answer: None, error, metadata };
        let log = self.log.clone();
        let writing = async move {
            log.put_again(true).await;
            log_failure("a cancelled execution could not be recorded", log.finish(outcome).await);
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

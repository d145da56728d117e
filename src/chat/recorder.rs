use super::events::EventSink;
use crate::kernel::Redaction;
use crate::storage::{ExecutionStore, Step};
use crate::telemetry::metrics;
use parking_lot::Mutex;

/// The steps of one request, as they end: each is recorded, told to a streaming client, and kept for the reply. Tasks log what
/// they do on the way (a tool that runs, code that is mended) as steps whose ids begin with the task's own.
#[derive(Debug)]
pub(super) struct StepRecorder {
    executions: ExecutionStore,
    execution: String,
    events: EventSink,
    redaction: Redaction,
    steps: Mutex<Vec<Step>>,
}

impl StepRecorder {
    /// The log of an execution.
    pub(super) fn new(executions: ExecutionStore, execution: String, events: EventSink, redaction: Redaction) -> Self {
        let events = events.masking(redaction.clone());
        Self { executions, execution, events, redaction, steps: Mutex::default() }
    }

    /// The id of the execution.
    pub(super) fn execution(&self) -> &str {
        &self.execution
    }

    /// Where its events go.
    pub(super) fn events(&self) -> &EventSink {
        &self.events
    }

    /// What masks the secrets that its request knows.
    pub(super) fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// A step has ended.
    pub(super) async fn add(&self, step: Step) {
        let step = step.masked(&self.redaction);
        metrics::step(&step.action, step.status.as_str());
        let ordinal = {
            let mut steps = self.steps.lock();
            steps.push(step.clone());
            i64::try_from(steps.len() - 1).unwrap_or(i64::MAX)
        };
        // A record that can't be written must not cost the client an answer.
        if let Err(error) = self.executions.step(&self.execution, ordinal, &step).await {
            tracing::warn!(%error, "a step could not be recorded");
        }
        self.events.step(&step).await;
    }

    /// All steps so far.
    pub(super) fn steps(&self) -> Vec<Step> {
        self.steps.lock().clone()
    }
}

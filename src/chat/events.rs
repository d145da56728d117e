use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::task::Action;
use crate::kernel::Stopwatch;
use crate::storage::{Step, StepStatus};

/// Events that wait to be sent; a slow client slows the work down instead of filling memory.
const CHANNEL_CAPACITY: usize = 64;

/// What a streaming client hears while the work goes on.
#[derive(Debug)]
pub enum ChatEvent {
    /// The plan is made.
    Execution {
        /// In the log of the execution.
        number: i64,
        planned: PlannedExecution,
    },
    /// A task has ended.
    Step {
        /// In the log of the execution.
        number: i64,
        step: StepSummary,
    },
    /// More of the answer.
    Delta(String),
}

/// What is going to be done.
#[derive(Debug, Serialize)]
pub struct PlannedExecution {
    pub(super) execution_id: String,
    pub(super) intent: &'static str,
    pub(super) intent_confidence: f64,
    /// The tasks and what each depends on.
    pub(super) plan: Value,
}

/// A step as replies show it: its output is the answer or part of it, so it is not repeated.
#[derive(Clone, Debug, Serialize)]
pub struct StepSummary {
    id: String,
    action: String,
    target: Option<String>,
    status: &'static str,
    duration_ms: i64,
    error: Option<String>,
    query: Option<String>,
}

impl StepSummary {
    /// The agent, the data source or the tool that it got something from; `None` for a model, and if it got nothing.
    pub fn used(&self) -> Option<&str> {
        let is_of_model = self.action == Action::LlmCall.as_str();
        let is_completed = self.status == StepStatus::Completed.as_str();
        self.target.as_deref().filter(|_| is_completed && !is_of_model)
    }
}

impl From<Step> for StepSummary {
    fn from(step: Step) -> Self {
        let Step { id, action, target, status, duration_ms, error, query, output: _ } = step;
        Self { id, action, target, status: status.as_str(), duration_ms, error, query }
    }
}

/// Sends events to a streaming client, or nowhere. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct EventSender(Option<mpsc::Sender<ChatEvent>>);

impl EventSender {
    /// A sender and the end from which its events are taken.
    pub fn streaming() -> (Self, mpsc::Receiver<ChatEvent>) {
        let (sender, receiver) = mpsc::channel(CHANNEL_CAPACITY);
        (Self(Some(sender)), receiver)
    }

    /// Whether anybody listens.
    pub(super) fn is_streaming(&self) -> bool {
        self.0.is_some()
    }

    /// Sends an event, as soon as the client has read enough of those before.
    pub(super) async fn send(&self, event: ChatEvent) {
        if let Some(sender) = &self.0 {
            // For a client that reads slowly.
            let _waiting = Stopwatch::wait();
            // A closed channel means that the client left; the work is about to be dropped.
            drop(sender.send(event).await);
        }
    }
}

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::intent::Classification;
use super::planner::Plan;
use crate::kernel::{Redaction, Stopwatch, StreamRedactor};
use crate::storage::Step;

/// Events that wait to be sent; a slow client slows the work down instead of filling memory.
const CHANNEL_CAPACITY: usize = 64;

/// What a streaming client hears while the work goes on.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ChatEvent {
    /// The work has begun.
    Execution(Value),
    /// A task has ended.
    Step(Value),
    /// More of the answer.
    Delta(String),
}

/// Where events go: to a streaming client, or nowhere.
#[derive(Clone, Debug, Default)]
pub(super) struct EventSink {
    sender: Option<mpsc::Sender<ChatEvent>>,
    answer: Arc<Mutex<StreamedAnswer>>,
}

/// The answer as it goes out in pieces.
#[derive(Debug, Default)]
struct StreamedAnswer {
    redactor: StreamRedactor,
    /// All of it that was sent.
    heard: String,
}

impl EventSink {
    /// A sink and the end from which its events are taken.
    pub(super) fn streaming() -> (Self, mpsc::Receiver<ChatEvent>) {
        let (sender, receiver) = mpsc::channel(CHANNEL_CAPACITY);
        (Self { sender: Some(sender), answer: Arc::default() }, receiver)
    }

    /// The sink with the secrets of an answer masked, however it is cut into pieces.
    pub(super) fn masking(self, redaction: Redaction) -> Self {
        let redactor = StreamRedactor::new(redaction);
        Self { answer: Arc::new(Mutex::new(StreamedAnswer { redactor, heard: String::new() })), ..self }
    }

    /// Whether anybody listens.
    pub(super) fn is_streaming(&self) -> bool {
        self.sender.is_some()
    }

    pub(super) async fn begun(&self, execution_id: &str, classification: &Classification, plan: &Plan) {
        self.send(ChatEvent::Execution(json!({
            "execution_id": execution_id,
            "intent": classification.intent.as_str(),
            "intent_confidence": classification.confidence,
            "plan": plan.to_json(),
        })))
        .await;
    }

    pub(super) async fn step(&self, step: &Step) {
        self.send(ChatEvent::Step(step_json(step))).await;
    }

    /// More of the answer. What may be the beginning of a secret waits until that is certain.
    pub(super) async fn delta(&self, text: String) {
        if self.is_streaming() {
            let shown = self.answer().redactor.push(text);
            self.tell(shown).await;
        }
    }

    /// Sends what still waits: nobody adds to it.
    pub(super) async fn flush(&self) {
        let rest = self.answer().redactor.finish();
        self.tell(rest).await;
    }

    /// All that a streaming client has heard of the answer, once nothing waits.
    pub(super) async fn heard(&self) -> Option<String> {
        self.flush().await;
        self.is_streaming().then(|| self.answer().heard.clone())
    }

    async fn tell(&self, text: String) {
        if !text.is_empty() {
            self.answer().heard.push_str(&text);
            self.send(ChatEvent::Delta(text)).await;
        }
    }

    fn answer(&self) -> MutexGuard<'_, StreamedAnswer> {
        self.answer.lock()
    }

    async fn send(&self, event: ChatEvent) {
        if let Some(sender) = &self.sender {
            // For a client that reads slowly.
            let _waiting = Stopwatch::wait();
            // A closed channel means that the client left; the work is about to be dropped.
            drop(sender.send(event).await);
        }
    }
}

/// A step as replies show it: its output is the answer or part of it, so it is not repeated.
pub(super) fn step_json(step: &Step) -> Value {
    json!({
        "id": step.id,
        "action": step.action,
        "target": step.target,
        "status": step.status.as_str(),
        "duration_ms": step.duration_ms,
        "error": step.error,
        "query": step.query,
    })
}

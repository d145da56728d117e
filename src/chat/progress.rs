use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::events::step_json;
use super::intent::Classification;
use super::tasks::{TaskOutput, WebSource};
use crate::kernel::{Error, Redaction};
use crate::llm::Usage;
use crate::storage::Step;

/// What a client is told in the end.
#[derive(Debug)]
pub(super) struct ChatResponse {
    pub(super) answer: String,
    pub(super) metadata: Value,
    pub(super) execution_id: String,
    /// Why there is no answer.
    pub(super) failure: Option<Error>,
    /// What the answer lacks.
    pub(super) lacking: Vec<String>,
}

/// An answer and what is worth knowing about it; also what the cache keeps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) text: String,
    /// None if the answer is no model's.
    pub(super) model: Option<String>,
    pub(super) usage: Option<Usage>,
}

/// What has happened so far. It outlives the work, so that a request that runs out of time can still be told about.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) classification: Option<Classification>,
    pub(super) missing: Vec<String>,
    pub(super) steps: Vec<Step>,
    pub(super) iterations: usize,
    pub(super) answer: Option<Answer>,
    pub(super) cached: bool,
    pub(super) memory_saved: Option<bool>,
    /// What data sources gave.
    pub(super) data: Vec<Value>,
    /// What searches of the web found; none if nothing was searched.
    pub(super) sources: Option<Vec<WebSource>>,
    /// Tokens used by steps before the answer.
    pub(super) usage: Option<Usage>,
    /// What the answer lacks.
    pub(super) lacking: Vec<String>,
    /// What did not work as it should, though the answer lacks nothing.
    pub(super) warnings: Vec<String>,
}

impl ChatResponse {
    /// Why there is no answer, and everything that is missing.
    pub(super) fn error(&self) -> Option<String> {
        let failure = self.failure.as_ref().map(|error| error.public_detail());
        let all: Vec<_> = failure.into_iter().chain(self.lacking.iter().map(String::as_str)).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl Progress {
    /// A step gave nothing: the answer is only a partial one.
    pub(super) fn record_gap(&mut self, step: &Step, error: &Error) {
        let what = format!("{} {}: {}", step.action, step.status.as_str(), error.public_detail());
        self.missing.push(what.clone());
        self.lacking.push(what);
    }

    /// A step gave something.
    pub(super) fn absorb(&mut self, output: &TaskOutput) {
        self.iterations += output.rounds;
        self.data.extend(output.data.clone());
        if let Some(sources) = &output.sources {
            WebSource::merge(self.sources.get_or_insert_default(), sources);
        }
        if let Some(lacks) = &output.lacks {
            self.missing.push(lacks.clone());
            self.lacking.push(lacks.clone());
        }
    }

    /// Whether anything was not as it should be.
    pub(super) fn is_degraded(&self) -> bool {
        !(self.lacking.is_empty() && self.warnings.is_empty())
    }

    pub(super) fn metadata(&self, id: &str, has_error: bool, elapsed: Duration) -> Value {
        let classification = self.classification.as_ref();
        let answer = self.answer.as_ref();
        let mut metadata = json!({
            "execution_id": id,
            "intent": classification.map(|classification| classification.intent.as_str()),
            "intent_confidence": classification.map(|classification| classification.confidence),
            "iterations": self.iterations,
            "has_error": has_error,
            "steps": self.steps.iter().map(step_json).collect::<Vec<_>>(),
            "model": answer.and_then(|answer| answer.model.as_ref()),
            "usage": Usage::sum(self.usage, answer.and_then(|answer| answer.usage)),
            "cached": self.cached,
            "degraded": self.is_degraded(),
            "warnings": self.warnings,
            "memory_saved": self.memory_saved,
            "missing": self.missing,
            "duration_ms": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        });
        if let (false, Some(metadata)) = (self.data.is_empty(), metadata.as_object_mut()) {
            metadata.insert("data".to_owned(), json!(self.data));
        }
        if let (Some(sources), Some(metadata)) = (&self.sources, metadata.as_object_mut()) {
            metadata.insert("sources".to_owned(), json!(sources));
        }
        metadata
    }
}

impl Answer {
    /// The answer without secrets.
    pub(super) fn masked(self, redaction: &Redaction) -> Self {
        let model = self.model.map(|model| redaction.text(&model));
        Self { text: redaction.text(&self.text), model, ..self }
    }
}

impl From<TaskOutput> for Answer {
    fn from(output: TaskOutput) -> Self {
        Self { text: output.text, model: output.model, usage: output.usage }
    }
}

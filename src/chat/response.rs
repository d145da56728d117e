use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::answer::Answer;
use super::context::{ChatContext, millis};
use super::events::StepSummary;
use super::gap::Gap;
use super::intent::Classification;
use super::task::{TaskFailure, TaskOutput};
use super::web_sources::WebSource;
use crate::kernel::{Error, ErrorKind};
use crate::llm::Usage;

/// What a client is told in the end.
#[derive(Debug)]
pub(super) struct ChatResponse {
    /// Empty if there is none.
    pub(super) answer: String,
    pub(super) metadata: Value,
    pub(super) execution_id: String,
    /// Why there is no answer, and everything that is missing.
    pub(super) error: Option<String>,
    /// Why there is no answer.
    pub(super) failure: Option<Error>,
}

/// What a request has come to so far. It outlives the work, so that a request that runs out of time can still be told about.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) classification: Option<Classification>,
    pub(super) gaps: Vec<Gap>,
    /// Rounds of tasks, and of a model's calls.
    pub(super) iterations: usize,
    pub(super) answer: Option<Answer>,
    pub(super) cached: bool,
    pub(super) memory_saved: Option<bool>,
    /// What data sources gave.
    data: Vec<Value>,
    /// What was found, for an answer below or without a model's.
    found: Vec<TaskOutput>,
    /// Tokens used by steps before the answer.
    usage: Option<Usage>,
    /// What did not work as it should, though the answer lacks nothing.
    pub(super) warnings: Vec<String>,
}

/// `metadata` of a reply.
#[derive(Serialize)]
struct ReplyMetadata<'a> {
    execution_id: &'a str,
    intent: Option<&'static str>,
    intent_confidence: Option<f64>,
    iterations: usize,
    has_error: bool,
    steps: Vec<StepSummary>,
    model: Option<&'a str>,
    usage: Option<Usage>,
    cached: bool,
    degraded: bool,
    warnings: &'a [String],
    memory_saved: Option<bool>,
    missing: Vec<&'a str>,
    duration_ms: i64,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    data: &'a [Value],
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<Vec<WebSource>>,
}

impl Progress {
    /// Takes over what a step gave, or why it gave nothing: then the answer is only a partial one.
    pub(super) fn absorb_step(&mut self, what: &str, result: Result<TaskOutput, TaskFailure>) {
        match result {
            Ok(mut output) => {
                self.absorb(&mut output);
                self.usage = Usage::sum(self.usage, output.usage);
                self.found.push(output);
            }
            Err(failure) => {
                let error = self.absorb_failure(failure);
                self.gaps.push(Gap::new(format!("{what}: {}", error.public_detail()), true));
            }
        }
    }

    /// Takes over the answer, and below it what steps show; if its task failed, what was found stands for itself.
    pub(super) async fn absorb_answer(
        &mut self,
        chat: &ChatContext<'_>,
        result: Result<TaskOutput, TaskFailure>,
    ) -> Result<(), Error> {
        let (mut answer, addition) = match result {
            Ok(mut output) => {
                self.absorb(&mut output);
                let shown = self.found.iter().filter_map(|found| found.for_answer.clone());
                let shown: Vec<_> = shown.chain(chat.sources.list()).collect();
                (Answer { text: String::new(), model: output.model, usage: output.usage }, shown.join("\n\n"))
            }
            Err(failure) => {
                let error = self.absorb_failure(failure);
                if self.found.is_empty() {
                    return Err(error);
                }
                self.gaps.push(Gap::internal(format!("No model could put this into words: {}", error.public_detail())));
                chat.answer.retract();
                let all = self.found.iter().map(|found| found.for_answer.as_deref().unwrap_or(&found.text));
                (Answer::default(), all.collect::<Vec<_>>().join("\n\n"))
            }
        };
        if !addition.is_empty() {
            chat.answer.push_paragraph(&addition).await;
        }
        answer.text = chat.answer.text().await;
        self.answer = Some(answer.masked(chat.recorder.redaction()));
        Ok(())
    }

    fn absorb(&mut self, output: &mut TaskOutput) {
        self.iterations += output.rounds;
        self.data.extend(output.data.take());
        self.gaps.extend(output.gap.take().map(|gap| Gap::new(gap, true)));
    }

    fn absorb_failure(&mut self, failure: TaskFailure) -> Error {
        self.iterations += failure.rounds;
        self.usage = Usage::sum(self.usage, failure.usage);
        self.found.extend(failure.found.map(|text| TaskOutput { text, ..TaskOutput::default() }));
        failure.error
    }

    /// Whether anything was not as it should be.
    fn is_degraded(&self) -> bool {
        self.gaps.iter().any(|gap| gap.degrades) || !self.warnings.is_empty()
    }

    /// How the request ended, for figures and the log.
    pub(super) fn outcome(&self, failure: Option<&Error>) -> &'static str {
        match failure {
            Some(error) if error.kind() == ErrorKind::Timeout => "timeout",
            Some(_) => "failed",
            None if self.is_degraded() => "degraded",
            None => "completed",
        }
    }

    /// What the client is told of a request that has ended.
    pub(super) fn response(self, chat: &ChatContext<'_>, failure: Option<Error>, took: Duration) -> ChatResponse {
        let redaction = chat.recorder.redaction();
        let metadata = redaction.json(self.metadata(chat, failure.is_some(), took));
        let failure = failure.map(|error| error.masked(redaction));
        let lacking = self.gaps.iter().filter(|gap| gap.degrades).map(|gap| redaction.text(&gap.text));
        let why = failure.as_ref().map(|error| error.public_detail().to_owned());
        let all: Vec<_> = why.into_iter().chain(lacking).collect();
        ChatResponse {
            answer: self.answer.unwrap_or_default().text,
            metadata,
            execution_id: chat.recorder.id().to_owned(),
            error: (!all.is_empty()).then(|| all.join("; ")),
            failure,
        }
    }

    fn metadata(&self, chat: &ChatContext<'_>, has_error: bool, took: Duration) -> Value {
        let (answer, gaps) = (self.answer.as_ref(), self.gaps.iter());
        let metadata = ReplyMetadata {
            execution_id: chat.recorder.id(),
            intent: self.classification.map(|classification| classification.intent.as_str()),
            intent_confidence: self.classification.map(|classification| classification.confidence),
            iterations: self.iterations,
            has_error,
            steps: chat.recorder.steps().into_iter().map(StepSummary::from).collect(),
            model: answer.and_then(|answer| answer.model.as_deref()),
            usage: Usage::sum(self.usage, answer.and_then(|answer| answer.usage)),
            cached: self.cached,
            degraded: self.is_degraded(),
            warnings: &self.warnings,
            memory_saved: self.memory_saved,
            missing: gaps.filter(|gap| gap.is_listed).map(|gap| gap.text.as_str()).collect(),
            duration_ms: millis(took),
            data: &self.data,
            sources: chat.sources.all(),
        };
        serde_json::to_value(metadata).unwrap_or_default()
    }
}

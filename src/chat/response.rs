use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::answer::Answer;
use super::chart::Chart;
use super::context::{ChatContext, millis};
use super::events::StepSummary;
use super::gap::Gap;
use super::honesty::failed_parts;
use super::intent::Classification;
use super::routing::{RoutedBy, RoutedTarget, Routing};
use super::task::{TaskFailure, TaskOutput};
use super::web_sources::WebSource;
use crate::kernel::{Error, ErrorKind, UserId, truncate_chars};
use crate::llm::{FinishReason, Usage};

/// The place of the answer in the plan: after all steps.
const LAST: usize = usize::MAX;
/// Characters of reasoning that a client is told.
const MAX_REASONING_CHARS: usize = 20_000;

/// What a client is told in the end.
#[derive(Debug)]
pub struct ChatResponse {
    /// Empty if there is none.
    pub answer: String,
    /// As replies show it.
    pub metadata: String,
    /// What data sources gave.
    pub data: Vec<Value>,
    /// What the model thought, if the request asks for it. No part of what is recorded.
    pub reasoning: Option<String>,
    /// The id of the execution.
    pub execution_id: String,
    /// The number of its end in the log of the execution.
    pub end_number: i64,
    /// The model that wrote the answer, if one did.
    pub model: Option<String>,
    /// What was done, in the order in which it ended.
    pub steps: Vec<StepSummary>,
    /// How long all took.
    pub duration_ms: i64,
    /// Why there is no answer, and everything that is missing.
    pub error: Option<String>,
    /// Why there is no answer.
    pub failure: Option<Error>,
}

/// What a request has come to so far. It outlives the work, so that a request that runs out of time can still be told about.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) classification: Option<Classification>,
    pub(super) gaps: Vec<Gap>,
    /// What was chosen, by whom, and why.
    pub(super) routing: Option<Routing>,
    /// Rounds of tasks, and of a model's calls.
    pub(super) iterations: usize,
    pub(super) answer: Option<Answer>,
    /// What the model thought before it wrote the answer.
    reasoning: Option<String>,
    pub(super) cached: bool,
    pub(super) memory_saved: Option<bool>,
    /// What data sources gave.
    data: InPlanOrder<Value>,
    /// What was found, for an answer below or without a model's.
    found: InPlanOrder<TaskOutput>,
    /// The steps that gave nothing, each with its reason.
    failed: InPlanOrder<String>,
    /// What the plan was to use and could not, each with its reason.
    pub(super) unavailable: Vec<String>,
    /// Tokens used by steps before the answer.
    usage: Option<Usage>,
    /// What did not work as it should, though the answer lacks nothing.
    pub(super) warnings: Vec<String>,
}

/// What tasks gave, in the order of the plan, whichever ended first.
#[derive(Debug)]
struct InPlanOrder<T>(BTreeMap<usize, Vec<T>>);

impl<T> Default for InPlanOrder<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> InPlanOrder<T> {
    fn add(&mut self, at: usize, item: T) {
        self.0.entry(at).or_default().push(item);
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.values().flatten()
    }
}

/// What `metadata` of a reply tells.
#[derive(Serialize)]
struct MetadataFields<'a> {
    execution_id: &'a str,
    intent: Option<&'static str>,
    intent_confidence: Option<f64>,
    iterations: usize,
    has_error: bool,
    routing: Option<&'a Routing>,
    steps: &'a [StepSummary],
    model: Option<&'a str>,
    usage: Option<Usage>,
    finish_reason: Option<FinishReason>,
    cached: bool,
    degraded: bool,
    warnings: &'a [String],
    user_id: Option<&'a str>,
    memory_saved: Option<bool>,
    missing: Vec<&'a str>,
    duration_ms: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    data: Vec<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chart: Option<Chart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<Vec<WebSource>>,
}

/// That a function was not offered to the model, though nothing may be lacking for it.
fn not_offered(name: &str) -> String {
    format!("the function '{name}' was not offered, since the LLM server does not take it")
}

impl Progress {
    /// Takes over what the step at this place of the plan gave, or why it gave nothing: then the answer is only a partial one.
    /// `label` is what the step uses.
    pub(super) fn absorb_step(&mut self, at: usize, what: &str, label: &str, result: Result<TaskOutput, TaskFailure>) {
        match result {
            Ok(mut output) => {
                self.usage = Usage::sum(self.usage, output.usage);
                self.absorb(at, &mut output);
                self.found.add(at, output);
            }
            Err(failure) => {
                let error = self.absorb_failure(at, failure);
                self.failed.add(at, format!("{label}: {}", error.public_detail()));
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
        let (mut answer, mut addition) = match result {
            Ok(mut output) => {
                self.absorb(LAST, &mut output);
                self.absorb_calls(std::mem::take(&mut output.called));
                self.reasoning = output.reasoning;
                let shown = self.found.iter().filter_map(|found| found.for_answer.clone());
                let shown: Vec<_> = shown.chain(chat.sources.list()).collect();
                let TaskOutput { model, usage, finish_reason, .. } = output;
                (Answer { text: String::new(), model, usage, finish_reason }, shown)
            }
            Err(failure) => {
                let error = self.absorb_failure(LAST, failure);
                if self.found.0.is_empty() {
                    return Err(error);
                }
                self.gaps.push(Gap::internal(format!("No model could put this into words: {}", error.public_detail())));
                chat.answer.retract();
                let all = self.found.iter().map(|found| found.for_answer.clone().unwrap_or_else(|| found.text.clone()));
                (Answer::default(), all.collect())
            }
        };
        // Where that is all, the answer's first sentence has said so.
        let failed: Vec<_> = self.failed.iter().chain(&self.unavailable).collect();
        if failed.len() > 1 || !failed.is_empty() && !self.found.0.is_empty() {
            addition.push(failed_parts(&failed, &chat.request.prompt));
        }
        if !addition.is_empty() {
            chat.answer.push_paragraph(&addition.join("\n\n")).await;
        }
        answer.text = chat.answer.text().await;
        self.warnings.extend(answer.cut_off().map(str::to_owned));
        self.answer = Some(answer.masked(chat.recorder.redaction()));
        Ok(())
    }

    fn absorb(&mut self, at: usize, output: &mut TaskOutput) {
        self.iterations += output.rounds;
        output.data.take().into_iter().for_each(|data| self.data.add(at, data));
        self.gaps.extend(output.gap.take().map(|gap| Gap::new(gap, true)));
        let left_out = std::mem::take(&mut output.left_out).into_iter();
        self.gaps.extend(left_out.map(|name| Gap::new(not_offered(&name), false)));
        std::mem::take(&mut output.parts).into_iter().for_each(|part| self.absorb_part(at, part));
    }

    /// Takes over what a called function gave; what is there already is not shown again.
    fn absorb_part(&mut self, at: usize, mut part: TaskOutput) {
        if part.data.as_ref().is_some_and(|data| self.data.iter().any(|known| known == data)) {
            return;
        }
        part.data.take().into_iter().for_each(|data| self.data.add(at, data));
        self.found.add(at, part);
    }

    /// Notes what a model called while it answered.
    fn absorb_calls(&mut self, called: Vec<RoutedTarget>) {
        let Some(routing) = self.routing.as_mut().filter(|_| !called.is_empty()) else { return };
        // Where the plan used nothing, the model was left the choice.
        if routing.targets.is_empty() {
            routing.by = RoutedBy::Model;
        }
        let is_known = |targets: &[RoutedTarget], target: &RoutedTarget| {
            targets.iter().any(|known| (known.kind, &known.name) == (target.kind, &target.name))
        };
        for target in called {
            if !is_known(&routing.targets, &target) {
                routing.targets.push(target);
            }
        }
    }

    fn absorb_failure(&mut self, at: usize, failure: TaskFailure) -> Error {
        self.iterations += failure.rounds;
        self.usage = Usage::sum(self.usage, failure.usage);
        failure.found.into_iter().for_each(|part| self.absorb_part(at, part));
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
    pub(super) fn response(&self, chat: &ChatContext<'_>, failure: Option<&Error>, took: Duration) -> ChatResponse {
        let redaction = chat.recorder.redaction();
        let steps: Vec<_> = chat.recorder.steps().into_iter().map(StepSummary::from).collect();
        let fields = self.metadata(chat, &steps, failure.is_some(), took);
        let metadata = redaction.to_json(&fields);
        let failure = failure.map(|error| error.clone().masked(redaction));
        let lacking = self.gaps.iter().filter(|gap| gap.degrades).map(|gap| redaction.text(&gap.text));
        let why = failure.as_ref().map(|error| error.public_detail().to_owned());
        let all: Vec<_> = why.into_iter().chain(lacking).collect();
        let is_wanted = chat.request.options.include_reasoning == Some(true);
        let reasoning = self.reasoning.as_deref().filter(|_| is_wanted);
        let reasoning = reasoning.map(|text| truncate_chars(&redaction.text(text), MAX_REASONING_CHARS));
        let Answer { text, model, .. } = self.answer.clone().unwrap_or_default();
        ChatResponse {
            answer: text,
            model,
            reasoning,
            steps,
            duration_ms: millis(took),
            metadata,
            data: self.data.iter().map(|data| redaction.json(data.clone())).collect(),
            execution_id: chat.recorder.id().to_owned(),
            end_number: chat.recorder.end_number(),
            error: (!all.is_empty()).then(|| all.join("; ")),
            failure,
        }
    }

    fn metadata<'a>(
        &'a self,
        chat: &'a ChatContext<'_>,
        steps: &'a [StepSummary],
        has_error: bool,
        took: Duration,
    ) -> MetadataFields<'a> {
        let (answer, gaps) = (self.answer.as_ref(), self.gaps.iter());
        MetadataFields {
            execution_id: chat.recorder.id(),
            intent: self.classification.map(|classification| classification.intent.as_str()),
            intent_confidence: self.classification.map(|classification| classification.confidence),
            iterations: self.iterations,
            has_error,
            routing: self.routing.as_ref(),
            steps,
            model: answer.and_then(|answer| answer.model.as_deref()),
            usage: Usage::sum(self.usage, answer.and_then(|answer| answer.usage)),
            finish_reason: answer.and_then(|answer| answer.finish_reason),
            cached: self.cached,
            degraded: self.is_degraded(),
            warnings: &self.warnings,
            user_id: chat.conversation_owner().map(UserId::as_str),
            memory_saved: self.memory_saved,
            missing: gaps.filter(|gap| gap.is_listed).map(|gap| gap.text.as_str()).collect(),
            duration_ms: millis(took),
            data: self.data.iter().collect(),
            chart: self.data.iter().find_map(Chart::of),
            sources: chat.sources.all(),
        }
    }
}

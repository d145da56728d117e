use std::time::Duration;

use super::executor::{TaskOutcome, TaskReport};
use super::planner::{Action, Plan, Task};
use super::progress::{Answer, Progress};
use super::recorder::StepRecorder;
use super::request::UserRequest;
use super::tasks::{TaskFailure, TaskOutput, WebSource};
use crate::kernel::{Error, ErrorKind};
use crate::settings::Settings;
use crate::storage::{Step, StepStatus};
use crate::telemetry::metrics;

/// The answer: what the last task says, and below it what earlier ones want to be shown, and the sources. If the last one
/// failed, what was found stands for itself.
pub(super) async fn compose(
    found: &[TaskOutput],
    last: &Result<TaskOutput, Error>,
    log: &StepRecorder,
    progress: &mut Progress,
) -> Option<Answer> {
    let events = log.events();
    let shown: Vec<&str> = found.iter().filter_map(|output| output.for_answer.as_deref()).collect();
    let (mut answer, addition) = match last {
        Ok(output) => {
            let sources = progress.sources.as_deref().and_then(WebSource::list);
            let shown: Vec<_> = shown.into_iter().chain(sources.as_deref()).collect();
            (Answer::from(output.clone()), shown.join("\n\n"))
        }
        Err(_) if found.is_empty() => return None,
        Err(error) => {
            let why = format!("No model could put this into words: {}", error.public_detail());
            progress.lacking.push(why);
            let all = found.iter().map(|output| output.for_answer.as_deref().unwrap_or(&output.text));
            (Answer::default(), all.collect::<Vec<_>>().join("\n\n"))
        }
    };
    if !addition.is_empty() {
        let before = events.heard().await.unwrap_or_else(|| answer.text.clone());
        let begins = before.is_empty() || before.ends_with("\n\n");
        let addition = if begins { addition } else { format!("\n\n{addition}") };
        answer.text.push_str(&addition);
        events.delta(addition).await;
    }
    // What a model said before it broke off can't be taken back: the answer is what was heard.
    if let Some(heard) = events.heard().await {
        answer.text = heard;
    }
    Some(answer.masked(log.redaction()))
}

/// The record of an ended task, and its result.
pub(super) fn describe(plan: &Plan, finished: TaskReport) -> (Step, Result<TaskOutput, TaskFailure>) {
    let task = plan.tasks.iter().find(|task| task.id == finished.id);
    let action = task.map_or("", |task| task.action.as_str());
    let planned = task.and_then(Task::target);
    let (status, result) = match finished.ending {
        TaskOutcome::Completed(output) => (StepStatus::Completed, Ok(output)),
        TaskOutcome::Failed(failure) => (StepStatus::Failed, Err(failure)),
        TaskOutcome::Skipped(error) => (StepStatus::Skipped, Err(error.into())),
    };
    let output = result.as_ref().ok();
    let lacks = output.and_then(|output| output.lacks.clone());
    // A tool that gave nothing of use has failed; a model that answered with less has not.
    let status = if lacks.is_some() && action == Action::ToolExecution.as_str() { StepStatus::Failed } else { status };
    let query = match &result {
        Ok(output) => &output.query,
        Err(failure) => &failure.query,
    };
    let step = Step {
        id: finished.id,
        action: action.to_owned(),
        target: output.and_then(|output| output.target.clone()).or(planned.map(str::to_owned)),
        status,
        error: result.as_ref().err().map(|failure| failure.error.public_detail().to_owned()).or(lacks),
        query: query.clone(),
        output: output.map(|output| output.text.clone()),
        duration_ms: finished.duration_ms,
    };
    (step, result)
}

/// Tells figures and log how a request ended.
pub(super) fn record(
    user_request: &UserRequest,
    progress: &Progress,
    failure: Option<&Error>,
    took: Duration,
    settings: &Settings,
) {
    let outcome = match failure {
        Some(error) if error.kind() == ErrorKind::Timeout => "timeout",
        Some(_) => "failed",
        None if progress.is_degraded() => "degraded",
        None => "completed",
    };
    let intent = progress.classification.map_or("none", |classification| classification.intent.as_str());
    metrics::chat(intent, outcome, took);
    if settings.monitoring.log_content {
        let answer = progress.answer.as_ref().map(|answer| answer.text.as_str());
        tracing::info!(user_id = %user_request.user, prompt = user_request.prompt, answer, outcome, "content");
    }
}

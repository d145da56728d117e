use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use tracing::{Instrument, debug_span};

use super::context::{ChatContext, TaskContext, millis};
use super::deadline_budget::DeadlineBudget;
use super::honesty::label;
use super::plan::Plan;
use super::prompt::PromptBuilder;
use super::response::Progress;
use super::task::{Action, Inputs, Task, TaskFailure, TaskOutput};
use super::tasks;
use crate::kernel::{Error, ErrorKind};
use crate::storage::{Step, StepStatus};

/// Runs a plan: its steps side by side as far as they can be, then the answer. What comes of each is recorded and told as it
/// ends, and the answer is known before anything of it is written.
pub(super) async fn execute<'a>(
    chat: &'a ChatContext<'a>,
    plan: &'a Plan,
    prompt: PromptBuilder<'a>,
    progress: &mut Progress,
) -> Result<(), Error> {
    let budget = DeadlineBudget::of(plan, chat.deadline);
    let start = |task: &'a Task, inputs| {
        let deadline = budget.deadline(plan.stages_after(&task.id));
        run_task(TaskContext { chat, plan, prompt, deadline, task: &task.id }, task, inputs)
    };
    let settings = &chat.settings;
    let (concurrent, rounds) = (settings.tool_policy.max_concurrent, settings.orchestration.max_iterations);
    let mut executor = Executor::new(plan, concurrent, rounds);
    while let Some(report) = executor.next(start).await {
        progress.iterations = progress.iterations.max(executor.rounds);
        let step = report.step();
        let at = plan.steps.iter().position(|task| task.id == report.task.id).unwrap_or_default();
        progress.absorb_step(at, &report.summary(executor.is_compound), label(report.task), report.result);
        chat.record_step(step).await;
    }
    let report = match executor.inputs_of(&plan.answer) {
        Ok(inputs) => start(&plan.answer, inputs).await,
        Err(error) => TaskReport::skipped(&plan.answer, error),
    };
    progress.iterations = progress.iterations.max(executor.rounds);
    let step = report.step();
    let answered = progress.absorb_answer(chat, report.result).await;
    chat.record_step(step).await;
    answered
}

/// Runs one task, and measures how long it took.
async fn run_task<'a>(context: TaskContext<'a>, task: &'a Task, inputs: Inputs) -> TaskReport<'a> {
    let started = Instant::now();
    let span = debug_span!("task", task = task.id, action = task.kind.action().as_str(), target = task.kind.target());
    let result = tasks::run(&task.kind, &context, inputs).instrument(span).await;
    TaskReport::ended(task, result, started.elapsed())
}

/// How a task ended.
#[derive(Debug)]
struct TaskReport<'a> {
    task: &'a Task,
    status: StepStatus,
    result: Result<TaskOutput, TaskFailure>,
    took: Duration,
}

impl<'a> TaskReport<'a> {
    fn ended(task: &'a Task, result: Result<TaskOutput, TaskFailure>, took: Duration) -> Self {
        let status = match &result {
            // A tool that gave nothing of use has failed; a model that answered with less has not.
            Ok(output) if output.gap.is_some() && task.kind.action() == Action::ToolExecution => StepStatus::Failed,
            Ok(_) => StepStatus::Completed,
            Err(_) => StepStatus::Failed,
        };
        Self { task, status, result, took }
    }

    /// A task that is not begun, and why.
    fn skipped(task: &'a Task, error: Error) -> Self {
        Self { task, status: StepStatus::Skipped, result: Err(error.into()), took: Duration::ZERO }
    }

    /// `data_query failed`; among several steps, which one.
    fn summary(&self, is_compound: bool) -> String {
        let action = self.task.kind.action().as_str();
        let target = if is_compound { format!(" '{}'", label(self.task)) } else { String::new() };
        format!("{action}{target} {}", self.status.as_str())
    }

    /// The record of the task.
    fn step(&self) -> Step {
        let (output, failure) = (self.result.as_ref().ok(), self.result.as_ref().err());
        let planned = || self.task.kind.target().map(str::to_owned);
        let error = failure.map(|failure| failure.error.public_detail().to_owned());
        let query =
            output.map_or_else(|| failure.and_then(|failure| failure.query.clone()), |output| output.query.clone());
        Step {
            id: self.task.id.clone(),
            action: self.task.kind.action().as_str().to_owned(),
            target: output.and_then(|output| output.target.clone()).or_else(planned),
            status: self.status,
            error: error.or_else(|| output?.gap.clone()),
            query,
            output: output.map(|output| output.text.clone()),
            duration_ms: millis(self.took),
        }
    }
}

/// Runs the steps of a plan: every one as soon as its dependencies are done, `concurrent` at a time. A failed step is
/// data: what builds on nothing else is skipped, the others go on. Each is handed out by [`Executor::next`] when it has ended;
/// dropping the executor stops what runs.
struct Executor<'a, F> {
    /// Tasks at once.
    concurrent: usize,
    /// Longest chain of tasks.
    max_rounds: usize,
    /// Whether there are several steps, so that each has to be named.
    is_compound: bool,
    waiting: Vec<&'a Task>,
    /// Boxed, because an empty list has room for one.
    running: FuturesUnordered<Pin<Box<F>>>,
    /// By id: the round in which a step ended, and its result or why there is none.
    ended: HashMap<&'a str, (usize, Result<String, String>)>,
    /// The longest chain of tasks that was begun.
    rounds: usize,
}

impl<'a, F> Executor<'a, F>
where
    F: Future<Output = TaskReport<'a>>,
{
    fn new(plan: &'a Plan, concurrent: usize, max_rounds: usize) -> Self {
        let (running, ended) = (FuturesUnordered::new(), HashMap::new());
        let (waiting, is_compound) = (plan.steps.iter().rev().collect(), plan.steps.len() > 1);
        Self { concurrent, max_rounds, is_compound, waiting, running, ended, rounds: 0 }
    }

    /// The next step that has ended; `None` when all have. `start` makes the work of a task out of its inputs.
    async fn next(&mut self, start: impl Fn(&'a Task, Inputs) -> F) -> Option<TaskReport<'a>> {
        loop {
            let ready = self.waiting.iter().rposition(|task| self.round_of(task).is_some());
            let report = match ready {
                Some(at) if self.running.len() < self.concurrent => {
                    let task = self.waiting.remove(at);
                    match self.inputs_of(task) {
                        Ok(inputs) if inputs.results.is_empty() && !inputs.failures.is_empty() => {
                            let why = format!("it needs {}, which failed", task.depends_on.join(", "));
                            TaskReport::skipped(task, Error::new(ErrorKind::Upstream, why))
                        }
                        Ok(inputs) => {
                            self.running.push(Box::pin(start(task, inputs)));
                            continue;
                        }
                        Err(why) => TaskReport::skipped(task, why),
                    }
                }
                _ => self.running.next().await?,
            };
            self.end(&report);
            return Some(report);
        }
    }

    /// The round a task belongs to, once all its dependencies have ended.
    fn round_of(&self, task: &Task) -> Option<usize> {
        let ended = |id: &String| self.ended.get(id.as_str()).map(|(round, _)| *round);
        let rounds: Option<Vec<usize>> = task.depends_on.iter().map(ended).collect();
        Some(rounds?.into_iter().max().unwrap_or(0) + 1)
    }

    /// What a task builds on, which is going to be begun.
    fn inputs_of(&mut self, task: &Task) -> Result<Inputs, Error> {
        let round = self.round_of(task).unwrap_or(1);
        if round > self.max_rounds {
            let text = format!("Maximum iterations exceeded ({})", self.max_rounds);
            return Err(Error::new(ErrorKind::Timeout, text));
        }
        self.rounds = self.rounds.max(round);
        let mut inputs = Inputs::default();
        for (_, outcome) in task.depends_on.iter().filter_map(|id| self.ended.get(id.as_str())) {
            match outcome {
                Ok(result) => inputs.results.push(result.clone()),
                Err(failure) => inputs.failures.push(failure.clone()),
            }
        }
        Ok(inputs)
    }

    fn end(&mut self, report: &TaskReport<'a>) {
        let task = report.task;
        let result = match &report.result {
            Ok(output) => Ok(output.text.clone()),
            Err(failure) => Err(format!("{}: {}", report.summary(self.is_compound), failure.error.public_detail())),
        };
        let round = self.round_of(task).unwrap_or(1);
        self.ended.insert(&task.id, (round, result));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::task::TaskKind;
    use super::*;

    fn task(id: &str, depends_on: &[&str]) -> Task {
        let depends_on = depends_on.iter().map(|id| (*id).to_owned()).collect();
        Task { id: id.to_owned(), kind: TaskKind::LlmCall, depends_on }
    }

    fn plan(steps: Vec<Task>) -> Plan {
        let before: Vec<_> = steps.iter().map(|task| task.id.as_str()).collect();
        let answer = task("answer", &before);
        let (gaps, functions) = (Vec::new(), Vec::new());
        Plan { steps, answer, gaps, functions, wants_tool: false, names_tools: false, routing: Default::default() }
    }

    async fn run_one(task: &Task, inputs: Inputs) -> TaskReport<'_> {
        let text = format!("{}({})", task.id, inputs.results.join(","));
        let result = match task.id.starts_with("bad") {
            true => Err(Error::new(ErrorKind::Upstream, "broken").into()),
            false => Ok(TaskOutput { text, ..TaskOutput::default() }),
        };
        TaskReport::ended(task, result, Duration::ZERO)
    }

    /// Runs the steps; each gives its id and inputs, those called `bad` fail. Returns "id status output" in order of ending, the
    /// inputs of the answer, and the rounds.
    async fn run(plan: &Plan, max_rounds: usize) -> (Vec<String>, String, usize) {
        let mut executor = Executor::new(plan, 5, max_rounds);
        let mut log = vec![];
        while let Some(TaskReport { task, status, result, .. }) = executor.next(run_one).await {
            log.push(match result {
                Ok(output) => output.text,
                Err(failure) => format!("{} {}: {}", task.id, status.as_str(), failure.error),
            });
        }
        let inputs = executor.inputs_of(&plan.answer).map_or_else(|error| error.to_string(), |i| i.results.join(" "));
        (log, inputs, executor.rounds)
    }

    #[tokio::test]
    async fn a_task_gets_the_results_of_its_dependencies() {
        let plan = plan(vec![task("a", &[]), task("b", &["a"]), task("c", &["a", "b"])]);
        let (log, inputs, rounds) = run(&plan, 10).await;
        assert_eq!(log, ["a()", "b(a())", "c(a(),b(a()))"]);
        assert_eq!((inputs.as_str(), rounds), ("a() b(a()) c(a(),b(a()))", 4));
    }

    #[tokio::test]
    async fn what_depends_on_a_failed_task_is_skipped_and_the_rest_goes_on() {
        let plan = plan(vec![
            task("bad", &[]),
            task("x", &["bad"]),
            task("y", &["x"]),
            task("z", &[]),
            task("w", &["bad", "z"]),
        ]);
        let (mut log, inputs, _) = run(&plan, 10).await;
        log.sort();
        let skipped = ["x skipped: it needs bad, which failed", "y skipped: it needs x, which failed"];
        assert_eq!(log, ["bad failed: broken", "w(z())", skipped[0], skipped[1], "z()"]);
        assert_eq!(inputs, "z() w(z())");
    }

    #[tokio::test]
    async fn a_chain_on_the_limit_completes_and_one_beyond_it_does_not() {
        let plan = plan(vec![task("a", &[]), task("b", &["a"])]);
        assert_eq!(run(&plan, 3).await.1, "a() b(a())");
        let (log, inputs, rounds) = run(&plan, 1).await;
        let exceeded = "Maximum iterations exceeded (1)";
        assert_eq!((log[1].as_str(), inputs.as_str(), rounds), (&*format!("b skipped: {exceeded}"), exceeded, 1));
    }

    #[tokio::test]
    async fn ready_tasks_overlap_up_to_the_limit() {
        let plan = plan(vec![task("a", &[]), task("b", &[]), task("c", &[])]);
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let start = async |task, inputs| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
            run_one(task, inputs).await
        };
        for concurrent in [3, 2, 1] {
            most.store(0, Ordering::SeqCst);
            let mut executor = Executor::new(&plan, concurrent, 10);
            let mut ended = 0;
            while executor.next(&start).await.is_some() {
                ended += 1;
            }
            assert_eq!((ended, most.load(Ordering::SeqCst)), (3, concurrent));
        }
    }
}

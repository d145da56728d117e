use std::collections::HashMap;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::planner::Task;
use super::tasks::{TaskFailure, TaskOutput, WebSource};
use crate::kernel::{Error, ErrorKind};

/// What a task builds on, in the order of its dependencies.
#[derive(Clone, Debug, Default)]
pub(super) struct Inputs {
    /// What those that completed found.
    pub(super) results: Vec<String>,
    /// Why the others found nothing.
    pub(super) failures: Vec<String>,
    /// The pages that searches found so far, by their numbers.
    pub(super) sources: Vec<WebSource>,
}

/// How a task ended.
#[derive(Debug)]
pub(super) enum TaskOutcome {
    Completed(TaskOutput),
    Failed(TaskFailure),
    /// Not begun, and why.
    Skipped(Error),
}

/// A task that has ended.
#[derive(Debug)]
pub(super) struct TaskReport {
    pub(super) id: String,
    pub(super) ending: TaskOutcome,
    pub(super) duration_ms: i64,
}

/// Bounds of one executor.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExecutionLimits {
    /// Tasks at once.
    pub(super) concurrent: usize,
    /// Longest chain of tasks.
    pub(super) rounds: usize,
}

/// Runs a plan: every task as soon as its dependencies are done, `limits.concurrent` at a time. A failed task is data: what
/// builds on nothing else is skipped, the others go on, and the last task, which gives the answer, is done in any case. Each
/// ended task is handed out by [`Executor::next`]; dropping the execution
/// stops what runs.
pub(super) struct Executor<'a, F> {
    tasks: &'a [Task],
    limits: ExecutionLimits,
    waiting: Vec<&'a Task>,
    running: FuturesUnordered<F>,
    /// By id: the round in which a task ended, and its result or why there is none.
    ended: HashMap<&'a str, (usize, Result<String, String>)>,
    rounds: usize,
    sources: Vec<WebSource>,
}

impl<'a, F> Executor<'a, F>
where
    F: Future<Output = TaskReport>,
{
    pub(super) fn new(tasks: &'a [Task], limits: ExecutionLimits) -> Self {
        let waiting = tasks.iter().rev().collect();
        let (running, ended) = (FuturesUnordered::new(), HashMap::new());
        Self { tasks, limits, waiting, running, ended, rounds: 0, sources: Vec::new() }
    }

    /// The next task that has ended; `None` when all have. `start` makes the work of a task out of its inputs.
    pub(super) async fn next(&mut self, start: impl Fn(&'a Task, Inputs) -> F) -> Option<TaskReport> {
        loop {
            let ready = self.waiting.iter().rposition(|task| self.round_of(task).is_some());
            match ready {
                Some(at) if self.running.len() < self.limits.concurrent => {
                    let task = self.waiting.remove(at);
                    match self.inputs_of(task) {
                        Ok(inputs) => self.running.push(start(task, inputs)),
                        Err(why) => {
                            let ending = TaskOutcome::Skipped(why);
                            return Some(self.end(TaskReport { id: task.id.clone(), ending, duration_ms: 0 }));
                        }
                    }
                }
                _ => {
                    let finished = self.running.next().await?;
                    return Some(self.end(finished));
                }
            }
        }
    }

    /// The longest chain of tasks that was begun.
    pub(super) fn rounds(&self) -> usize {
        self.rounds
    }

    /// The round a task belongs to, once all its dependencies have ended.
    fn round_of(&self, task: &Task) -> Option<usize> {
        let ended = |id: &String| self.ended.get(id.as_str()).map(|(round, _)| *round);
        let rounds: Option<Vec<usize>> = task.depends_on.iter().map(ended).collect();
        Some(rounds?.into_iter().max().unwrap_or(0) + 1)
    }

    fn inputs_of(&mut self, task: &Task) -> Result<Inputs, Error> {
        let round = self.round_of(task).unwrap_or(1);
        if round > self.limits.rounds {
            let text = format!("Maximum iterations exceeded ({})", self.limits.rounds);
            return Err(Error::new(ErrorKind::Timeout, text));
        }
        let mut inputs = Inputs { sources: self.sources.clone(), ..Inputs::default() };
        for (_, outcome) in task.depends_on.iter().filter_map(|id| self.ended.get(id.as_str())) {
            match outcome {
                Ok(result) => inputs.results.push(result.clone()),
                Err(failure) => inputs.failures.push(failure.clone()),
            }
        }
        let is_last = self.tasks.last().is_some_and(|last| last.id == task.id);
        if inputs.results.is_empty() && !inputs.failures.is_empty() && !is_last {
            let text = format!("it needs {}, which failed", task.depends_on.join(", "));
            return Err(Error::new(ErrorKind::Upstream, text));
        }
        self.rounds = self.rounds.max(round);
        Ok(inputs)
    }

    fn end(&mut self, finished: TaskReport) -> TaskReport {
        if let TaskOutcome::Completed(output) = &finished.ending {
            WebSource::merge(&mut self.sources, output.sources.as_deref().unwrap_or_default());
        }
        if let Some(task) = self.tasks.iter().find(|task| task.id == finished.id) {
            let result = match &finished.ending {
                TaskOutcome::Completed(output) => Ok(output.text.clone()),
                TaskOutcome::Failed(TaskFailure { error, .. }) => {
                    Err(format!("{} failed: {}", task.action.as_str(), error.public_detail()))
                }
                TaskOutcome::Skipped(why) => {
                    Err(format!("{} was skipped: {}", task.action.as_str(), why.public_detail()))
                }
            };
            let round = self.round_of(task).unwrap_or(1);
            self.ended.insert(&task.id, (round, result));
        }
        finished
    }
}

/// Runs one task's work and notes how it ended and how long it took.
pub(super) async fn timed(id: String, work: impl Future<Output = Result<TaskOutput, TaskFailure>>) -> TaskReport {
    let started = Instant::now();
    let ending = match work.await {
        Ok(output) => TaskOutcome::Completed(output),
        Err(failure) => TaskOutcome::Failed(failure),
    };
    TaskReport { id, ending, duration_ms: i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::planner::Action;
    use super::super::tasks::TaskKind;
    use super::*;

    fn task(id: &str, depends_on: &[&str]) -> Task {
        let depends_on = depends_on.iter().map(|id| (*id).to_owned()).collect();
        Task { id: id.to_owned(), action: Action::LlmCall, kind: TaskKind::LlmCall, depends_on }
    }

    const LIMITS: ExecutionLimits = ExecutionLimits { concurrent: 5, rounds: 10 };

    /// Runs the tasks; each gives its id and inputs, tasks called `bad` fail. Returns "id status output" in order of ending.
    async fn run(tasks: &[Task], limits: ExecutionLimits) -> (Vec<String>, usize) {
        let mut executor = Executor::new(tasks, limits);
        let start = |task: &Task, inputs: Inputs| {
            let id = task.id.clone();
            let text = format!("{id}({})", inputs.results.join(","));
            timed(id.clone(), async move {
                match id.starts_with("bad") {
                    true => Err(Error::new(ErrorKind::Upstream, "broken").into()),
                    false => Ok(TaskOutput { text, ..TaskOutput::default() }),
                }
            })
        };
        let mut log = vec![];
        while let Some(finished) = executor.next(start).await {
            log.push(match finished.ending {
                TaskOutcome::Completed(output) => output.text,
                TaskOutcome::Failed(failure) => format!("{} failed: {}", finished.id, failure.error),
                TaskOutcome::Skipped(error) => format!("{} skipped: {error}", finished.id),
            });
        }
        (log, executor.rounds())
    }

    #[tokio::test]
    async fn a_task_gets_the_results_of_its_dependencies() {
        let tasks = [task("a", &[]), task("b", &["a"]), task("c", &["a", "b"])];
        let (log, rounds) = run(&tasks, LIMITS).await;
        assert_eq!(log, ["a()", "b(a())", "c(a(),b(a()))"]);
        assert_eq!(rounds, 3);
    }

    #[tokio::test]
    async fn what_depends_on_a_failed_task_is_skipped_and_the_rest_goes_on() {
        let tasks = [
            task("bad", &[]),
            task("x", &["bad"]),
            task("y", &["x"]),
            task("z", &[]),
            task("w", &["bad", "z"]),
            task("last", &["bad", "y"]),
        ];
        let (mut log, _) = run(&tasks, LIMITS).await;
        log.sort();
        let skipped = ["x skipped: it needs bad, which failed", "y skipped: it needs x, which failed"];
        assert_eq!(log, ["bad failed: broken", "last()", "w(z())", skipped[0], skipped[1], "z()"]);
    }

    #[tokio::test]
    async fn a_chain_on_the_limit_completes_and_one_beyond_it_does_not() {
        let tasks = [task("a", &[]), task("b", &["a"])];
        assert_eq!(run(&tasks, ExecutionLimits { rounds: 2, ..LIMITS }).await.0.len(), 2);
        let (log, rounds) = run(&tasks, ExecutionLimits { rounds: 1, ..LIMITS }).await;
        assert_eq!((log[1].as_str(), rounds), ("b skipped: Maximum iterations exceeded (1)", 1));
    }

    #[tokio::test]
    async fn ready_tasks_overlap_up_to_the_limit() {
        let tasks = [task("a", &[]), task("b", &[]), task("c", &[])];
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let start = |task: &Task, _: Inputs| {
            timed(task.id.clone(), async {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(TaskOutput::default())
            })
        };
        for concurrent in [3, 2, 1] {
            most.store(0, Ordering::SeqCst);
            let mut executor = Executor::new(&tasks, ExecutionLimits { concurrent, ..LIMITS });
            let mut ended = 0;
            while executor.next(start).await.is_some() {
                ended += 1;
            }
            assert_eq!((ended, most.load(Ordering::SeqCst)), (3, concurrent));
        }
    }
}

use serde::{Deserialize, Serialize};

use super::record::{Execution, Step, StepStatus};
use crate::kernel::Redaction;

/// Number of the event that an execution was begun.
const STARTED: i64 = 1;
/// Number of the event that its plan was made, and the only one that has this number.
pub const PLANNED_EVENT: i64 = STARTED + 1;
/// Number of the first event of a task.
pub const FIRST_TASK_EVENT: i64 = PLANNED_EVENT + 1;

/// What a task that was begun has come to when its execution was cut off.
const UNKNOWN_END: &str =
    "It had begun when the execution was cut off, so it may have taken effect; it was not repeated";

/// A task with side effects, before it begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskStart {
    /// That of the step that it becomes, or of a part of it.
    pub id: String,
    /// What kind of task it is.
    pub action: String,
    /// What it is done with: an agent, a tool.
    pub target: Option<String>,
    /// What a tool is run with.
    pub query: Option<String>,
}

impl TaskStart {
    /// The same without secrets, in whatever others had a say.
    pub fn masked(self, redaction: &Redaction) -> Self {
        let masked = |text: Option<String>| text.map(|text| redaction.text(&text));
        Self { target: masked(self.target), query: masked(self.query), ..self }
    }

    /// The step of a task of which no more is known.
    fn interrupted(&self) -> Step {
        let Self { id, action, target, query } = self.clone();
        let (status, error) = (StepStatus::Interrupted, Some(UNKNOWN_END.to_owned()));
        Step { id, action, target, status, error, query, output: None, duration_ms: 0 }
    }
}

/// What happened to a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskFact {
    Started(TaskStart),
    Finished(Step),
}

/// An event of a task in the log of its execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskEvent {
    /// Its place in the log: [`FIRST_TASK_EVENT`] for the first.
    pub number: i64,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    pub fact: TaskFact,
}

/// What was decided to be done.
#[derive(Clone, Debug)]
pub struct PlanRecord {
    pub intent: String,
    pub confidence: f64,
    /// The tasks, as JSON.
    pub plan: String,
    /// Milliseconds since 1970.
    pub planned_ms: i64,
}

/// An execution and what happened to its tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionLog {
    pub execution: Execution,
    /// In the order of their numbers.
    pub(in crate::storage) tasks: Vec<TaskEvent>,
}

/// An event as a reader of the log sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberedEvent<'a> {
    /// Counts the events of one execution, from 1 on.
    pub number: i64,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    pub fact: LogFact<'a>,
}

/// What happened. The particulars of an execution itself are in its record, where they stand once.
#[derive(Clone, Debug, PartialEq)]
pub enum LogFact<'a> {
    Started,
    Planned,
    TaskStarted(&'a TaskStart),
    TaskFinished(&'a Step),
    /// How is in the status of the execution.
    Ended,
}

impl ExecutionLog {
    /// All events, numbered without gaps. While the execution runs, what comes behind one that is still being written waits for it. What
    /// a server has lost that was killed while its store failed is no longer there once the execution has ended: what is left closes up.
    pub fn events(&self) -> Vec<NumberedEvent<'_>> {
        let execution = &self.execution;
        let mut events = vec![NumberedEvent { number: STARTED, at_ms: execution.started_ms, fact: LogFact::Started }];
        let mut add = |given: i64, at_ms: i64, fact| {
            let number = STARTED + i64::try_from(events.len()).unwrap_or(i64::MAX - STARTED);
            if number == given || !execution.is_running() {
                events.push(NumberedEvent { number, at_ms, fact });
            }
        };
        if execution.intent.is_some() {
            add(PLANNED_EVENT, execution.planned_ms.unwrap_or(execution.started_ms), LogFact::Planned);
        }
        for task in &self.tasks {
            let fact = match &task.fact {
                TaskFact::Started(start) => LogFact::TaskStarted(start),
                TaskFact::Finished(step) => LogFact::TaskFinished(step),
            };
            add(task.number, task.at_ms, fact);
        }
        if let Some(finished_ms) = execution.finished_ms.filter(|_| !execution.is_running()) {
            add(i64::MAX, finished_ms, LogFact::Ended);
        }
        events
    }

    /// The execution and its steps, in the order in which they ended; last those that had begun when it was cut off.
    pub fn into_steps(self) -> (Execution, Vec<Step>) {
        let has_ended = !self.execution.is_running();
        let open: Vec<_> = self.unfinished().filter(|_| has_ended).map(TaskStart::interrupted).collect();
        let finished = self.tasks.into_iter().filter_map(|task| match task.fact {
            TaskFact::Finished(step) => Some(step),
            TaskFact::Started(_) => None,
        });
        (self.execution, finished.chain(open).collect())
    }

    /// Tasks that had begun and of which no end is known, nor of what they are part of.
    fn unfinished(&self) -> impl Iterator<Item = &TaskStart> {
        let is_part =
            |id: &str, of: &str| id.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let is_finished = move |start: &TaskStart| {
            self.tasks.iter().any(|task| matches!(&task.fact, TaskFact::Finished(step) if is_part(&start.id, &step.id)))
        };
        self.tasks.iter().filter_map(move |task| match &task.fact {
            TaskFact::Started(start) if !is_finished(start) => Some(start),
            _ => None,
        })
    }
}

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde_json::Value;

use super::event::{ExecutionLog, TaskEvent, TaskFact, TaskStart};
use super::folding::{TASK_FINISHED, TASK_STARTED};
use super::record::{Execution, Step};
use crate::kernel::JsonReader;

/// Values that the plan or the metadata of a record may have: those of a reply with as many rows as fit in one.
const MAX_VALUES: usize = 1_000_000;

/// Reads executions, each with its position. Both databases have the same columns; `$prompt` and `$answer` may cut them.
macro_rules! select_execution {
    ($prompt:literal, $answer:literal, $rest:literal) => {
        concat!(
            "SELECT position, id, user_id, status, ",
            $prompt,
            ", intent, intent_confidence, plan, planned_at, ",
            $answer,
            ", error, metadata, started_at, finished_at FROM execution WHERE ",
            $rest
        )
    };
}
pub(super) use select_execution;

/// Reads the events of an execution's tasks.
pub(super) const SELECT_EVENTS: &str =
    "SELECT number, kind, at, id, action, target, status, error, query, output, duration_ms
    FROM execution_event WHERE execution_id = $1 ORDER BY number";

type Text = Option<String>;
pub(super) type ExecutionRow =
    (i64, String, String, String, String, Text, Option<f64>, Text, Option<i64>, Text, Text, Text, i64, Option<i64>);
pub(super) type EventRow = (i64, String, i64, String, String, Text, Text, Text, Text, Text, Option<i64>);

/// An execution with its position.
pub(super) fn execution(row: ExecutionRow) -> Result<(i64, Execution), sqlx::Error> {
    let (position, id, user_id, name, prompt, intent, surety, plan, planned_ms, answer, error, metadata, ..) = row;
    let (.., started_ms, finished_ms) = row;
    let execution = Execution {
        id,
        user_id,
        status: status(&name)?,
        prompt,
        intent: intent.zip(surety),
        plan: json("plan", plan),
        planned_ms,
        answer,
        error,
        metadata: json("metadata", metadata),
        started_ms,
        finished_ms,
    };
    Ok((position, execution))
}

/// One execution with its log.
pub(super) fn log(execution_row: ExecutionRow, events: Vec<EventRow>) -> Result<ExecutionLog, sqlx::Error> {
    let (_, execution) = execution(execution_row)?;
    Ok(ExecutionLog { execution, tasks: events.into_iter().map(task_event).collect::<Result<_, _>>()? })
}

fn task_event(row: EventRow) -> Result<TaskEvent, sqlx::Error> {
    let (number, kind, at_ms, id, action, target, name, error, query, output, duration_ms) = row;
    let fact = match (kind.as_str(), name) {
        (TASK_STARTED, _) => TaskFact::Started(TaskStart { id, action, target, query }),
        (TASK_FINISHED, Some(name)) => {
            let (status, duration_ms) = (status(&name)?, duration_ms.unwrap_or_default());
            TaskFact::Finished(Step { id, action, target, status, error, query, output, duration_ms })
        }
        _ => return Err(sqlx::Error::Decode(format!("unknown event {kind}").into())),
    };
    Ok(TaskEvent { number, at_ms, fact })
}

fn status<'a, T: Deserialize<'a>>(name: &'a str) -> Result<T, sqlx::Error> {
    let unknown = |_: serde::de::value::Error| sqlx::Error::Decode(format!("unknown status {name}").into());
    T::deserialize(name.into_deserializer()).map_err(unknown)
}

fn json(column: &str, text: Option<String>) -> Option<Value> {
    // One record that can't be read must not hide the others.
    text.and_then(|text| {
        let read = JsonReader::new(MAX_VALUES).read(text.as_bytes());
        read.inspect_err(|error| tracing::warn!(%error, column, "a stored value can't be read")).ok()
    })
}

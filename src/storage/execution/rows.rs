use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde_json::Value;

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
            ", intent, intent_confidence, plan, ",
            $answer,
            ", error, metadata, started_at, finished_at FROM execution WHERE ",
            $rest
        )
    };
}
pub(super) use select_execution;

/// Reads the steps of an execution.
pub(super) const SELECT_STEPS: &str = "SELECT id, action, target, status, error, query, output, duration_ms
    FROM execution_step WHERE execution_id = $1 ORDER BY ordinal";

type Text = Option<String>;
pub(super) type ExecutionRow =
    (i64, String, String, String, String, Text, Option<f64>, Text, Text, Text, Text, i64, Option<i64>);
pub(super) type StepRow = (String, String, Text, String, Text, Text, Text, i64);

/// An execution with its position.
pub(super) fn execution(row: ExecutionRow) -> Result<(i64, Execution), sqlx::Error> {
    let (position, id, user_id, name, prompt, intent, surety, plan, answer, error, metadata, started_ms, finished_ms) =
        row;
    let execution = Execution {
        id,
        user_id,
        status: status(&name)?,
        prompt,
        intent: intent.zip(surety),
        plan: json("plan", plan),
        answer,
        error,
        metadata: json("metadata", metadata),
        started_ms,
        finished_ms,
    };
    Ok((position, execution))
}

/// One execution with its steps.
pub(super) fn detail(execution_row: ExecutionRow, steps: Vec<StepRow>) -> Result<(Execution, Vec<Step>), sqlx::Error> {
    let (_, execution) = execution(execution_row)?;
    Ok((execution, steps.into_iter().map(step).collect::<Result<_, _>>()?))
}

fn step((id, action, target, name, error, query, output, duration_ms): StepRow) -> Result<Step, sqlx::Error> {
    Ok(Step { id, action, target, status: status(&name)?, error, query, output, duration_ms })
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

use serde_json::Value;
use sqlx::{ColumnIndex, Decode, Row, Type};

use super::{Execution, ExecutionStatus, Step, StepStatus};
use crate::kernel::JsonReader;

/// Values that the plan or the metadata of a record may have: those of a reply with as many rows as fit in one.
const MAX_VALUES: usize = 1_000_000;

/// A row of either database: the columns have the same names and types in both.
pub(super) trait RecordRow {
    /// Reads a column that is text, or empty.
    fn text(&self, column: &str) -> Result<Option<String>, sqlx::Error>;
    /// Reads a column that is a whole number, or empty.
    fn number(&self, column: &str) -> Result<Option<i64>, sqlx::Error>;
    /// Reads a column that is a fraction, or empty.
    fn fraction(&self, column: &str) -> Result<Option<f64>, sqlx::Error>;
}

impl<R: Row> RecordRow for R
where
    for<'c> &'c str: ColumnIndex<R>,
    for<'r> String: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> f64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn text(&self, column: &str) -> Result<Option<String>, sqlx::Error> {
        self.try_get(column)
    }

    fn number(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(column)
    }

    fn fraction(&self, column: &str) -> Result<Option<f64>, sqlx::Error> {
        self.try_get(column)
    }
}

/// Reads an execution.
pub(super) fn execution(row: &impl RecordRow) -> Result<Execution, sqlx::Error> {
    Ok(Execution {
        id: required(row.text("id")?)?,
        user_id: required(row.text("user_id")?)?,
        status: status(row, ExecutionStatus::parse)?,
        prompt: required(row.text("prompt")?)?,
        intent: row.text("intent")?.zip(row.fraction("intent_confidence")?),
        plan: json(row, "plan")?,
        answer: row.text("answer")?,
        error: row.text("error")?,
        metadata: json(row, "metadata")?,
        started_ms: required(row.number("started_at")?)?,
        finished_ms: row.number("finished_at")?,
    })
}

/// Reads an execution that is part of a list, with its position.
pub(super) fn listed(row: &impl RecordRow) -> Result<(i64, Execution), sqlx::Error> {
    Ok((required(row.number("position")?)?, execution(row)?))
}

/// Reads a step.
pub(super) fn step(row: &impl RecordRow) -> Result<Step, sqlx::Error> {
    Ok(Step {
        id: required(row.text("id")?)?,
        action: required(row.text("action")?)?,
        target: row.text("target")?,
        status: status(row, StepStatus::parse)?,
        error: row.text("error")?,
        query: row.text("query")?,
        output: row.text("output")?,
        duration_ms: required(row.number("duration_ms")?)?,
    })
}

fn status<T>(row: &impl RecordRow, parse: fn(&str) -> Option<T>) -> Result<T, sqlx::Error> {
    let name = required(row.text("status")?)?;
    parse(&name).ok_or_else(|| sqlx::Error::Decode(format!("unknown status {name}").into()))
}

fn required<T>(value: Option<T>) -> Result<T, sqlx::Error> {
    value.ok_or_else(|| sqlx::Error::Decode("a value is missing".into()))
}

fn json(row: &impl RecordRow, column: &str) -> Result<Option<Value>, sqlx::Error> {
    // One record that can't be read must not hide the others.
    Ok(row.text(column)?.and_then(|text| {
        let read = JsonReader::new(MAX_VALUES).read(text.as_bytes());
        read.inspect_err(|error| tracing::warn!(%error, column, "a stored value can't be read")).ok()
    }))
}

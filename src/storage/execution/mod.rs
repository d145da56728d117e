//! Executions and their steps.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::kernel::{Clock, Error};
use crate::storage::sqlite::{Database, failed};

/// How far an execution has come, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionStatus {
    /// Under way.
    Running,
    /// Answered.
    Completed,
    /// Ended without an answer.
    Failed,
    /// The client left.
    Cancelled,
    /// The server stopped while it ran.
    Interrupted,
}

impl ExecutionStatus {
    /// Every status, with its name.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Running, "running"),
        (Self::Completed, "completed"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
        (Self::Interrupted, "interrupted"),
    ];

    /// The name in the store and on the wire.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).map_or("", |(_, name)| name)
    }

    /// The status of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(status, _)| *status)
    }
}

/// The record of one chat request.
#[derive(Clone, Debug)]
pub struct Execution {
    /// Its id.
    pub id: String,
    /// Who asked.
    pub user_id: String,
    /// How far it is.
    pub status: ExecutionStatus,
    /// What was asked.
    pub prompt: String,
    /// What the prompt was taken to ask for, and how surely.
    pub intent: Option<(String, f64)>,
    /// The tasks, as JSON.
    pub plan: Option<Value>,
    /// What was answered.
    pub answer: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// The metadata of the reply.
    pub metadata: Option<Value>,
    /// Milliseconds since 1970.
    pub started_ms: i64,
    /// Milliseconds since 1970.
    pub finished_ms: Option<i64>,
}

/// What is known about an execution when it ends.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExecutionStatus,
    /// What was answered.
    pub answer: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// The metadata of the reply.
    pub metadata: Value,
}

/// One finished task of an execution.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Its id in the plan.
    pub id: String,
    /// What kind of task it is.
    pub action: String,
    /// What it was done with: a model, an agent, a data source, a tool.
    pub target: Option<String>,
    /// `completed`, `failed` or `skipped`.
    pub status: String,
    /// What went wrong.
    pub error: Option<String>,
    /// What a data source was asked.
    pub query: Option<String>,
    /// What came of it.
    pub output: Option<String>,
    /// How long it took.
    pub duration_ms: i64,
}

/// Long texts are cut, so that a page stays small.
const LIST: &str =
    "SELECT position, id, user_id, status, substr(prompt, 1, 1000) AS prompt, intent, intent_confidence, plan,
    substr(answer, 1, 1000) AS answer, error, metadata, started_at, finished_at FROM execution WHERE position < ";

/// Which executions to list.
#[derive(Clone, Debug, Default)]
pub struct ExecutionFilter {
    /// Of this user only.
    pub user_id: Option<String>,
    /// With this status only.
    pub status: Option<ExecutionStatus>,
    /// Older than this position.
    pub before: Option<i64>,
}

/// Executions and their steps, in the embedded store.
#[derive(Clone, Debug)]
pub struct ExecutionStore {
    database: Database,
    clock: Clock,
}

impl ExecutionStore {
    pub(super) fn new(database: Database, clock: Clock) -> Self {
        Self { database, clock }
    }

    /// Records that an execution has begun.
    pub async fn begin(&self, execution: &Execution) -> Result<(), Error> {
        const WHAT: &str = "could not record an execution";
        sqlx::query("INSERT INTO execution (id, user_id, status, prompt, started_at) VALUES (?1, ?2, ?3, ?4, ?5)")
            .bind(&execution.id)
            .bind(&execution.user_id)
            .bind(execution.status.as_str())
            .bind(&execution.prompt)
            .bind(execution.started_ms)
            .execute(self.database.writer())
            .await
            .map(|_| ())
            .map_err(failed(WHAT))
    }

    /// Records what was decided to be done.
    pub async fn plan(&self, id: &str, intent: &str, confidence: f64, plan: &Value) -> Result<(), Error> {
        const WHAT: &str = "could not record a plan";
        sqlx::query("UPDATE execution SET intent = ?2, intent_confidence = ?3, plan = ?4 WHERE id = ?1")
            .bind(id)
            .bind(intent)
            .bind(confidence)
            .bind(plan.to_string())
            .execute(self.database.writer())
            .await
            .map(|_| ())
            .map_err(failed(WHAT))
    }

    /// Records a finished task.
    pub async fn step(&self, execution_id: &str, ordinal: i64, step: &Step) -> Result<(), Error> {
        const WHAT: &str = "could not record a step";
        sqlx::query(
            "INSERT INTO execution_step (execution_id, ordinal, id, action, target, status, error, output, duration_ms, query)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .bind(execution_id)
        .bind(ordinal)
        .bind(&step.id)
        .bind(&step.action)
        .bind(&step.target)
        .bind(&step.status)
        .bind(&step.error)
        .bind(&step.output)
        .bind(step.duration_ms)
        .bind(&step.query)
        .execute(self.database.writer())
        .await
        .map(|_| ())
        .map_err(failed(WHAT))
    }

    /// Records how an execution ended. One that has ended stays as it is.
    pub async fn finish(&self, id: &str, outcome: &Outcome) -> Result<(), Error> {
        const WHAT: &str = "could not record the end of an execution";
        sqlx::query(
            "UPDATE execution SET status = ?2, answer = ?3, error = ?4, metadata = ?5, finished_at = ?6
             WHERE id = ?1 AND status = 'running'",
        )
        .bind(id)
        .bind(outcome.status.as_str())
        .bind(&outcome.answer)
        .bind(&outcome.error)
        .bind(outcome.metadata.to_string())
        .bind(self.clock.now_ms())
        .execute(self.database.writer())
        .await
        .map(|_| ())
        .map_err(failed(WHAT))
    }

    /// One execution with its steps.
    pub async fn get(&self, id: &str) -> Result<Option<(Execution, Vec<Step>)>, Error> {
        const WHAT: &str = "could not read an execution";
        let row = sqlx::query("SELECT * FROM execution WHERE id = ?1")
            .bind(id)
            .fetch_optional(self.database.read())
            .await
            .map_err(failed(WHAT))?;
        let Some(row) = row else { return Ok(None) };
        let steps = sqlx::query("SELECT * FROM execution_step WHERE execution_id = ?1 ORDER BY ordinal")
            .bind(id)
            .fetch_all(self.database.read())
            .await
            .map_err(failed(WHAT))?;
        let steps = steps.iter().map(read_step).collect::<Result<_, _>>().map_err(failed(WHAT))?;
        Ok(Some((read_execution(&row).map_err(failed(WHAT))?, steps)))
    }

    /// The newest executions first, prompt and answer cut to 1000 characters, each with its position, which as `before`
    /// gives the next page.
    pub async fn list(&self, filter: &ExecutionFilter, limit: usize) -> Result<Vec<(i64, Execution)>, Error> {
        const WHAT: &str = "could not list executions";
        let mut query = sqlx::QueryBuilder::<sqlx::Sqlite>::new(LIST);
        query.push_bind(filter.before.unwrap_or(i64::MAX));
        if let Some(user_id) = &filter.user_id {
            query.push(" AND user_id = ").push_bind(user_id);
        }
        if let Some(status) = filter.status {
            query.push(" AND status = ").push_bind(status.as_str());
        }
        query.push(" ORDER BY position DESC LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows = query.build().fetch_all(self.database.read()).await.map_err(failed(WHAT))?;
        let read = |row: &SqliteRow| Ok((row.try_get("position")?, read_execution(row)?));
        rows.iter().map(read).collect::<Result<_, _>>().map_err(failed(WHAT))
    }

    /// Deletes executions that began more than `age` ago, and the oldest beyond the newest `most`. A thousand at a time, so
    /// that other writers are not kept waiting.
    pub async fn retain(&self, age: Duration, most: i64) -> Result<(), Error> {
        const WHAT: &str = "could not delete old executions";
        let before = self.clock.now_ms().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        loop {
            // Positions grow with time, so the oldest thousand tell whether there is anything to delete.
            let deleted = sqlx::query(
                "DELETE FROM execution WHERE position IN (
                     SELECT position FROM (SELECT * FROM execution ORDER BY position LIMIT 1000)
                     WHERE status <> 'running' AND (started_at < ?1
                         OR position <= (SELECT MAX(position) FROM execution) - ?2))",
            )
            .bind(before)
            .bind(most)
            .execute(self.database.writer())
            .await
            .map_err(failed(WHAT))?;
            if deleted.rows_affected() == 0 {
                return Ok(());
            }
        }
    }

    pub(super) async fn interrupt_running(&self) -> Result<(), Error> {
        const WHAT: &str = "could not mark interrupted executions";
        sqlx::query(
            "UPDATE execution SET status = 'interrupted', error = 'The server stopped while this ran', finished_at = ?1
             WHERE status = 'running'",
        )
        .bind(self.clock.now_ms())
        .execute(self.database.writer())
        .await
        .map(|_| ())
        .map_err(failed(WHAT))
    }
}

fn read_execution(row: &SqliteRow) -> Result<Execution, sqlx::Error> {
    let status: String = row.try_get("status")?;
    let intent: Option<String> = row.try_get("intent")?;
    let confidence: Option<f64> = row.try_get("intent_confidence")?;
    Ok(Execution {
        id: row.try_get("id")?,
        user_id: row.try_get("user_id")?,
        status: ExecutionStatus::parse(&status)
            .ok_or_else(|| sqlx::Error::Decode(format!("unknown status {status}").into()))?,
        prompt: row.try_get("prompt")?,
        intent: intent.zip(confidence),
        plan: read_json(row, "plan")?,
        answer: row.try_get("answer")?,
        error: row.try_get("error")?,
        metadata: read_json(row, "metadata")?,
        started_ms: row.try_get("started_at")?,
        finished_ms: row.try_get("finished_at")?,
    })
}

fn read_step(row: &SqliteRow) -> Result<Step, sqlx::Error> {
    Ok(Step {
        id: row.try_get("id")?,
        action: row.try_get("action")?,
        target: row.try_get("target")?,
        status: row.try_get("status")?,
        error: row.try_get("error")?,
        query: row.try_get("query")?,
        output: row.try_get("output")?,
        duration_ms: row.try_get("duration_ms")?,
    })
}

fn read_json(row: &SqliteRow, column: &str) -> Result<Option<Value>, sqlx::Error> {
    let text: Option<String> = row.try_get(column)?;
    // One record that can't be read must not hide the others.
    Ok(text.and_then(|text| {
        let read = serde_json::from_str(&text);
        read.inspect_err(|error| tracing::warn!(%error, column, "a stored value can't be read")).ok()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn store(folder: &tempfile::TempDir, clock: &Clock) -> ExecutionStore {
        ExecutionStore::new(Database::open(folder.path()).await.unwrap(), clock.clone())
    }

    fn execution(id: usize, clock: &Clock) -> Execution {
        Execution {
            id: id.to_string(),
            user_id: "ada".to_owned(),
            status: ExecutionStatus::Running,
            prompt: "x".repeat(5000),
            intent: None,
            plan: None,
            answer: None,
            error: None,
            metadata: None,
            started_ms: clock.now_ms(),
            finished_ms: None,
        }
    }

    #[tokio::test]
    async fn old_and_surplus_executions_go_with_their_steps_but_not_running_ones() {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::manual(1_700_000_000_000));
        let store = store(&folder, &clock).await;
        let outcome = Outcome { status: ExecutionStatus::Completed, answer: None, error: None, metadata: Value::Null };
        let step = Step {
            id: "task_1".to_owned(),
            action: "llm_call".to_owned(),
            target: None,
            status: "completed".to_owned(),
            error: None,
            query: None,
            output: None,
            duration_ms: 1,
        };
        for id in 0..2500 {
            store.begin(&execution(id, &clock)).await.unwrap();
            store.step(&id.to_string(), 0, &step).await.unwrap();
            if id != 7 {
                store.finish(&id.to_string(), &outcome).await.unwrap();
            }
            clock.advance(Duration::from_secs(1));
        }
        let ids = async |store: &ExecutionStore| -> Vec<usize> {
            let all = store.list(&ExecutionFilter::default(), 5000).await.unwrap();
            all.iter().map(|(_, execution)| execution.id.parse().unwrap()).collect()
        };
        assert_eq!(store.list(&ExecutionFilter::default(), 1).await.unwrap()[0].1.prompt.len(), 1000);
        store.retain(Duration::from_secs(86_400), 100).await.unwrap();
        assert_eq!(ids(&store).await, (2400..2500).rev().chain([7]).collect::<Vec<_>>());
        let steps: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM execution_step").fetch_one(store.database.read()).await.unwrap();
        assert_eq!(steps, 101);
        store.retain(Duration::from_secs(10), 100).await.unwrap();
        assert_eq!(ids(&store).await, (2490..2500).rev().chain([7]).collect::<Vec<_>>());
    }
}

use std::borrow::Cow;

use serde::Serialize;
use sqlx::PgPool;

use super::change::{ExecutionChange, INTERRUPTED};
use super::folding::{FoldedChanges, FoldedExecution, FoldedTask};
use crate::storage::postgres::{PostgresConnection, ServerLease, replace_nul};

/// One statement, so one round trip and all or nothing. `$1`: executions that begin; `$2`: those that began before; `$3`: events of
/// tasks. One that was begun already is brought on only, and the first end counts: what was done may be done again.
const WRITE: &str = "WITH begun AS (
    INSERT INTO execution (id, server, generation, user_id, status, prompt, intent, intent_confidence, plan, planned_at, answer, error,
            metadata, started_at, finished_at)
        SELECT id, server, generation, user_id, status, prompt, intent, confidence, plan, planned_at, answer, error, metadata, started_at,
            finished_at
        FROM ROWS FROM (json_to_recordset($1::json) AS (id text, server text, generation bigint, user_id text, status text, prompt text,
            intent text, confidence float8, plan text, planned_at bigint, answer text, error text, metadata text,
            started_at bigint, finished_at bigint)) WITH ORDINALITY ORDER BY ordinality
        ON CONFLICT (id) DO UPDATE SET
            intent = COALESCE(execution.intent, excluded.intent),
            intent_confidence = COALESCE(execution.intent_confidence, excluded.intent_confidence),
            plan = COALESCE(execution.plan, excluded.plan),
            planned_at = COALESCE(execution.planned_at, excluded.planned_at),
            status = excluded.status, answer = excluded.answer, error = excluded.error, metadata = excluded.metadata,
            finished_at = excluded.finished_at
        WHERE execution.status = 'running'
        RETURNING id, started_at
), continued AS (
    UPDATE execution SET
            intent = COALESCE(given.intent, execution.intent),
            intent_confidence = COALESCE(given.confidence, execution.intent_confidence),
            plan = COALESCE(given.plan, execution.plan),
            planned_at = COALESCE(given.planned_at, execution.planned_at),
            status = given.status, answer = given.answer, error = given.error, metadata = given.metadata,
            finished_at = given.finished_at
        FROM json_to_recordset($2::json) AS given (id text, status text, intent text, confidence float8, plan text,
            planned_at bigint, answer text, error text, metadata text, finished_at bigint)
        WHERE execution.id = given.id AND execution.status = 'running'
), stepped AS (
    INSERT INTO execution_event (execution_id, number, kind, at, id, action, target, status, error, query, output, duration_ms)
        SELECT execution_id, number, kind, COALESCE(at,
                (SELECT started_at FROM begun WHERE begun.id = given.execution_id),
                (SELECT started_at FROM execution WHERE execution.id = given.execution_id)),
            id, action, target, status, error, query, output, duration_ms
        FROM json_to_recordset($3::json) AS given (execution_id text, number bigint, kind text, at bigint, id text, action text,
            target text, status text, error text, query text, output text, duration_ms bigint)
        WHERE EXISTS (SELECT 1 FROM begun WHERE begun.id = given.execution_id)
            OR EXISTS (SELECT 1 FROM execution WHERE execution.id = given.execution_id)
        ON CONFLICT (execution_id, number) DO NOTHING
) SELECT 1";

/// A correction comes after the end that it corrects, in a statement of its own: one can't change a row twice.
const AMEND: &str = "UPDATE execution SET error = given.error, metadata = given.metadata
    FROM json_to_recordset($1::json) AS given (id text, error text, metadata text) WHERE execution.id = given.id";

const INTERRUPT: &str = "UPDATE execution SET status = 'interrupted', error = $1, finished_at = $2
    WHERE status = 'running' AND server = $3 AND started_at < $2";

/// Makes changes that stand in this order.
pub(super) async fn run(changes: &[ExecutionChange], connection: &PostgresConnection) -> Result<(), sqlx::Error> {
    let PostgresConnection { pool, lease, .. } = connection;
    for changes in changes.split_inclusive(|change| matches!(change, ExecutionChange::Interrupt { .. })) {
        let folded = FoldedChanges::of(changes);
        write(&folded, lease, pool).await?;
        let amended = folded.executions.iter().filter_map(|(id, execution)| Some((id, execution.amended()?)));
        let amended: Vec<_> =
            amended.map(|(id, (error, metadata))| BatchedAmendment { id, error: clean(error), metadata }).collect();
        if !amended.is_empty() {
            sqlx::query(AMEND).bind(json(&amended)?).execute(pool).await?;
        }
        if let Some(before_ms) = folded.interrupted_ms {
            sqlx::query(INTERRUPT).bind(INTERRUPTED).bind(before_ms).bind(&*lease.server).execute(pool).await?;
        }
    }
    Ok(())
}

async fn write(folded: &FoldedChanges<'_>, lease: &ServerLease, pool: &PgPool) -> Result<(), sqlx::Error> {
    let executions = folded.executions.iter().filter(|(_, execution)| !execution.is_amended_only());
    let owner = (&*lease.server, lease.generation());
    let rows = executions.map(|(id, execution)| BatchedExecution::of(id, execution, owner));
    let (begun, continued): (Vec<_>, Vec<_>) = rows.partition(|row| row.server.is_some());
    let events: Vec<_> = folded.tasks.iter().map(BatchedEvent::of).collect();
    if begun.is_empty() && continued.is_empty() && events.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(WRITE).bind(json(&begun)?).bind(json(&continued)?).bind(json(&events)?);
    query.execute(pool).await.map(|_| ())
}

fn json(rows: &impl Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(rows).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn clean(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(replace_nul)
}

#[derive(Serialize)]
struct BatchedExecution<'a> {
    id: &'a str,
    /// Where it runs, if it begins.
    server: Option<&'a str>,
    /// Under which lease, if it begins.
    generation: Option<i64>,
    user_id: Option<Cow<'a, str>>,
    status: &'static str,
    prompt: Option<Cow<'a, str>>,
    intent: Option<&'a str>,
    confidence: Option<f64>,
    plan: Option<&'a str>,
    planned_at: Option<i64>,
    answer: Option<Cow<'a, str>>,
    error: Option<Cow<'a, str>>,
    metadata: Option<&'a str>,
    started_at: Option<i64>,
    finished_at: Option<i64>,
}

impl<'a> BatchedExecution<'a> {
    fn of(id: &'a str, it: &FoldedExecution<'a>, (server, generation): (&'a str, Option<i64>)) -> Self {
        Self {
            id,
            server: it.begun.map(|_| server),
            generation: it.begun.and(generation),
            user_id: clean(it.begun.map(|begun| begun.user_id.as_str())),
            status: it.status().as_str(),
            prompt: clean(it.begun.map(|begun| begun.prompt.as_str())),
            intent: it.intent(),
            confidence: it.confidence(),
            plan: it.plan(),
            planned_at: it.planned_ms(),
            answer: clean(it.answer()),
            error: clean(it.error()),
            metadata: it.metadata(),
            started_at: it.begun.map(|begun| begun.started_ms),
            finished_at: it.finished_ms(),
        }
    }
}

#[derive(Serialize)]
struct BatchedEvent<'a> {
    execution_id: &'a str,
    number: i64,
    kind: &'static str,
    at: Option<i64>,
    id: Cow<'a, str>,
    action: &'a str,
    target: Option<Cow<'a, str>>,
    status: Option<&'static str>,
    error: Option<Cow<'a, str>>,
    query: Option<Cow<'a, str>>,
    output: Option<Cow<'a, str>>,
    duration_ms: Option<i64>,
}

impl<'a> BatchedEvent<'a> {
    fn of(task: &FoldedTask<'a>) -> Self {
        Self {
            execution_id: task.execution,
            number: task.number,
            kind: task.kind,
            at: task.at_ms,
            id: replace_nul(task.id),
            action: task.action,
            target: clean(task.target),
            status: task.status,
            error: clean(task.error),
            query: clean(task.query),
            output: clean(task.output),
            duration_ms: task.duration_ms,
        }
    }
}

#[derive(Serialize)]
struct BatchedAmendment<'a> {
    id: &'a str,
    error: Option<Cow<'a, str>>,
    metadata: &'a str,
}

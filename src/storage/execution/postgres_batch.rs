use std::borrow::Cow;

use serde::Serialize;
use sqlx::PgPool;

use super::change::{ExecutionChange, INTERRUPTED};
use super::folding::{FoldedChanges, FoldedExecution};
use super::record::Step;
use crate::storage::postgres::replace_nul;

/// One statement, so one round trip and all or nothing. `$1`: executions that begin; `$2`: those that began before; `$3`: steps; `$4`:
/// corrections. One that was begun already is brought on only, and the first end counts: what was done may be done again.
const WRITE: &str = "WITH begun AS (
    INSERT INTO execution (id, server, user_id, status, prompt, intent, intent_confidence, plan, answer, error, metadata,
            started_at, finished_at)
        SELECT id, server, user_id, status, prompt, intent, confidence, plan, answer, error, metadata, started_at, finished_at
        FROM ROWS FROM (json_to_recordset($1::json) AS (id text, server text, user_id text, status text, prompt text,
            intent text, confidence float8, plan text, answer text, error text, metadata text, started_at bigint,
            finished_at bigint)) WITH ORDINALITY ORDER BY ordinality
        ON CONFLICT (id) DO UPDATE SET
            intent = COALESCE(execution.intent, excluded.intent),
            intent_confidence = COALESCE(execution.intent_confidence, excluded.intent_confidence),
            plan = COALESCE(execution.plan, excluded.plan),
            status = excluded.status, answer = excluded.answer, error = excluded.error, metadata = excluded.metadata,
            finished_at = excluded.finished_at
        WHERE execution.status = 'running'
        RETURNING id
), continued AS (
    UPDATE execution SET
            intent = COALESCE(given.intent, execution.intent),
            intent_confidence = COALESCE(given.confidence, execution.intent_confidence),
            plan = COALESCE(given.plan, execution.plan),
            status = given.status, answer = given.answer, error = given.error, metadata = given.metadata,
            finished_at = given.finished_at
        FROM json_to_recordset($2::json) AS given (id text, status text, intent text, confidence float8, plan text, answer text,
            error text, metadata text, finished_at bigint)
        WHERE execution.id = given.id AND execution.status = 'running'
), stepped AS (
    INSERT INTO execution_step (execution_id, ordinal, id, action, target, status, error, query, output, duration_ms)
        SELECT given.* FROM json_to_recordset($3::json) AS given (execution_id text, ordinal bigint, id text, action text,
            target text, status text, error text, query text, output text, duration_ms bigint)
        WHERE EXISTS (SELECT 1 FROM begun WHERE begun.id = given.execution_id)
            OR EXISTS (SELECT 1 FROM execution WHERE execution.id = given.execution_id)
        ON CONFLICT (execution_id, ordinal) DO NOTHING
) SELECT 1";

/// A correction comes after the end that it corrects, in a statement of its own: one can't change a row twice.
const AMEND: &str = "UPDATE execution SET error = given.error, metadata = given.metadata
    FROM json_to_recordset($1::json) AS given (id text, error text, metadata text) WHERE execution.id = given.id";

const INTERRUPT: &str = "UPDATE execution SET status = 'interrupted', error = $1, finished_at = $2
    WHERE status = 'running' AND server = $3 AND started_at < $2";

/// Makes changes that stand in this order.
pub(super) async fn run(changes: &[ExecutionChange], server: &str, pool: &PgPool) -> Result<(), sqlx::Error> {
    for changes in changes.split_inclusive(|change| matches!(change, ExecutionChange::Interrupt { .. })) {
        let folded = FoldedChanges::of(changes);
        write(&folded, server, pool).await?;
        let amended = folded.executions.iter().filter_map(|(id, execution)| Some((id, execution.amended()?)));
        let amended: Vec<_> =
            amended.map(|(id, (error, metadata))| BatchedAmendment { id, error: clean(error), metadata }).collect();
        if !amended.is_empty() {
            sqlx::query(AMEND).bind(json(&amended)?).execute(pool).await?;
        }
        if let Some(before_ms) = folded.interrupted_ms {
            sqlx::query(INTERRUPT).bind(INTERRUPTED).bind(before_ms).bind(server).execute(pool).await?;
        }
    }
    Ok(())
}

async fn write(folded: &FoldedChanges<'_>, server: &str, pool: &PgPool) -> Result<(), sqlx::Error> {
    let executions = folded.executions.iter().filter(|(_, execution)| !execution.is_amended_only());
    let rows = executions.map(|(id, execution)| BatchedExecution::of(id, execution, server));
    let (begun, continued): (Vec<_>, Vec<_>) = rows.partition(|row| row.server.is_some());
    let steps: Vec<_> = folded.steps.iter().map(|(id, ordinal, step)| BatchedStep::of(id, *ordinal, step)).collect();
    if begun.is_empty() && continued.is_empty() && steps.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(WRITE).bind(json(&begun)?).bind(json(&continued)?).bind(json(&steps)?);
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
    user_id: Option<Cow<'a, str>>,
    status: &'static str,
    prompt: Option<Cow<'a, str>>,
    intent: Option<&'a str>,
    confidence: Option<f64>,
    plan: Option<&'a str>,
    answer: Option<Cow<'a, str>>,
    error: Option<Cow<'a, str>>,
    metadata: Option<&'a str>,
    started_at: Option<i64>,
    finished_at: Option<i64>,
}

impl<'a> BatchedExecution<'a> {
    fn of(id: &'a str, it: &FoldedExecution<'a>, server: &'a str) -> Self {
        Self {
            id,
            server: it.begun.map(|_| server),
            user_id: clean(it.begun.map(|begun| begun.user_id.as_str())),
            status: it.status().as_str(),
            prompt: clean(it.begun.map(|begun| begun.prompt.as_str())),
            intent: it.intent(),
            confidence: it.confidence(),
            plan: it.plan(),
            answer: clean(it.answer()),
            error: clean(it.error()),
            metadata: it.metadata(),
            started_at: it.begun.map(|begun| begun.started_ms),
            finished_at: it.finished_ms(),
        }
    }
}

#[derive(Serialize)]
struct BatchedStep<'a> {
    execution_id: &'a str,
    ordinal: i64,
    id: Cow<'a, str>,
    action: &'a str,
    target: Option<Cow<'a, str>>,
    status: &'static str,
    error: Option<Cow<'a, str>>,
    query: Option<Cow<'a, str>>,
    output: Option<Cow<'a, str>>,
    duration_ms: i64,
}

impl<'a> BatchedStep<'a> {
    fn of(execution_id: &'a str, ordinal: i64, step: &'a Step) -> Self {
        Self {
            execution_id,
            ordinal,
            id: replace_nul(&step.id),
            action: &step.action,
            target: clean(step.target.as_deref()),
            status: step.status.as_str(),
            error: clean(step.error.as_deref()),
            query: clean(step.query.as_deref()),
            output: clean(step.output.as_deref()),
            duration_ms: step.duration_ms,
        }
    }
}

#[derive(Serialize)]
struct BatchedAmendment<'a> {
    id: &'a str,
    error: Option<Cow<'a, str>>,
    metadata: &'a str,
}

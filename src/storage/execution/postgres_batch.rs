use indexmap::IndexMap;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;

use super::change::{ExecutionChange, INTERRUPTED};
use crate::storage::postgres::replace_nul;

const BEGIN: &str = "INSERT INTO execution (id, server, user_id, status, prompt, started_at)
    SELECT id, server, user_id, status, prompt, started_at
    FROM ROWS FROM (json_to_recordset($1::json)
        AS (id text, server text, user_id text, status text, prompt text, started_at bigint)) WITH ORDINALITY
    ORDER BY ordinality ON CONFLICT (id) DO NOTHING";

const PLAN: &str = "UPDATE execution SET intent = given.intent, intent_confidence = given.confidence, plan = given.plan
    FROM json_to_recordset($1::json) AS given (id text, intent text, confidence float8, plan text)
    WHERE execution.id = given.id";

const STEP: &str = "INSERT INTO execution_step
        (execution_id, ordinal, id, action, target, status, error, query, output, duration_ms)
    SELECT given.* FROM json_to_recordset($1::json)
        AS given (execution_id text, ordinal bigint, id text, action text, target text, status text, error text,
            query text, output text, duration_ms bigint)
    JOIN execution ON execution.id = given.execution_id
    ON CONFLICT (execution_id, ordinal) DO NOTHING";

/// The first end counts.
const FINISH: &str = "UPDATE execution SET status = given.status, answer = given.answer, error = given.error,
        metadata = given.metadata, finished_at = given.finished_at
    FROM (SELECT DISTINCT ON (id) * FROM ROWS FROM (json_to_recordset($1::json)
        AS (id text, status text, answer text, error text, metadata text, finished_at bigint)) WITH ORDINALITY
        ORDER BY id, ordinality) AS given
    WHERE execution.id = given.id AND execution.status = 'running'";

const INTERRUPT: &str = "UPDATE execution SET status = 'interrupted', error = given.error, finished_at = given.before
    FROM json_to_recordset($1::json) AS given (server text, error text, before bigint)
    WHERE execution.status = 'running' AND execution.server = given.server AND started_at < given.before";

/// Makes changes that stand in this order. Each kind takes one statement, however many there are: of one execution, the
/// kinds follow each other anyway.
pub(super) async fn run(
    changes: &[ExecutionChange],
    server: &str,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    for changes in changes.split_inclusive(|change| matches!(change, ExecutionChange::Interrupt { .. })) {
        let mut statements = IndexMap::from([BEGIN, PLAN, STEP, FINISH, INTERRUPT].map(|sql| (sql, Vec::new())));
        for (sql, row) in changes.iter().map(|change| statement(change, server)) {
            statements.entry(sql).or_default().push(row);
        }
        for (sql, rows) in statements.into_iter().filter(|(_, rows)| !rows.is_empty()) {
            sqlx::query(sql).bind(Value::Array(rows).to_string()).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// What makes a change, and the row that it makes it of.
fn statement(change: &ExecutionChange, server: &str) -> (&'static str, Value) {
    let optional = |text: &Option<String>| text.as_deref().map(|text| replace_nul(text).into_owned());
    match change {
        ExecutionChange::Begin(it) => {
            let (user_id, prompt) = (replace_nul(&it.user_id), replace_nul(&it.prompt));
            let row = json!({"id": it.id, "server": server, "user_id": user_id, "status": it.status.as_str(),
                "prompt": prompt, "started_at": it.started_ms});
            (BEGIN, row)
        }
        ExecutionChange::Plan { id, intent, confidence, plan } => {
            (PLAN, json!({"id": id, "intent": intent, "confidence": confidence, "plan": plan}))
        }
        ExecutionChange::Step { id, ordinal, step } => {
            let row = json!({"execution_id": id, "ordinal": ordinal, "id": replace_nul(&step.id),
                "action": step.action, "target": optional(&step.target), "status": step.status.as_str(),
                "error": optional(&step.error), "query": optional(&step.query), "output": optional(&step.output),
                "duration_ms": step.duration_ms});
            (STEP, row)
        }
        ExecutionChange::Finish { id, outcome, finished_ms } => {
            let row = json!({"id": id, "status": outcome.status.as_str(), "answer": optional(&outcome.answer),
                "error": optional(&outcome.error), "metadata": outcome.metadata, "finished_at": finished_ms});
            (FINISH, row)
        }
        ExecutionChange::Interrupt { before_ms } => {
            (INTERRUPT, json!({"server": server, "error": INTERRUPTED, "before": before_ms}))
        }
    }
}

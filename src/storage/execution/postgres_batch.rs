use std::borrow::Cow;

use indexmap::IndexMap;
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;

use super::change::{ExecutionChange, INTERRUPTED};
use super::record::{Execution, Outcome, Step};

type Statement<'a> = Query<'a, Postgres, PgArguments>;

/// Makes changes that stand in this order. Each kind takes one statement, however many there are: of one execution, the
/// kinds follow each other anyway.
pub(super) async fn run(
    changes: &[ExecutionChange],
    server: &str,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    for changes in changes.split_inclusive(|change| matches!(change, ExecutionChange::Interrupt { .. })) {
        let statements =
            [begin(changes, server), plan(changes), step(changes), finish(changes), interrupt(changes, server)];
        for statement in statements.into_iter().flatten() {
            statement.execute(&mut *connection).await?;
        }
    }
    Ok(())
}

fn begin<'a>(changes: &'a [ExecutionChange], server: &'a str) -> Option<Statement<'a>> {
    let begun: Vec<&Execution> = changes
        .iter()
        .filter_map(|change| if let ExecutionChange::Begin(execution) = change { Some(execution) } else { None })
        .collect();
    if begun.is_empty() {
        return None;
    }
    let statement = sqlx::query(
        "INSERT INTO execution (id, server, user_id, status, prompt, started_at)
         SELECT id, $1, user_id, status, prompt, started_at
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
             WITH ORDINALITY AS given (id, user_id, status, prompt, started_at, nth)
         ORDER BY nth ON CONFLICT (id) DO NOTHING",
    )
    .bind(server)
    .bind(begun.iter().map(|execution| execution.id.as_str()).collect::<Vec<_>>())
    .bind(begun.iter().map(|execution| replace_nul(&execution.user_id)).collect::<Vec<_>>())
    .bind(begun.iter().map(|execution| execution.status.as_str()).collect::<Vec<_>>())
    .bind(begun.iter().map(|execution| replace_nul(&execution.prompt)).collect::<Vec<_>>())
    .bind(begun.iter().map(|execution| execution.started_ms).collect::<Vec<_>>());
    Some(statement)
}

fn plan(changes: &[ExecutionChange]) -> Option<Statement<'_>> {
    let (mut ids, mut intents, mut confidences, mut plans) = (vec![], vec![], vec![], vec![]);
    for change in changes {
        if let ExecutionChange::Plan { id, intent, confidence, plan } = change {
            ids.push(id.as_str());
            intents.push(intent.as_str());
            confidences.push(*confidence);
            plans.push(plan.as_str());
        }
    }
    if ids.is_empty() {
        return None;
    }
    let statement = sqlx::query(
        "UPDATE execution SET intent = given.intent, intent_confidence = given.confidence, plan = given.plan
         FROM unnest($1::text[], $2::text[], $3::float8[], $4::text[]) AS given (id, intent, confidence, plan)
         WHERE execution.id = given.id",
    )
    .bind(ids)
    .bind(intents)
    .bind(confidences)
    .bind(plans);
    Some(statement)
}

fn step(changes: &[ExecutionChange]) -> Option<Statement<'_>> {
    let mut steps: Vec<(&str, i64, &Step)> = Vec::new();
    for change in changes {
        if let ExecutionChange::Step { id, ordinal, step } = change {
            steps.push((id, *ordinal, step));
        }
    }
    if steps.is_empty() {
        return None;
    }
    let optional = |field: fn(&Step) -> Option<&str>| -> Vec<_> {
        steps.iter().map(|(_, _, step)| field(step).map(|text| replace_nul(text).into_owned())).collect()
    };
    let statement = sqlx::query(
        "INSERT INTO execution_step
             (execution_id, ordinal, id, action, status, duration_ms, target, error, query, output)
         SELECT given.* FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[],
             $7::text[], $8::text[], $9::text[], $10::text[]) AS given (execution_id)
         JOIN execution ON execution.id = given.execution_id
         ON CONFLICT (execution_id, ordinal) DO NOTHING",
    )
    .bind(steps.iter().map(|(id, _, _)| *id).collect::<Vec<_>>())
    .bind(steps.iter().map(|(_, ordinal, _)| *ordinal).collect::<Vec<_>>())
    .bind(steps.iter().map(|(_, _, step)| replace_nul(&step.id)).collect::<Vec<_>>())
    .bind(steps.iter().map(|(_, _, step)| step.action.as_str()).collect::<Vec<_>>())
    .bind(steps.iter().map(|(_, _, step)| step.status.as_str()).collect::<Vec<_>>())
    .bind(steps.iter().map(|(_, _, step)| step.duration_ms).collect::<Vec<_>>())
    .bind(optional(|step| step.target.as_deref()))
    .bind(optional(|step| step.error.as_deref()))
    .bind(optional(|step| step.query.as_deref()))
    .bind(optional(|step| step.output.as_deref()));
    Some(statement)
}

fn finish(changes: &[ExecutionChange]) -> Option<Statement<'_>> {
    let mut ended = IndexMap::new();
    for change in changes {
        if let ExecutionChange::Finish { id, outcome, finished_ms } = change {
            // The first end counts.
            ended.entry(id.as_str()).or_insert((outcome, *finished_ms));
        }
    }
    if ended.is_empty() {
        return None;
    }
    let optional = |field: fn(&Outcome) -> Option<&str>| -> Vec<_> {
        ended.values().map(|(outcome, _)| field(outcome).map(|text| replace_nul(text).into_owned())).collect()
    };
    let statement = sqlx::query(
        "UPDATE execution SET status = given.status, answer = given.answer, error = given.error,
             metadata = given.metadata, finished_at = given.finished_at
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
             AS given (id, status, answer, error, metadata, finished_at)
         WHERE execution.id = given.id AND execution.status = 'running'",
    )
    .bind(ended.keys().copied().collect::<Vec<_>>())
    .bind(ended.values().map(|(outcome, _)| outcome.status.as_str()).collect::<Vec<_>>())
    .bind(optional(|outcome| outcome.answer.as_deref()))
    .bind(optional(|outcome| outcome.error.as_deref()))
    .bind(ended.values().map(|(outcome, _)| outcome.metadata.as_str()).collect::<Vec<_>>())
    .bind(ended.values().map(|(_, finished_ms)| *finished_ms).collect::<Vec<_>>());
    Some(statement)
}

fn interrupt<'a>(changes: &'a [ExecutionChange], server: &'a str) -> Option<Statement<'a>> {
    let Some(ExecutionChange::Interrupt { before_ms }) = changes.last() else { return None };
    let statement = sqlx::query(
        "UPDATE execution SET status = 'interrupted', error = $3, finished_at = $2
         WHERE status = 'running' AND server = $1 AND started_at < $2",
    )
    .bind(server)
    .bind(before_ms)
    .bind(INTERRUPTED);
    Some(statement)
}

/// The one character that Postgres can't store.
pub(super) fn replace_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{FFFD}")) } else { Cow::Borrowed(text) }
}

use indexmap::IndexMap;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;

use super::change::TranscriptChange;
use super::record::{PromptProfile, Transcript, TranscriptMessage};
use super::rows::MAX_MESSAGES;
use crate::storage::postgres::replace_nul;

const CREATE: &str = "INSERT INTO transcript (id, title, user_id, model_id, routing_profile, created_at, updated_at)
    SELECT * FROM json_to_recordset($1::json) AS given (id text, title text, user_id text, model_id text,
        routing_profile text, created_at bigint, updated_at bigint)
    ON CONFLICT (id) DO NOTHING";

/// To a transcript that is not here nothing is added.
const ADD: &str = "INSERT INTO transcript_message (id, transcript_id, role, content, metadata, created_at, model,
        routing_profile, succeeded, latency_ms)
    SELECT given.id, transcript_id, role, content, metadata, given.created_at, model, given.routing_profile, succeeded,
        latency_ms
    FROM ROWS FROM (json_to_recordset($1::json) AS (id text, transcript_id text, role text, content text, metadata text,
        created_at bigint, model text, routing_profile text, succeeded boolean, latency_ms bigint)) WITH ORDINALITY AS given
    JOIN transcript ON transcript.id = given.transcript_id ORDER BY ordinality ON CONFLICT (id) DO NOTHING";

/// Deletes messages beyond the newest `keep` of a transcript.
const TRIM: &str = "DELETE FROM transcript_message USING
        (SELECT given.id, surplus.position
         FROM (SELECT DISTINCT id, keep FROM json_to_recordset($1::json) AS added (id text, keep bigint)) AS given
         CROSS JOIN LATERAL (SELECT position FROM transcript_message WHERE transcript_id = given.id
             ORDER BY position DESC LIMIT 1 OFFSET given.keep) AS surplus) AS oldest
    WHERE transcript_message.transcript_id = oldest.id AND transcript_message.position <= oldest.position";

/// The last title counts, and the newest time.
const TOUCH: &str = "UPDATE transcript SET title = COALESCE(given.title, transcript.title),
        updated_at = GREATEST(transcript.updated_at, given.updated_at)
    FROM (SELECT id, (array_agg(title ORDER BY ordinality DESC) FILTER (WHERE title IS NOT NULL))[1] AS title,
            MAX(updated_at) AS updated_at
        FROM ROWS FROM (json_to_recordset($1::json) AS (id text, title text, updated_at bigint)) WITH ORDINALITY
        GROUP BY id) AS given
    WHERE transcript.id = given.id";

const DELETE: &str =
    "DELETE FROM transcript USING json_to_recordset($1::json) AS given (id text) WHERE transcript.id = given.id";

const DEACTIVATE: &str = "UPDATE prompt_profile SET is_active = FALSE WHERE is_active
    AND EXISTS (SELECT 1 FROM json_to_recordset($1::json) AS given (is_active boolean) WHERE given.is_active)";

const PROFILE: &str = "INSERT INTO prompt_profile
        (name, id, description, system_prompt, is_active, created_at, updated_at)
    SELECT * FROM json_to_recordset($1::json) AS given (name text, id text, description text, system_prompt text,
        is_active boolean, created_at bigint, updated_at bigint)
    ON CONFLICT (name) DO UPDATE SET description = excluded.description, system_prompt = excluded.system_prompt,
        is_active = excluded.is_active, updated_at = excluded.updated_at";

/// Makes changes that stand in this order. Each kind takes one statement, however many there are: of one transcript, the kinds
/// follow each other anyway. Profiles, of which one ends the activity of another, are put one by one.
pub(super) async fn run(changes: &[TranscriptChange], connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    for changes in changes.split_inclusive(|change| matches!(change, TranscriptChange::Profile(_))) {
        let order = [CREATE, ADD, TRIM, TOUCH, DELETE, DEACTIVATE, PROFILE];
        let mut statements = IndexMap::from(order.map(|sql| (sql, Vec::new())));
        for (sql, row) in changes.iter().flat_map(rows) {
            statements.entry(sql).or_default().push(row);
        }
        for (sql, rows) in statements.into_iter().filter(|(_, rows)| !rows.is_empty()) {
            sqlx::query(sql).bind(Value::Array(rows).to_string()).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// The statements that make a change, and the row that each of them makes it of.
fn rows(change: &TranscriptChange) -> Vec<(&'static str, Value)> {
    match change {
        TranscriptChange::Create(it) => vec![(CREATE, created(it))],
        TranscriptChange::Add { transcript, message, title } => {
            let touched = json!({"id": transcript, "title": optional(title), "updated_at": message.created_ms});
            let trimmed = json!({"id": transcript, "keep": MAX_MESSAGES});
            vec![(ADD, added(transcript, message)), (TRIM, trimmed), (TOUCH, touched)]
        }
        TranscriptChange::Delete { transcript } => vec![(DELETE, json!({"id": transcript}))],
        TranscriptChange::Profile(it) => {
            vec![(DEACTIVATE, json!({"is_active": it.is_active})), (PROFILE, profile(it))]
        }
    }
}

fn created(it: &Transcript) -> Value {
    json!({"id": it.id, "title": replace_nul(&it.title), "user_id": optional(&it.user_id),
        "model_id": optional(&it.model_id), "routing_profile": it.routing_profile, "created_at": it.created_ms,
        "updated_at": it.updated_ms})
}

fn added(transcript: &str, it: &TranscriptMessage) -> Value {
    let answer = it.answer.as_ref();
    json!({"id": it.id, "transcript_id": transcript, "role": it.role, "content": replace_nul(&it.content),
        "metadata": it.metadata, "created_at": it.created_ms,
        "model": answer.and_then(|answer| optional(&answer.model)),
        "routing_profile": answer.map(|answer| &answer.routing_profile),
        "succeeded": answer.map(|answer| answer.succeeded), "latency_ms": answer.map(|answer| answer.latency_ms)})
}

fn profile(it: &PromptProfile) -> Value {
    json!({"name": replace_nul(&it.name), "id": it.id, "description": optional(&it.description),
        "system_prompt": replace_nul(&it.system_prompt), "is_active": it.is_active, "created_at": it.created_ms,
        "updated_at": it.updated_ms})
}

fn optional(text: &Option<String>) -> Option<String> {
    text.as_deref().map(|text| replace_nul(text).into_owned())
}

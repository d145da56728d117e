//! What a batch does, as SQL. `$1` is the time; every other parameter is the rows of one kind, a JSON array of arrays.

/// Kinds of rows; each number is that of its parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowKind {
    /// User, when the conversation expires.
    Conversation = 2,
    /// User, role, content, metadata, time, operation.
    Message = 3,
    /// User, operation, time.
    Clearing = 4,
    /// All columns of an execution that has begun, in the order of the table.
    Execution = 5,
    /// Id, intent, confidence, plan, time.
    Plan = 6,
    /// All columns of an event of a task, in the order of the table.
    Event = 7,
    /// Id, status, answer, error, metadata, time.
    Finish = 8,
    /// Id, error, metadata.
    Amendment = 9,
    /// Error, time.
    Interruption = 10,
    /// Key, value, when it expires.
    CacheEntry = 11,
    /// Service, owner, bytes, body.
    Outbox = 12,
}

/// The parameter with the largest number.
pub(super) const LAST_PARAMETER: usize = RowKind::Outbox as usize;

/// The statements in the order in which they run, each with the rows without which it is left out. `CROSS JOIN`, and `+` before a column
/// whose index must not be used, keep SQLite from going through a table to find the few rows that are given. `jsonb_each`, unlike
/// `json_each`, does not write each row as text again, which `->>` would then have to read.
pub(super) const STATEMENTS: &[(RowKind, &str)] = &[
    (
        RowKind::Clearing,
        "DELETE FROM conversation WHERE user_id IN (SELECT value ->> 0 FROM jsonb_each($4));
         INSERT OR REPLACE INTO tombstone (user_id, operation, cleared_at)
             SELECT value ->> 0, value ->> 1, value ->> 2 FROM jsonb_each($4);",
    ),
    (
        RowKind::Conversation,
        "DELETE FROM conversation WHERE user_id IN (SELECT value ->> 0 FROM jsonb_each($2)) AND expires_at <= $1;
         INSERT INTO conversation (user_id, expires_at) SELECT value ->> 0, value ->> 1 FROM jsonb_each($2) WHERE true
             ON CONFLICT (user_id) DO UPDATE SET expires_at = excluded.expires_at;",
    ),
    (
        RowKind::Message,
        "INSERT INTO message (user_id, role, content, metadata, created_at, operation)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM jsonb_each($3);",
    ),
    (
        RowKind::Execution,
        "INSERT INTO execution (id, user_id, status, prompt, intent, intent_confidence, plan, planned_at, answer, error,
                 metadata, started_at, finished_at)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
                 value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12 FROM jsonb_each($5) WHERE true
             ON CONFLICT (id) DO NOTHING;",
    ),
    (
        RowKind::Plan,
        "UPDATE execution SET intent = given.value ->> 1, intent_confidence = given.value ->> 2, plan = given.value ->> 3,
                 planned_at = given.value ->> 4
             FROM jsonb_each($6) AS given WHERE execution.id = given.value ->> 0;",
    ),
    (
        RowKind::Event,
        // Of an execution that began in Postgres there is no record here.
        "INSERT INTO execution_event
                 (execution_id, number, kind, at, id, action, target, status, error, query, output, duration_ms)
             SELECT execution.id, value ->> 1, value ->> 2, COALESCE(value ->> 3, execution.started_at), value ->> 4,
                 value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11
             FROM jsonb_each($7) AS given CROSS JOIN execution ON execution.id = value ->> 0
             WHERE true ON CONFLICT DO NOTHING;",
    ),
    (
        RowKind::Finish,
        "UPDATE execution SET status = given.value ->> 1, answer = given.value ->> 2, error = given.value ->> 3,
                 metadata = given.value ->> 4, finished_at = given.value ->> 5
             FROM jsonb_each($8) AS given WHERE execution.id = given.value ->> 0 AND +execution.status = 'running';",
    ),
    (
        RowKind::Amendment,
        "UPDATE execution SET error = given.value ->> 1, metadata = given.value ->> 2
             FROM jsonb_each($9) AS given WHERE execution.id = given.value ->> 0;",
    ),
    (
        RowKind::Interruption,
        "UPDATE execution SET status = 'interrupted', error = given.value ->> 0, finished_at = given.value ->> 1
             FROM jsonb_each($10) AS given WHERE status = 'running';",
    ),
    (
        RowKind::CacheEntry,
        "INSERT OR REPLACE INTO cache_entry (key, value, expires_at)
             SELECT value ->> 0, value ->> 1, value ->> 2 FROM jsonb_each($11);",
    ),
    (
        RowKind::Outbox,
        "INSERT INTO outbox (service, owner, bytes, body)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM jsonb_each($12);",
    ),
];

/// How many messages the conversations hold that were written to.
pub(super) const COUNTS: &str =
    "SELECT user_id, message_count FROM conversation WHERE user_id IN (SELECT value ->> 0 FROM jsonb_each($2));";

/// Deletes the oldest messages of a conversation, `$2` of them, but for system messages.
pub(super) const TRIM: &str = "DELETE FROM message WHERE id IN
    (SELECT id FROM message WHERE user_id = $1 AND role <> 'system' ORDER BY id LIMIT $2)";

/// The same, where only system messages are left.
pub(super) const TRIM_SYSTEM: &str =
    "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE user_id = $1 ORDER BY id LIMIT $2)";

/// Every statement by itself.
#[cfg(test)]
pub(in crate::storage) fn batch_statements() -> impl Iterator<Item = &'static str> {
    let statements = STATEMENTS.iter().flat_map(|(_, statements)| statements.split(';'));
    statements.chain([COUNTS.trim_end_matches(';'), TRIM, TRIM_SYSTEM]).map(str::trim).filter(|sql| !sql.is_empty())
}

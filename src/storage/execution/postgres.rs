use sqlx::{Postgres, QueryBuilder};
use tokio::time::sleep;

use super::change::{DELETE_BATCH, DELETE_PAUSE, ExecutionChange, INTERRUPTED};
use super::embedded::EmbeddedExecutions;
use super::event::ExecutionLog;
use super::postgres_batch::run;
use super::record::{Execution, ExecutionFilter};
use super::rows::{EventRow, ExecutionRow, SELECT_EVENTS, execution, log, select_execution};
use crate::kernel::JsonReader;
use crate::storage::failover::{Failure, OutboxEntry, timeout_for};
use crate::storage::postgres::{BACKGROUND_TIMEOUT, PostgresConnection, REQUEST_TIMEOUT, call, replace_nul};
use crate::storage::sqlite::int;

/// Servers of earlier versions have no lease: an execution may run for a day at most, and its server may be away for another.
const STALE_AFTER_MS: i64 = 2 * 86_400_000;

/// Long texts are cut, so that a page stays small.
const LIST_QUERY: &str = select_execution!("left(prompt, 1000)", "left(answer, 1000)", "position < ");

/// Makes changes, all or none.
pub(super) async fn apply(connection: PostgresConnection, changes: &[ExecutionChange]) -> Result<(), Failure> {
    let bytes = changes.iter().map(ExecutionChange::bytes).sum();
    call(timeout_for(REQUEST_TIMEOUT, bytes), run(changes, &connection)).await
}

pub(super) async fn get(connection: PostgresConnection, id: &str) -> Result<Option<ExecutionLog>, Failure> {
    let reading = async {
        let row: Option<ExecutionRow> = sqlx::query_as(select_execution!("prompt", "answer", "id = $1"))
            .bind(id)
            .fetch_optional(&connection.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let events: Vec<EventRow> = sqlx::query_as(SELECT_EVENTS).bind(id).fetch_all(&connection.pool).await?;
        log(row, events).map(Some)
    };
    call(REQUEST_TIMEOUT, reading).await
}

pub(super) async fn list(
    connection: PostgresConnection,
    filter: &ExecutionFilter,
    before: i64,
    limit: usize,
) -> Result<Vec<(i64, Execution)>, Failure> {
    let mut query = QueryBuilder::<Postgres>::new(LIST_QUERY);
    query.push_bind(before);
    if let Some(user_id) = &filter.user_id {
        query.push(" AND user_id = ").push_bind(replace_nul(user_id));
    }
    if let Some(status) = filter.status {
        query.push(" AND status = ").push_bind(status.as_str());
    }
    query.push(" ORDER BY position DESC LIMIT ").push_bind(int(limit));
    let reading = async {
        let rows: Vec<ExecutionRow> = query.build_query_as().fetch_all(&connection.pool).await?;
        rows.into_iter().map(execution).collect()
    };
    call(REQUEST_TIMEOUT, reading).await
}

pub(super) async fn count(connection: PostgresConnection) -> Result<i64, Failure> {
    let counting = sqlx::query_scalar("SELECT COUNT(*) FROM execution").fetch_one(&connection.pool);
    call(BACKGROUND_TIMEOUT, counting).await
}

/// A few at a time with pauses, as in the embedded store. What a server writes back late is found when it is among the first
/// thousand. What another server is deleting is left to it.
pub(super) async fn retain(
    connection: &PostgresConnection,
    now_ms: i64,
    before_ms: i64,
    max_rows: i64,
) -> Result<(), Failure> {
    while interrupt_stale(connection, now_ms).await? > 0 {
        sleep(DELETE_PAUSE).await;
    }
    let surplus = sqlx::query_scalar("SELECT position FROM execution ORDER BY position DESC LIMIT 1 OFFSET $1");
    let surplus: Option<i64> =
        call(BACKGROUND_TIMEOUT, surplus.bind(max_rows).fetch_optional(&connection.pool)).await?;
    loop {
        let deleting = sqlx::query(
            "DELETE FROM execution WHERE position IN (
                 SELECT position FROM execution WHERE position = ANY (ARRAY(
                     SELECT position FROM (SELECT position, started_at FROM execution WHERE status <> 'running'
                         ORDER BY position LIMIT 1000) AS oldest
                     WHERE started_at < $1 OR position <= $2 LIMIT $3))
                 FOR UPDATE SKIP LOCKED)",
        )
        .bind(before_ms)
        .bind(surplus.unwrap_or(0))
        .bind(DELETE_BATCH)
        .execute(&connection.pool);
        if call(BACKGROUND_TIMEOUT, deleting).await?.rows_affected() == 0 {
            return Ok(());
        }
        sleep(DELETE_PAUSE).await;
    }
}

/// Marks some of what cannot be running any more: its server never came back to say so.
async fn interrupt_stale(connection: &PostgresConnection, now_ms: i64) -> Result<u64, Failure> {
    let marking = sqlx::query(
        "UPDATE execution SET status = 'interrupted', error = $2, finished_at = $3 WHERE position IN (
             SELECT position FROM execution WHERE status = 'running' AND generation IS NULL AND started_at < $1 LIMIT $4
             FOR UPDATE SKIP LOCKED)",
    )
    .bind(now_ms.saturating_sub(STALE_AFTER_MS))
    .bind(INTERRUPTED)
    .bind(now_ms)
    .bind(DELETE_BATCH)
    .execute(&connection.pool);
    Ok(call(BACKGROUND_TIMEOUT, marking).await?.rows_affected())
}

/// Does in Postgres what the embedded store did while it was away: all in one transaction, or, if Postgres refuses something,
/// one by one without what it refuses.
pub(crate) async fn write_back(
    store: &EmbeddedExecutions,
    connection: &PostgresConnection,
    entries: &[&OutboxEntry],
) -> Result<(), Failure> {
    let read = |entry: &&OutboxEntry| {
        let read = JsonReader::stored().read::<ExecutionChange>(entry.body.as_bytes());
        read.inspect_err(|error| tracing::error!(%error, "a record that has waited can't be read and is given up")).ok()
    };
    let changes: Vec<ExecutionChange> = entries.iter().filter_map(read).collect();
    let limit = timeout_for(BACKGROUND_TIMEOUT, entries.iter().map(|entry| entry.body.len()).sum());
    match call(limit, run(&changes, connection)).await {
        Err(Failure::Rejected(_)) => {
            for change in &changes {
                let alone = run(std::slice::from_ref(change), connection);
                match call(limit, alone).await {
                    Err(Failure::Rejected(error)) => {
                        tracing::error!(%error, "a record can't be written back and is given up");
                    }
                    outcome => outcome?,
                }
            }
        }
        outcome => outcome?,
    }
    let mut ids: Vec<&str> = changes.iter().map(ExecutionChange::id).collect();
    ids.sort_unstable();
    ids.dedup();
    // What was given up here is kept there.
    let there = sqlx::query_scalar("SELECT id FROM execution WHERE id = ANY($1)").bind(ids).fetch_all(&connection.pool);
    let there: Vec<String> = call(BACKGROUND_TIMEOUT, there).await?;
    let last = entries.last().map_or(0, |entry| entry.position);
    Ok(store.forget(&there, last).await?)
}

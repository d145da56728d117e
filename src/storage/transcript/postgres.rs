use tokio::time::sleep;

use super::change::{DELETE_BATCH, DELETE_PAUSE, TranscriptChange};
use super::embedded::EmbeddedTranscripts;
use super::postgres_batch::run;
use super::record::{PromptProfile, Transcript, TranscriptFilter, TranscriptMessage, TranscriptPage, TranscriptUsage};
use super::rows;
use crate::kernel::JsonReader;
use crate::storage::failover::{Failure, OutboxEntry, timeout_for};
use crate::storage::postgres::{BACKGROUND_TIMEOUT, PostgresConnection, REQUEST_TIMEOUT, call, replace_nul};
use crate::storage::sqlite::int;

pub(super) async fn apply(connection: PostgresConnection, change: &TranscriptChange) -> Result<(), Failure> {
    call(timeout_for(REQUEST_TIMEOUT, change.bytes()), together(std::slice::from_ref(change), &connection)).await
}

async fn together(changes: &[TranscriptChange], connection: &PostgresConnection) -> Result<(), sqlx::Error> {
    let mut tx = connection.pool.begin().await?;
    run(changes, &mut tx).await?;
    tx.commit().await
}

pub(super) async fn get(connection: PostgresConnection, id: &str) -> Result<Option<Transcript>, Failure> {
    let reading = sqlx::query_as(rows::SELECT_ONE).bind(id).fetch_optional(&connection.pool);
    Ok(call(REQUEST_TIMEOUT, reading).await?.map(rows::transcript))
}

pub(super) async fn messages(connection: PostgresConnection, id: &str) -> Result<Vec<TranscriptMessage>, Failure> {
    let reading = sqlx::query_as(rows::SELECT_MESSAGES)
        .bind(id)
        .bind(rows::MAX_MESSAGES)
        .bind(rows::MAX_MESSAGE_CHARS)
        .fetch_all(&connection.pool);
    Ok(call(BACKGROUND_TIMEOUT, reading).await?.into_iter().map(rows::message).collect())
}

pub(super) async fn list(connection: PostgresConnection, filter: &TranscriptFilter) -> Result<TranscriptPage, Failure> {
    let user = filter.user_id.as_deref().map(replace_nul);
    let (page, count) = match &user {
        Some(_) => (rows::SELECT_PAGE_OF_USER, rows::COUNT_OF_USER),
        None => (rows::SELECT_PAGE, rows::COUNT),
    };
    let (mut page, mut count) = (sqlx::query_as(page), sqlx::query_scalar(count));
    page = page.bind(int(filter.limit)).bind(int(filter.offset));
    if let Some(user) = &user {
        (page, count) = (page.bind(user.as_ref()), count.bind(user.as_ref()));
    }
    let reading = async {
        let transcripts = page.fetch_all(&connection.pool).await?;
        let total = count.fetch_one(&connection.pool).await?;
        Ok(TranscriptPage { transcripts: transcripts.into_iter().map(rows::transcript).collect(), total })
    };
    call(REQUEST_TIMEOUT, reading).await
}

pub(super) async fn profiles(connection: PostgresConnection) -> Result<Vec<PromptProfile>, Failure> {
    let reading = sqlx::query_as(rows::SELECT_PROFILES).bind(rows::MAX_PROFILES).fetch_all(&connection.pool);
    Ok(call(REQUEST_TIMEOUT, reading).await?.into_iter().map(rows::profile).collect())
}

pub(super) async fn usage(connection: PostgresConnection, since_ms: i64) -> Result<TranscriptUsage, Failure> {
    let reading = async {
        let counts = sqlx::query_as(rows::SELECT_USAGE).bind(since_ms).bind(rows::MAX_COUNTED);
        let (answers, succeeded, latency_ms) = counts.fetch_one(&connection.pool).await?;
        let most = async |query: &'static str| {
            let query = sqlx::query_as(query).bind(since_ms).bind(rows::MAX_COUNTED).bind(rows::MAX_NAMED);
            let rows: Vec<(String, i64)> = query.fetch_all(&connection.pool).await?;
            Ok::<_, sqlx::Error>(rows.into_iter().map(rows::usage_count).collect())
        };
        let (models, profiles) = (most(rows::SELECT_MODELS).await?, most(rows::SELECT_USED_PROFILES).await?);
        Ok(TranscriptUsage { answers, succeeded, latency_ms, models, profiles })
    };
    call(BACKGROUND_TIMEOUT, reading).await
}

/// A few at a time with pauses, as in the embedded store. What another server is deleting is left to it.
pub(super) async fn retain(connection: &PostgresConnection, before_ms: i64, max_rows: i64) -> Result<(), Failure> {
    let surplus = sqlx::query_scalar(rows::SELECT_SURPLUS).bind(max_rows).fetch_optional(&connection.pool);
    let surplus: Option<i64> = call(BACKGROUND_TIMEOUT, surplus).await?;
    let until = surplus.map_or(before_ms, |newest| before_ms.max(newest.saturating_add(1)));
    loop {
        let deleting = sqlx::query(
            "DELETE FROM transcript WHERE id = ANY (ARRAY(
                 SELECT id FROM transcript WHERE updated_at < $1 ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
        );
        let deleting = deleting.bind(until).bind(DELETE_BATCH).execute(&connection.pool);
        if call(BACKGROUND_TIMEOUT, deleting).await?.rows_affected() == 0 {
            return Ok(());
        }
        sleep(DELETE_PAUSE).await;
    }
}

/// Does in Postgres what the embedded store did while it was away: all in one transaction, or, if Postgres refuses something,
/// one by one without what it refuses. What is in Postgres then is no longer needed here.
pub(crate) async fn write_back(
    store: &EmbeddedTranscripts,
    connection: &PostgresConnection,
    entries: &[&OutboxEntry],
) -> Result<(), Failure> {
    let read = |entry: &&OutboxEntry| {
        let read = JsonReader::stored().read::<TranscriptChange>(entry.body.as_bytes());
        read.inspect_err(|error| tracing::error!(%error, "a message that has waited can't be read and is given up"))
            .ok()
    };
    let changes: Vec<TranscriptChange> = entries.iter().filter_map(read).collect();
    let limit = timeout_for(BACKGROUND_TIMEOUT, entries.iter().map(|entry| entry.body.len()).sum());
    match call(limit, together(&changes, connection)).await {
        Err(Failure::Rejected(_)) => {
            for change in &changes {
                match call(limit, together(std::slice::from_ref(change), connection)).await {
                    Err(Failure::Rejected(error)) => {
                        tracing::error!(%error, "a message can't be written back and is given up");
                    }
                    outcome => outcome?,
                }
            }
        }
        outcome => outcome?,
    }
    let mut ids: Vec<&str> = changes.iter().map(TranscriptChange::transcript).collect();
    ids.sort_unstable();
    ids.dedup();
    // What was given up here is kept there.
    let there =
        sqlx::query_scalar("SELECT id FROM transcript WHERE id = ANY($1)").bind(ids).fetch_all(&connection.pool);
    let there: Vec<String> = call(BACKGROUND_TIMEOUT, there).await?;
    let last = entries.last().map_or(0, |entry| entry.position);
    Ok(store.forget(&there, last).await?)
}

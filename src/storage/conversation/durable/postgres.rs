use std::sync::Arc;

use serde::Serialize;
use sqlx::PgExecutor;
use sqlx::postgres::PgConnection;

use super::stored_message::StoredMessage;
use crate::kernel::UserId;
use crate::storage::conversation::codec;
use crate::storage::conversation::types::{
    Conversation, Excess, Extent, HistoryCursor, HistoryPage, Message, MessageIdentity, Tombstone,
};
use crate::storage::failover::{Failure, timeout_for};
use crate::storage::postgres::{BACKGROUND_TIMEOUT, PostgresConnection, REQUEST_TIMEOUT, call};
use crate::storage::sqlite::int;

/// Bytes of a conversation that are kept in Redis; a longer one is read from Postgres.
const MAX_WINDOW_BYTES: i64 = 2_000_000;

/// Messages that are added in one step.
#[derive(Debug)]
pub(super) struct Addition<'a> {
    pub(super) user: &'a str,
    /// The step, which is done once.
    pub(super) step: &'a str,
    /// Oldest first.
    pub(super) messages: &'a [StoredMessage],
    pub(super) now_ms: i64,
    /// When the conversation ends, in milliseconds since 1970.
    pub(super) ends_ms: i64,
    pub(super) max_messages: i64,
    /// Whether it was said a while ago.
    pub(super) is_late: bool,
    /// Whether Redis will not be told.
    pub(super) is_stale: bool,
}

/// Messages that were added in one step a while ago.
#[derive(Debug, Serialize)]
pub(super) struct LateAddition<'a> {
    /// The user.
    pub(super) who: &'a str,
    pub(super) step: &'a str,
    /// Oldest first.
    pub(super) messages: Vec<StoredMessage>,
    /// When the conversation ends, in milliseconds since 1970.
    pub(super) ends_ms: i64,
    pub(super) max_messages: i64,
}

/// What a conversation has become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Appended {
    /// Messages.
    pub(super) held: usize,
    pub(super) version: i64,
    /// Whether there was none before.
    pub(super) has_begun: bool,
}

/// A conversation as a window has it.
#[derive(Debug)]
pub(super) struct StoredConversation {
    pub(super) version: i64,
    pub(super) summary: Option<String>,
    pub(super) expires_ms: i64,
    /// The messages, newest first; `None` if they are too long for a window.
    pub(super) bodies: Option<Vec<String>>,
}

/// Adds messages, unless that was done before.
pub(super) async fn append<'e>(
    executor: impl PgExecutor<'e>,
    addition: &Addition<'_>,
) -> Result<Appended, sqlx::Error> {
    let append = "SELECT held, version, has_begun FROM conversation_append($1, $2, $3::json, $4, $5, $6, $7, $8)";
    let (held, version, has_begun): (i64, i64, bool) = sqlx::query_as(append)
        .bind(addition.user)
        .bind(addition.step)
        .bind(json(addition.messages)?)
        .bind(addition.now_ms)
        .bind(addition.ends_ms)
        .bind(addition.max_messages)
        .bind(addition.is_late)
        .bind(addition.is_stale)
        .fetch_one(executor)
        .await?;
    Ok(Appended { held: usize::try_from(held).unwrap_or_default(), version, has_begun })
}

/// The same for somebody who waits.
pub(super) async fn append_now(connection: PostgresConnection, addition: &Addition<'_>) -> Result<Appended, Failure> {
    let bytes = addition.messages.iter().map(|message| message.body.len()).sum();
    call(timeout_for(REQUEST_TIMEOUT, bytes), append(&connection.pool, addition)).await
}

/// Adds messages that come late, in this order, unless that was done before.
pub(super) async fn append_late(
    connection: &mut PgConnection,
    additions: &[LateAddition<'_>],
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    if additions.is_empty() {
        return Ok(());
    }
    let append = "SELECT conversation_append(who, step, messages, $2, ends_ms, max_messages, TRUE, TRUE)
        FROM json_to_recordset($1::json)
            AS given (who TEXT, step TEXT, messages JSON, ends_ms BIGINT, max_messages BIGINT)";
    sqlx::query(append).bind(json(additions)?).bind(now_ms).execute(connection).await.map(|_| ())
}

/// Gives a conversation this summary, if it has none.
pub(super) async fn set_summary<'e>(
    executor: impl PgExecutor<'e>,
    user: &str,
    summary: &str,
) -> Result<(), sqlx::Error> {
    let setting = "UPDATE conversation SET summary = $2, version = version + 1, window_is_stale = TRUE
        WHERE user_id = $1 AND summary IS NULL AND held > 0";
    sqlx::query(setting).bind(user).bind(summary).execute(executor).await.map(|_| ())
}

/// Forgets conversations; gives the version that each has come to, in the order of their names.
pub(super) async fn clear<'e>(
    executor: impl PgExecutor<'e>,
    users: &[&str],
    cleared_ms: i64,
    now_ms: i64,
    [is_late, is_stale]: [bool; 2],
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let clear = "SELECT who, conversation_clear(who, $2, $3, $4, $5)
        FROM (SELECT who FROM unnest($1::text[]) AS given (who) ORDER BY who COLLATE \"C\") AS sorted";
    let clearing = sqlx::query_as(clear).bind(users).bind(cleared_ms).bind(now_ms).bind(is_late).bind(is_stale);
    clearing.fetch_all(executor).await
}

/// The same for somebody who waits.
pub(super) async fn clear_now(
    connection: PostgresConnection,
    users: &[&str],
    tombstone: &Tombstone,
    is_stale: bool,
) -> Result<Vec<(String, i64)>, Failure> {
    let limit = if users.len() > 1 { BACKGROUND_TIMEOUT } else { REQUEST_TIMEOUT };
    call(limit, clear(&connection.pool, users, tombstone.at_ms, tombstone.at_ms, [false, is_stale])).await
}

/// All of a conversation that is part of it; `None` if there is none.
pub(super) async fn whole(
    connection: &PostgresConnection,
    user: &UserId,
    now_ms: i64,
) -> Result<Option<StoredConversation>, Failure> {
    let select = "SELECT version, summary, expires_at,
            CASE WHEN (SELECT SUM(octet_length(body)) FROM conversation_message WHERE user_id = $1 AND NOT is_archived) <= $3
                THEN ARRAY(SELECT body FROM conversation_message WHERE user_id = $1 AND NOT is_archived
                    ORDER BY at DESC, position DESC) END
        FROM conversation WHERE user_id = $1 AND expires_at > $2";
    let reading = sqlx::query_as::<_, (i64, Option<String>, i64, Option<Vec<String>>)>(select);
    let reading = reading.bind(user.as_str()).bind(now_ms).bind(MAX_WINDOW_BYTES).fetch_optional(&connection.pool);
    let found = call(REQUEST_TIMEOUT, reading).await?;
    Ok(found.map(|(version, summary, expires_ms, bodies)| StoredConversation { version, summary, expires_ms, bodies }))
}

/// Some of a conversation, newest first.
pub(super) async fn read(
    connection: &PostgresConnection,
    user: &UserId,
    extent: Extent,
    now_ms: i64,
) -> Result<Conversation, Failure> {
    let (select, bound) = match extent {
        Extent::Messages(limit) => (
            "SELECT summary, ARRAY(SELECT body FROM conversation_message WHERE user_id = $1 AND NOT is_archived
                ORDER BY at DESC, position DESC LIMIT $3)
            FROM conversation WHERE user_id = $1 AND expires_at > $2",
            limit,
        ),
        Extent::Characters(characters) => (
            "SELECT summary, ARRAY(SELECT body FROM
                    (SELECT body, at, position, is_system, SUM(CASE WHEN is_system THEN 0 ELSE characters END)
                        OVER (ORDER BY at DESC, position DESC) AS total
                    FROM conversation_message WHERE user_id = $1 AND NOT is_archived) AS newest
                WHERE is_system OR total <= $3 ORDER BY at DESC, position DESC)
            FROM conversation WHERE user_id = $1 AND expires_at > $2",
            characters,
        ),
    };
    let reading = sqlx::query_as::<_, (Option<String>, Vec<String>)>(select);
    let reading = reading.bind(user.as_str()).bind(now_ms).bind(int(bound)).fetch_optional(&connection.pool);
    let (summary, bodies) = call(REQUEST_TIMEOUT, reading).await?.unwrap_or_default();
    Ok(Conversation { summary, messages: messages(&bodies) })
}

/// Some of all that was said in a conversation, newest first, what is archived included.
pub(super) async fn history(
    connection: PostgresConnection,
    user: &UserId,
    limit: usize,
    before: Option<HistoryCursor>,
    now_ms: i64,
) -> Result<HistoryPage, Failure> {
    let select = "SELECT m.at, m.position, m.body FROM conversation_message AS m JOIN conversation AS c USING (user_id)
        WHERE m.user_id = $1 AND c.expires_at > $2 AND (m.at, m.position) < ($3, $4)
        ORDER BY m.at DESC, m.position DESC LIMIT $5";
    let HistoryCursor { at, position } = before.unwrap_or(HistoryCursor { at: i64::MAX, position: i64::MAX });
    let reading = sqlx::query_as::<_, (i64, i64, String)>(select).bind(user.as_str()).bind(now_ms);
    let reading = reading.bind(at).bind(position).bind(int(limit.saturating_add(1)));
    let mut rows = call(BACKGROUND_TIMEOUT, reading.fetch_all(&connection.pool)).await?;
    let is_cut = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| is_cut).map(|(at, position, _)| HistoryCursor { at: *at, position: *position });
    let messages = rows.iter().map(|(_, _, body)| Arc::new(codec::from_text(body))).collect();
    Ok(HistoryPage { messages, next })
}

/// The messages beyond the newest `keep` that are no system messages, oldest first, at most `max_messages` of them.
pub(super) async fn excess(
    connection: PostgresConnection,
    user: &UserId,
    keep: usize,
    max_messages: usize,
    now_ms: i64,
) -> Result<Option<Excess>, Failure> {
    let select = "SELECT c.summary, older.position, older.body FROM conversation AS c CROSS JOIN LATERAL
            (SELECT position, at, is_system, body FROM conversation_message WHERE user_id = $1 AND NOT is_archived
                ORDER BY at DESC, position DESC OFFSET $3) AS older
        WHERE c.user_id = $1 AND c.expires_at > $2 AND NOT older.is_system ORDER BY older.at, older.position LIMIT $4";
    let reading = sqlx::query_as::<_, (Option<String>, i64, String)>(select).bind(user.as_str()).bind(now_ms);
    let reading = reading.bind(int(keep)).bind(int(max_messages)).fetch_all(&connection.pool);
    let rows = call(REQUEST_TIMEOUT, reading).await?;
    let Some((summary, ..)) = rows.first() else { return Ok(None) };
    let identity = MessageIdentity::Rows(rows.iter().map(|(_, position, _)| *position).collect());
    let messages = rows.iter().map(|(_, _, body)| Arc::new(codec::from_text(body))).collect();
    Ok(Some(Excess { messages, summary: summary.clone(), identity }))
}

/// Puts `summary` in the place of the messages at these positions; gives the version that the conversation has come to, or `None` if
/// one of the messages is gone.
pub(super) async fn summarize(
    connection: PostgresConnection,
    user: &UserId,
    positions: &[i64],
    summary: &str,
    now_ms: i64,
) -> Result<Option<i64>, Failure> {
    let summarizing = sqlx::query_scalar("SELECT conversation_summarize($1, $2, $3, $4)").bind(user.as_str());
    let summarizing = summarizing.bind(positions).bind(crate::storage::postgres::replace_nul(summary)).bind(now_ms);
    call(REQUEST_TIMEOUT, summarizing.fetch_one(&connection.pool)).await
}

/// Messages of these bodies.
pub(super) fn messages(bodies: &[String]) -> Vec<Arc<Message>> {
    bodies.iter().map(|body| Arc::new(codec::from_text(body))).collect()
}

fn json(rows: &[impl Serialize]) -> Result<String, sqlx::Error> {
    serde_json::to_string(rows).map_err(|error| sqlx::Error::Encode(error.into()))
}

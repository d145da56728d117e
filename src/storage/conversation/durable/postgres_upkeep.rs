use std::time::Duration;

use tokio::time::sleep;

use crate::storage::failover::Failure;
use crate::storage::postgres::{BACKGROUND_TIMEOUT, PostgresConnection, REQUEST_TIMEOUT, call};

/// Ended conversations that are deleted in one go.
const PURGE_BATCH: i64 = 10;
/// Pause after that, for those who wait.
const PURGE_PAUSE: Duration = Duration::from_millis(10);
/// How long it is remembered that a conversation was cleared: what a server has had in its outbox should not come back.
const CLEARING_LIFETIME_MS: i64 = 30 * 86_400_000;

/// Flags windows in Redis that are not what the conversations have become.
pub(super) async fn flag_windows(connection: PostgresConnection, users: &[&str]) -> Result<(), Failure> {
    let flagging = sqlx::query("UPDATE conversation SET window_is_stale = TRUE WHERE user_id = ANY ($1)").bind(users);
    call(REQUEST_TIMEOUT, flagging.execute(&connection.pool)).await.map(|_| ())
}

/// Some conversations whose windows are flagged, with their versions.
pub(super) async fn flagged_windows(
    connection: &PostgresConnection,
    limit: i64,
) -> Result<Vec<(String, i64)>, Failure> {
    let select = "SELECT user_id, version FROM conversation WHERE window_is_stale ORDER BY user_id LIMIT $1";
    call(BACKGROUND_TIMEOUT, sqlx::query_as(select).bind(limit).fetch_all(&connection.pool)).await
}

/// Takes the flags back of conversations that are what they were.
pub(super) async fn unflag_windows(connection: &PostgresConnection, dropped: &[(String, i64)]) -> Result<(), Failure> {
    let update = "UPDATE conversation AS c SET window_is_stale = FALSE
        FROM unnest($1::text[], $2::bigint[]) AS dropped (user_id, version)
        WHERE c.user_id = dropped.user_id AND c.version = dropped.version";
    let (users, versions): (Vec<&str>, Vec<i64>) =
        dropped.iter().map(|(user, version)| (user.as_str(), *version)).unzip();
    let unflagging = sqlx::query(update).bind(users).bind(versions).execute(&connection.pool);
    call(BACKGROUND_TIMEOUT, unflagging).await.map(|_| ())
}

/// How many conversations there are.
pub(super) async fn count(connection: PostgresConnection, now_ms: i64) -> Result<i64, Failure> {
    let counting = sqlx::query_scalar("SELECT COUNT(*) FROM conversation WHERE expires_at > $1").bind(now_ms);
    call(BACKGROUND_TIMEOUT, counting.fetch_one(&connection.pool)).await
}

/// The versions of some conversations, in the order of their users, from the one after `last` on.
pub(super) async fn versions_after(
    connection: &PostgresConnection,
    last: &str,
    limit: i64,
    now_ms: i64,
) -> Result<Vec<(String, i64)>, Failure> {
    let select =
        "SELECT user_id, version FROM conversation WHERE user_id > $1 AND expires_at > $2 ORDER BY user_id LIMIT $3";
    let listing = sqlx::query_as(select).bind(last).bind(now_ms).bind(limit);
    call(BACKGROUND_TIMEOUT, listing.fetch_all(&connection.pool)).await
}

/// Deletes conversations that have ended, a few at a time. What another server is deleting is left to it. Of one that was cleared lately, it
/// is still to be known when.
pub(super) async fn purge(connection: &PostgresConnection, now_ms: i64) -> Result<(), Failure> {
    const DELETE: &str = "DELETE FROM conversation WHERE user_id IN (SELECT user_id FROM conversation
        WHERE expires_at <= $1 AND cleared_at <= $2 ORDER BY expires_at LIMIT $3 FOR UPDATE SKIP LOCKED)";
    const EMPTY: &str = "WITH ended AS (
            UPDATE conversation SET held = 0, archived = 0, summary = NULL WHERE user_id IN (SELECT user_id FROM conversation
                WHERE expires_at <= $1 AND cleared_at > $2 AND held + archived > 0 ORDER BY expires_at LIMIT $3
                FOR UPDATE SKIP LOCKED)
            RETURNING user_id)
        DELETE FROM conversation_message AS m USING ended WHERE m.user_id = ended.user_id";
    for purging in [DELETE, EMPTY] {
        let purge = || {
            let purging = sqlx::query(purging).bind(now_ms).bind(now_ms.saturating_sub(CLEARING_LIFETIME_MS));
            purging.bind(PURGE_BATCH).execute(&connection.pool)
        };
        while call(BACKGROUND_TIMEOUT, purge()).await?.rows_affected() > 0 {
            sleep(PURGE_PAUSE).await;
        }
    }
    Ok(())
}

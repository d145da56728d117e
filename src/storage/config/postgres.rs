use sqlx::{PgConnection, Postgres, Transaction};

use super::entries::{ConfigHead, ConfigNews, NewRevision, rows_of};
use crate::kernel::Secret;
use crate::settings::StoredEntry;
use crate::storage::failover::Failure;
use crate::storage::postgres::{PostgresConnection, REQUEST_TIMEOUT, call, replace_nul};

/// The channel on which Postgres tells of revisions.
pub(in crate::storage) const CHANNEL: &str = "orchestrator_config";

const HEAD: &str = "SELECT id, revision FROM config_head WHERE singleton = 1";
/// Whoever makes a revision waits for the one before.
const LOCK_HEAD: &str = "SELECT id, revision FROM config_head WHERE singleton = 1 FOR UPDATE";
/// The head and what has changed since a revision, as one state.
const NEWS: &str =
    "SELECT head.id, head.revision, entry.section, entry.name, entry.position, entry.body, entry.revision
    FROM config_head AS head LEFT JOIN config_entry AS entry ON entry.revision > $1
    WHERE head.singleton = 1 ORDER BY entry.section, entry.name";
/// A revision in one round trip. What was there before is what Postgres has, be it that this version can't read it.
const WRITE: &str = "WITH given AS (
        SELECT section, name, position, body FROM json_to_recordset($1::json)
            AS given (section text, name text, position bigint, body text)
    ), revision AS (
        INSERT INTO config_revision (number, at, author, request_id, operation) VALUES ($2, $3, $4, $5, $6)
    ), change AS (
        INSERT INTO config_change (revision, section, name, position, before, after)
            SELECT $2, given.section, given.name, CASE WHEN given.body IS NULL THEN old.position ELSE given.position END,
                old.body, given.body
            FROM given LEFT JOIN config_entry AS old ON old.section = given.section AND old.name = given.name
            WHERE old.body IS NOT NULL OR given.body IS NOT NULL
    ), entry AS (
        INSERT INTO config_entry (section, name, position, body, revision)
            SELECT section, name, position, body, $2 FROM given
            ON CONFLICT (section, name) DO UPDATE
                SET position = excluded.position, body = excluded.body, revision = excluded.revision
    ), head AS (
        UPDATE config_head SET revision = $2 WHERE singleton = 1
    )
    SELECT pg_notify('orchestrator_config', $2::text)::text";

type NewsRow = (String, i64, Option<String>, Option<String>, Option<i64>, Option<String>, Option<i64>);

/// The state that Postgres has.
pub(super) async fn head(connection: PostgresConnection) -> Result<ConfigHead, Failure> {
    let selecting = sqlx::query_as(HEAD).fetch_one(&connection.pool);
    let (id, revision) = call(REQUEST_TIMEOUT, selecting).await?;
    Ok(ConfigHead { id, revision })
}

/// Begins a transaction in which nobody else makes a revision.
pub(super) async fn begin(
    connection: &PostgresConnection,
) -> Result<(Transaction<'static, Postgres>, ConfigHead), sqlx::Error> {
    let mut tx = connection.pool.begin().await?;
    let (id, revision) = sqlx::query_as(LOCK_HEAD).fetch_one(&mut *tx).await?;
    Ok((tx, ConfigHead { id, revision }))
}

/// What has changed since the state `known`, or all that there is if that does not lead to the one there is now.
pub(super) async fn news(connection: &mut PgConnection, known: Option<&ConfigHead>) -> Result<ConfigNews, sqlx::Error> {
    if let Some(known) = known {
        let news = read(connection, known.revision, false).await?;
        if known.leads_to(&news.head) {
            return Ok(news);
        }
    }
    read(connection, -1, true).await
}

async fn read(connection: &mut PgConnection, since: i64, is_full: bool) -> Result<ConfigNews, sqlx::Error> {
    let rows: Vec<NewsRow> = sqlx::query_as(NEWS).bind(since).fetch_all(connection).await?;
    let head = rows.first().map(|(id, revision, ..)| ConfigHead { id: id.clone(), revision: *revision });
    let entry = |(_, _, section, name, position, body, revision): NewsRow| {
        let (section, name, position) = (section?, name?, position?);
        Some((revision?, StoredEntry { section, name, position, text: body.map(Secret::new) }))
    };
    let entries = rows.into_iter().filter_map(entry).collect();
    Ok(ConfigNews { head: head.ok_or(sqlx::Error::RowNotFound)?, entries, is_full })
}

/// Makes a revision, and commits.
pub(super) async fn write(
    mut tx: Transaction<'static, Postgres>,
    revision: &NewRevision,
    entries: &[StoredEntry],
) -> Result<(), sqlx::Error> {
    let rows = rows_of(entries)?;
    let NewRevision { number, at_ms, origin } = revision;
    let author = origin.author.as_deref().map(replace_nul);
    let writing = sqlx::query(WRITE).bind(rows).bind(number).bind(at_ms).bind(author);
    let writing = writing.bind(&origin.request_id).bind(&origin.operation);
    writing.execute(&mut *tx).await?;
    tx.commit().await
}

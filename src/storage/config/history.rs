use crate::kernel::Secret;
use crate::settings::StoredEntry;

/// A revision of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigRevision {
    /// Its number: revisions are counted without gaps.
    pub number: i64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who made it: a user; `files` for what was found in files.
    pub author: Option<String>,
    pub request_id: Option<String>,
    /// What made it, as the API's document calls it.
    pub operation: String,
    /// The entries that it changed, a hundred at most: `agents/billing`.
    pub targets: Vec<String>,
}

/// An entry that was one thing and is another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    pub before: StoredEntry,
    pub after: StoredEntry,
}

pub(super) type RevisionRow = (i64, i64, Option<String>, Option<String>, String);
pub(super) type ChangeRow = (String, String, i64, Option<String>, Option<String>);

fn revision((number, at_ms, author, request_id, operation): RevisionRow) -> ConfigRevision {
    ConfigRevision { number, at_ms, author, request_id, operation, targets: Vec::new() }
}

fn change((section, name, position, before, after): ChangeRow) -> ConfigChange {
    let entry = |text: Option<String>| StoredEntry {
        section: section.clone(),
        name: name.clone(),
        position,
        text: text.map(Secret::new),
    };
    ConfigChange { before: entry(before), after: entry(after) }
}

/// Gives each of these revisions, the newest first, the entries that it changed.
fn with_targets(rows: Vec<RevisionRow>, targets: Vec<(i64, String)>) -> Vec<ConfigRevision> {
    let mut revisions: Vec<_> = rows.into_iter().map(revision).collect();
    for (number, target) in targets {
        if let Some(revision) = revisions.iter_mut().find(|revision| revision.number == number) {
            revision.targets.push(target);
        }
    }
    revisions
}

const PAGE: &str = "SELECT number, at, author, request_id, operation FROM config_revision
    WHERE number < $1 ORDER BY number DESC LIMIT $2";
/// Of each revision the first hundred: an import may change thousands.
const TARGETS: &str = "SELECT revision, target FROM (
        SELECT revision, section || '/' || name AS target,
            row_number() OVER (PARTITION BY revision ORDER BY section, name) AS place
        FROM config_change WHERE revision >= $1 AND revision <= $2
    ) AS numbered WHERE place <= 100 ORDER BY revision, place";
const CHANGES: &str = "SELECT section, name, position, before, after FROM config_change
    WHERE revision = $1 ORDER BY section, name";
/// What was one thing after a revision and is another now, each entry by the first change since.
const SINCE: &str = "SELECT change.section, change.name, change.position, change.before, entry.body
    FROM config_change AS change
        LEFT JOIN config_entry AS entry ON entry.section = change.section AND entry.name = change.name
    WHERE change.revision > $1 AND change.before IS DISTINCT FROM entry.body AND NOT EXISTS (
        SELECT 1 FROM config_change AS earlier WHERE earlier.section = change.section AND earlier.name = change.name
            AND earlier.revision > $1 AND earlier.revision < change.revision)
    ORDER BY change.section, change.name";
const FORGET_REVISIONS: &str = "DELETE FROM config_revision WHERE number <= (SELECT revision FROM config_head) - $1";
/// Entries that were removed so long ago that every server knows it: each reads everything anew once a minute.
const FORGET_REMOVED: &str =
    "DELETE FROM config_entry WHERE body IS NULL AND revision <= (SELECT revision FROM config_head) - $1";
/// So many revisions are told as what is new since an earlier one, whatever is kept of the history.
const MIN_NEWS: i64 = 1000;

/// The same queries for either database.
macro_rules! history {
    ($module:ident, $connection:ty) => {
        pub(super) mod $module {
            use super::{
                CHANGES, ConfigChange, ConfigRevision, FORGET_REMOVED, FORGET_REVISIONS, MIN_NEWS, PAGE, RevisionRow,
                SINCE, TARGETS,
            };

            /// The newest revisions before a number.
            pub(in crate::storage::config) async fn page(
                connection: &mut $connection,
                before: i64,
                limit: i64,
            ) -> Result<Vec<ConfigRevision>, sqlx::Error> {
                let rows: Vec<RevisionRow> =
                    sqlx::query_as(PAGE).bind(before).bind(limit).fetch_all(&mut *connection).await?;
                let numbers = rows.last().zip(rows.first()).map(|(last, first)| (last.0, first.0));
                let Some((last, first)) = numbers else { return Ok(Vec::new()) };
                let targets = sqlx::query_as(TARGETS).bind(last).bind(first).fetch_all(connection).await?;
                Ok(super::with_targets(rows, targets))
            }

            /// What a revision has changed.
            pub(in crate::storage::config) async fn changes(
                connection: &mut $connection,
                number: i64,
            ) -> Result<Vec<ConfigChange>, sqlx::Error> {
                let rows = sqlx::query_as(CHANGES).bind(number).fetch_all(connection).await?;
                Ok(rows.into_iter().map(super::change).collect())
            }

            /// What has changed since a revision; `None` if there is no such revision.
            pub(in crate::storage::config) async fn since(
                connection: &mut $connection,
                number: i64,
            ) -> Result<Option<Vec<ConfigChange>>, sqlx::Error> {
                if page(&mut *connection, number.saturating_add(1), 1).await?.first().map(|found| found.number)
                    != Some(number)
                {
                    return Ok(None);
                }
                let rows = sqlx::query_as(SINCE).bind(number).fetch_all(connection).await?;
                Ok(Some(rows.into_iter().map(super::change).collect()))
            }

            /// Forgets all but the newest revisions.
            pub(in crate::storage::config) async fn retain(
                connection: &mut $connection,
                newest: i64,
            ) -> Result<(), sqlx::Error> {
                sqlx::query(FORGET_REVISIONS).bind(newest).execute(&mut *connection).await?;
                sqlx::query(FORGET_REMOVED).bind(newest.max(MIN_NEWS)).execute(connection).await.map(|_| ())
            }
        }
    };
}

history!(of_postgres, sqlx::PgConnection);
history!(of_files, sqlx::SqliteConnection);

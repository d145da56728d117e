use super::entries::unknown;
use crate::kernel::{Error, Secret};
use crate::settings::{Keyring, StoredEntry};

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

/// What was encrypted anew with the current key, or decrypted if there is none.
#[derive(Debug, Default)]
pub struct Renewal {
    /// Entries.
    pub entries: usize,
    /// Changes of the history.
    pub changes: usize,
    /// Changes of the history that can't be decrypted any more.
    pub left_changes: usize,
    /// What is wrong with entries that can't be decrypted, and stay as they are.
    pub left: Vec<String>,
}

impl Renewal {
    /// Those of these entries that have to be encrypted anew.
    pub(super) fn of_entries(&mut self, entries: &[StoredEntry], keyring: &Keyring) -> Vec<StoredEntry> {
        let renewed = entries.iter().filter_map(|entry| {
            entry.renewed(keyring).unwrap_or_else(|error| {
                self.left.push(error.to_string());
                None
            })
        });
        let renewed: Vec<_> = renewed.collect();
        self.entries += renewed.len();
        renewed
    }

    fn of_change(&mut self, change: &ConfigChange, keyring: &Keyring) -> Option<ConfigChange> {
        match change.renewed(keyring) {
            Ok(renewed) => {
                self.changes += usize::from(renewed.is_some());
                renewed
            }
            Err(_) => {
                self.left_changes += 1;
                None
            }
        }
    }

    /// Whether something was changed.
    pub(super) fn is_any(&self) -> bool {
        self.entries > 0 || self.changes > 0
    }
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

impl ConfigChange {
    /// As it was before it was encrypted. What can't be decrypted is shown as any other credential is, and can't be gone back to.
    pub(super) fn decrypted(self, keyring: &Keyring) -> Self {
        Self { before: self.before.decrypted(keyring), after: self.after.decrypted(keyring) }
    }

    /// Encrypted anew, if it is not yet as the current key would have it. The error names one that can't be decrypted.
    fn renewed(&self, keyring: &Keyring) -> Result<Option<Self>, Error> {
        let (before, after) = (self.before.renewed(keyring)?, self.after.renewed(keyring)?);
        let is_same = before.is_none() && after.is_none();
        let renewed = || Self {
            before: before.unwrap_or_else(|| self.before.clone()),
            after: after.unwrap_or_else(|| self.after.clone()),
        };
        Ok((!is_same).then(renewed))
    }

    /// Whether both are the same, however they are encrypted.
    pub(super) fn is_nothing(&self) -> bool {
        self.before.says_the_same(&self.after)
    }
}

/// What entries were after the revision `number`, as they were before they were encrypted, if this is what has changed since.
pub(super) fn entries_before(
    changes: Option<Vec<ConfigChange>>,
    number: i64,
    keyring: &Keyring,
) -> Result<Vec<StoredEntry>, Error> {
    let changes = changes.ok_or_else(|| unknown(number))?.into_iter().map(|change| change.decrypted(keyring));
    Ok(changes.filter(|change| !change.is_nothing()).map(|change| change.before).collect())
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
const NUMBERS: &str = "SELECT number FROM config_revision ORDER BY number";
const RENEW: &str =
    "UPDATE config_change SET before = $1, after = $2 WHERE revision = $3 AND section = $4 AND name = $5";
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
                CHANGES, ConfigChange, ConfigRevision, FORGET_REMOVED, FORGET_REVISIONS, Keyring, MIN_NEWS, NUMBERS,
                PAGE, RENEW, Renewal, RevisionRow, SINCE, Secret, TARGETS,
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

            /// Encrypts anew what was changed.
            pub(in crate::storage::config) async fn renew(
                connection: &mut $connection,
                keyring: &Keyring,
                renewal: &mut Renewal,
            ) -> Result<(), sqlx::Error> {
                let numbers: Vec<i64> = sqlx::query_scalar(NUMBERS).fetch_all(&mut *connection).await?;
                for number in numbers {
                    for change in changes(&mut *connection, number).await? {
                        let Some(ConfigChange { before, after }) = renewal.of_change(&change, keyring) else {
                            continue;
                        };
                        let [old, new] = [&before, &after].map(|entry| entry.text.as_ref().map(Secret::expose));
                        let renewing = sqlx::query(RENEW).bind(old).bind(new).bind(number);
                        renewing.bind(&after.section).bind(&after.name).execute(&mut *connection).await?;
                    }
                }
                Ok(())
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

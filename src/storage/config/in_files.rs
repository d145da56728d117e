use sqlx::SqliteConnection;

use super::entries::{NewRevision, differences, encrypted, rows_of};
use super::history::{ConfigChange, ConfigRevision, Renewal, entries_before, of_files};
use super::store::ConfigStore;
use crate::kernel::{Clock, Error, RequestOrigin, Secret};
use crate::settings::{Environment, Settings, SettingsTurn, StoredEntry};
use crate::storage::sqlite::{Database, failed};

const ENTRIES: &str = "SELECT section, name, position, body FROM config_entry WHERE body IS NOT NULL";
const ADD_REVISION: &str =
    "INSERT INTO config_revision (number, at, author, request_id, operation) VALUES ($1, $2, $3, $4, $5)";
const ADD_CHANGES: &str = "INSERT INTO config_change (revision, section, name, position, before, after)
    SELECT $1, given.value ->> 'section', given.value ->> 'name',
        CASE WHEN given.value ->> 'body' IS NULL THEN old.position ELSE given.value ->> 'position' END,
        old.body, given.value ->> 'body'
    FROM jsonb_each($2) AS given LEFT JOIN config_entry AS old
        ON old.section = given.value ->> 'section' AND old.name = given.value ->> 'name'
    WHERE old.body IS NOT NULL OR given.value ->> 'body' IS NOT NULL";
/// The fact that the file may still have what was deleted from it in clear.
const UNWIPED: &str = "config_unwiped";
const WIPE_LATER: &str = "INSERT OR REPLACE INTO meta (name, value) VALUES ('config_unwiped', '1')";
const PUT_ENTRIES: &str = "INSERT INTO config_entry (section, name, position, body, revision)
    SELECT value ->> 'section', value ->> 'name', value ->> 'position', value ->> 'body', $1 FROM jsonb_each($2) WHERE true
    ON CONFLICT (section, name) DO UPDATE
        SET position = excluded.position, body = excluded.body, revision = excluded.revision";

/// The configuration in files, and its history in the embedded database.
#[derive(Clone, Debug)]
pub(super) struct ConfigInFiles {
    pub(super) store: ConfigStore,
    pub(super) database: Database,
    pub(super) clock: Clock,
}

impl ConfigInFiles {
    /// What was stored at the last revision.
    async fn entries(&self) -> Result<Vec<StoredEntry>, Error> {
        let rows: Vec<(String, String, i64, String)> =
            sqlx::query_as(ENTRIES).fetch_all(self.database.read()).await.map_err(failed(UNREADABLE))?;
        let entry =
            |(section, name, position, body)| StoredEntry { section, name, position, text: Some(Secret::new(body)) };
        Ok(rows.into_iter().map(entry).collect())
    }

    /// Encrypts anew what is not yet encrypted with the current key: files, history, and what the database has left of it.
    /// `settings` are those of the files.
    pub(super) async fn renew(&self, settings: &Settings) -> Result<Renewal, Error> {
        let (mut renewal, keyring) = (Renewal::default(), &settings.storage.keyring);
        let files = self.store.renew(settings).await?;
        let renewed = renewal.of_entries(&self.entries().await?, keyring);
        if !renewed.is_empty() {
            self.record(RequestOrigin::by("secrets rotate"), &renewed).await?;
        }
        let work = async {
            let mut tx = self.database.write().await?;
            of_files::renew(&mut tx, keyring, &mut renewal).await?;
            if files > 0 || renewal.is_any() {
                sqlx::query(WIPE_LATER).execute(&mut *tx).await?;
            }
            tx.commit().await
        };
        work.await.map_err(failed("the history of the configuration could not be encrypted anew"))?;
        if self.database.meta(UNWIPED).await?.is_some() {
            let unwiped = failed("the embedded database could not be cleared of what it has deleted");
            self.database.wipe_deleted().await.map_err(unwiped)?;
            self.database.set_meta(UNWIPED, None).await?;
        }
        Ok(renewal)
    }

    /// Records what was done to the files by hand, or by a version that kept no history.
    pub(super) async fn open(&self, turn: &SettingsTurn) -> Result<(), Error> {
        for issue in turn.settings().undecrypted() {
            tracing::error!(%issue, "an entry of the configuration can't be used and is left out");
        }
        let keyring = &turn.settings().storage.keyring;
        let kept = self.entries().await?.into_iter().map(|entry| entry.decrypted(keyring));
        // What can't be decrypted is still in its file.
        let kept: Vec<_> = kept.filter(|entry| entry.undecrypted().is_none()).collect();
        let changes = differences(&kept, &turn.settings().stored_entries());
        if !changes.is_empty() {
            let number = self.record(RequestOrigin::by("files"), &encrypted(&changes, keyring, false)?).await?;
            tracing::info!(entries = changes.len(), revision = number, "the files of the configuration have changed");
        }
        Ok(())
    }

    /// Changes the settings and the files; the history follows. Gives the number of the last revision beside the result.
    pub(super) async fn change<R>(
        &self,
        turn: &mut SettingsTurn,
        origin: RequestOrigin,
        back_to: Option<i64>,
        edit: impl FnOnce(&Settings, &Environment, &[StoredEntry]) -> Result<(Settings, R), Error> + Send,
    ) -> Result<(R, i64), Error> {
        let older = match back_to {
            Some(number) => entries_before(self.since(number).await?, number, &turn.settings().storage.keyring)?,
            None => Vec::new(),
        };
        let (next, result) = edit(turn.settings(), turn.environment(), &older)?;
        let changes = next.stored_since(turn.settings());
        if changes.is_empty() {
            return Ok((result, self.last().await?));
        }
        let is_encrypted = !turn.settings().undecrypted().is_empty();
        let changed = encrypted(&changes, &next.storage.keyring, is_encrypted)?;
        self.store.write_changes(&changes, &next).await?;
        turn.publish(next);
        let recorded = self.record(origin, &changed).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a change is made, but the history does not have it before the next start");
            0
        });
        Ok((result, recorded))
    }

    /// The newest revisions before a number.
    pub(super) async fn page(&self, before: i64, limit: i64) -> Result<Vec<ConfigRevision>, Error> {
        let reading = async { of_files::page(&mut *self.database.read().acquire().await?, before, limit).await };
        reading.await.map_err(failed(UNREADABLE))
    }

    /// What a revision has changed.
    pub(super) async fn changes(&self, number: i64) -> Result<Vec<ConfigChange>, Error> {
        let reading = async { of_files::changes(&mut *self.database.read().acquire().await?, number).await };
        reading.await.map_err(failed(UNREADABLE))
    }

    /// What has changed since a revision.
    pub(super) async fn since(&self, number: i64) -> Result<Option<Vec<ConfigChange>>, Error> {
        let reading = async { of_files::since(&mut *self.database.read().acquire().await?, number).await };
        reading.await.map_err(failed(UNREADABLE))
    }

    /// Forgets all but the newest revisions.
    pub(super) async fn retain(&self, newest: i64) -> Result<(), Error> {
        let deleting = async { of_files::retain(&mut *self.database.writer().acquire().await?, newest).await };
        deleting.await.map_err(failed("could not delete old revisions"))
    }

    async fn last(&self) -> Result<i64, Error> {
        let selecting = sqlx::query_scalar("SELECT revision FROM config_head").fetch_one(self.database.read());
        selecting.await.map_err(failed(UNREADABLE))
    }

    async fn record(&self, origin: RequestOrigin, changes: &[StoredEntry]) -> Result<i64, Error> {
        let work = async {
            let mut tx = self.database.write().await?;
            let last: i64 = sqlx::query_scalar("SELECT revision FROM config_head").fetch_one(&mut *tx).await?;
            let revision = NewRevision { number: last.saturating_add(1), at_ms: self.clock.now_ms(), origin };
            write(&mut tx, &revision, &rows_of(changes)?).await?;
            tx.commit().await?;
            Ok(revision.number)
        };
        work.await.map_err(failed("could not record a revision of the configuration"))
    }
}

const UNREADABLE: &str = "could not read the history of the configuration";

async fn write(connection: &mut SqliteConnection, revision: &NewRevision, rows: &str) -> Result<(), sqlx::Error> {
    let NewRevision { number, at_ms, origin } = revision;
    let adding = sqlx::query(ADD_REVISION).bind(number).bind(at_ms).bind(&origin.author);
    adding.bind(&origin.request_id).bind(&origin.operation).execute(&mut *connection).await?;
    for sql in [ADD_CHANGES, PUT_ENTRIES] {
        sqlx::query(sql).bind(number).bind(rows).execute(&mut *connection).await?;
    }
    sqlx::query("UPDATE config_head SET revision = $1").bind(number).execute(connection).await.map(|_| ())
}

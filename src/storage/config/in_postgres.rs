use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::PgConnection;

use super::access::{ConfigAccess, away, unconfirmed};
use super::entries::{ConfigHead, ConfigNews, NewRevision, encrypted};
use super::history::{ConfigChange, ConfigRevision, entries_before, of_postgres};
use super::in_files::ConfigInFiles;
use super::postgres;
use super::replica::ConfigReplica;
use crate::kernel::{Clock, Error, ErrorKind, RequestOrigin};
use crate::settings::{Environment, Keyring, Settings, SettingsTurn, StoredEntry};
use crate::storage::failover::Failure;
use crate::storage::postgres::{BACKGROUND_TIMEOUT, PostgresChannel, PostgresConnection, call};

/// How long a change waits for its turn among all servers, and then for its commit.
pub(super) const CHANGE_TIMEOUT: Duration = Duration::from_secs(3);

/// The configuration in Postgres, and what this server knows of it. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ConfigInPostgres {
    pub(super) access: ConfigAccess,
    pub(super) channel: PostgresChannel,
    /// Changed in the turn of whoever changes the settings only.
    pub(super) replica: Arc<Mutex<ConfigReplica>>,
    /// Where the copy on disk is; a sub-command keeps none.
    pub(super) copy: Option<PathBuf>,
    /// What this server had before Postgres was used; a sub-command looks at none.
    pub(super) files: Option<ConfigInFiles>,
    pub(super) clock: Clock,
}

impl ConfigInPostgres {
    /// Begins with the copy on disk, or with what the files had before Postgres was used, and asks Postgres.
    pub(super) async fn open(&self, turn: &mut SettingsTurn) -> Result<(), Error> {
        let replica = self.copy.as_ref().and_then(|copy| {
            ConfigReplica::read(copy).unwrap_or_else(|error| {
                tracing::error!(%error, "{} can't be read; only Postgres has the configuration", copy.display());
                None
            })
        });
        self.renew_files(turn, replica.is_some()).await;
        match replica {
            Some(replica) => {
                let news = ConfigNews {
                    head: replica.head.clone(),
                    entries: replica.entries().into_iter().map(|entry| (0, entry)).collect(),
                    is_full: true,
                };
                self.learn(turn, news);
                *self.replica.lock() = replica;
            }
            None => *self.replica.lock() = ConfigReplica::of_files(turn.settings().stored_entries()),
        }
        if !self.synchronize(turn, true).await? {
            let revision = self.replica.lock().head.revision;
            tracing::warn!(revision, "Postgres is away: what was configured is as this server knew it last");
        }
        Ok(())
    }

    /// Encrypts what this server had before Postgres was used, of which the settings may know nothing any more.
    async fn renew_files(&self, turn: &SettingsTurn, are_unread: bool) {
        let settings = turn.settings();
        let Some(files) = self.files.as_ref().filter(|_| settings.storage.keyring.encrypts()) else { return };
        let (mut settings, mut issues) = (settings.clone(), Vec::new());
        if are_unread {
            settings = files.store.overlay(settings, turn.environment(), &mut issues);
        }
        let renewed = match issues.into_iter().next() {
            Some(issue) => Err(Error::invalid(vec![issue])),
            None => files.renew(&settings).await,
        };
        if let Err(error) = renewed {
            tracing::error!(%error, "credentials in DATA_DIR may be in clear, or encrypted with an old key");
        }
    }

    /// Brings the settings up to date; false if Postgres is away.
    pub(super) async fn synchronize(&self, turn: &mut SettingsTurn, is_full: bool) -> Result<bool, Error> {
        let (known, own) = {
            let replica = self.replica.lock();
            // A sub-command leaves it to servers to take files to Postgres.
            let own = if replica.is_own() && self.copy.is_some() { replica.entries() } else { Vec::new() };
            (Some(replica.head.clone()).filter(|_| !is_full), own)
        };
        let keyring = &turn.settings().storage.keyring.clone();
        let reading = async |connection: PostgresConnection| {
            if !own.is_empty() {
                self.adopt(&connection, &own, keyring).await?;
            }
            call(BACKGROUND_TIMEOUT, async {
                postgres::news(&mut *connection.pool.acquire().await?, known.as_ref()).await
            })
            .await
        };
        let Some(news) = self.access.ask(reading).await? else { return Ok(false) };
        self.learn(turn, news);
        self.keep().await;
        Ok(true)
    }

    /// Makes what this server had in files the first revision, unless there is one.
    async fn adopt(
        &self,
        connection: &PostgresConnection,
        own: &[StoredEntry],
        keyring: &Keyring,
    ) -> Result<(), Failure> {
        let (tx, head) = call(CHANGE_TIMEOUT, postgres::begin(connection)).await?;
        if head.revision > 0 {
            tracing::warn!(
                entries = own.len(),
                revision = head.revision,
                "what DATA_DIR/config has is not used: Postgres has a configuration already; \
                 `orchestrator-studio config import` brings in another one"
            );
            return Ok(());
        }
        let revision = self.revision(1, RequestOrigin::by("files"));
        let entries: Vec<_> = own.iter().map(|entry| entry.clone().stamped(1)).collect();
        let entries = encrypted(&entries, keyring, false)?;
        call(CHANGE_TIMEOUT, postgres::write(tx, &revision, &entries)).await?;
        tracing::info!(entries = own.len(), "what DATA_DIR/config has is in Postgres now, as revision 1");
        Ok(())
    }

    /// Changes the settings for all servers, or for none; gives the number of the last revision beside the result.
    pub(super) async fn change<R>(
        &self,
        turn: &mut SettingsTurn,
        origin: RequestOrigin,
        back_to: Option<i64>,
        edit: impl FnOnce(&Settings, &Environment, &[StoredEntry]) -> Result<(Settings, R), Error> + Send,
    ) -> Result<(R, i64), Error> {
        let is_own = self.replica.lock().is_own();
        // Before anything else, what the files had has to be there, or to be known as not used.
        if is_own && !self.synchronize(turn, true).await? {
            return Err(away());
        }
        let mut is_committing = false;
        let changing = async |connection: PostgresConnection| {
            let (mut tx, head) = call(CHANGE_TIMEOUT, postgres::begin(&connection)).await?;
            let known = self.replica.lock().head.clone();
            if known != head {
                let news = call(CHANGE_TIMEOUT, postgres::news(&mut tx, Some(&known))).await?;
                self.learn(turn, news);
            }
            let older = match back_to {
                Some(number) => {
                    let changes = call(CHANGE_TIMEOUT, of_postgres::since(&mut tx, number)).await?;
                    entries_before(changes, number, &turn.settings().storage.keyring)?
                }
                None => Vec::new(),
            };
            let (next, result) = edit(turn.settings(), turn.environment(), &older)?;
            let is_encrypted = self.replica.lock().entries().iter().any(StoredEntry::may_be_encrypted);
            let changes = encrypted(&next.stored_since(turn.settings()), &next.storage.keyring, is_encrypted)?;
            if !changes.is_empty() {
                let revision = self.revision(head.revision.saturating_add(1), origin);
                is_committing = true;
                call(CHANGE_TIMEOUT, postgres::write(tx, &revision, &changes)).await?;
                let head = ConfigHead { revision: revision.number, ..head };
                turn.publish(next.counting_from(head.revision.unsigned_abs()));
                self.replica.lock().write(head, &changes);
            }
            Ok((result, self.replica.lock().head.revision))
        };
        let done = self.access.ask(changing).await;
        self.keep().await;
        done?.ok_or_else(|| if is_committing { unconfirmed() } else { away() })
    }

    /// The newest revisions before a number.
    pub(super) async fn page(&self, before: i64, limit: i64) -> Result<Vec<ConfigRevision>, Error> {
        self.read(async |connection| of_postgres::page(connection, before, limit).await).await
    }

    /// What a revision has changed.
    pub(super) async fn changes(&self, number: i64) -> Result<Vec<ConfigChange>, Error> {
        self.read(async |connection| of_postgres::changes(connection, number).await).await
    }

    /// What has changed since a revision.
    pub(super) async fn since(&self, number: i64) -> Result<Option<Vec<ConfigChange>>, Error> {
        self.read(async |connection| of_postgres::since(connection, number).await).await
    }

    /// Forgets all but the newest revisions, if Postgres is there.
    pub(super) async fn retain(&self, newest: i64) -> Result<(), Error> {
        let deleting = async |connection: PostgresConnection| {
            let work = async { of_postgres::retain(&mut *connection.pool.acquire().await?, newest).await };
            call(BACKGROUND_TIMEOUT, work).await
        };
        self.access.ask(deleting).await.map(|_| ())
    }

    /// What Postgres says, which alone knows.
    async fn read<T>(&self, query: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>) -> Result<T, Error> {
        let reading = async |connection: PostgresConnection| {
            let work = async { query(&mut *connection.pool.acquire().await?).await };
            call(BACKGROUND_TIMEOUT, work).await
        };
        let away = || Error::new(ErrorKind::NotConfigured, "Postgres is away, where the history is kept");
        self.access.ask(reading).await?.ok_or_else(away)
    }

    /// A revision that is made now.
    pub(super) fn revision(&self, number: i64, origin: RequestOrigin) -> NewRevision {
        NewRevision { number, at_ms: self.clock.now_ms(), origin }
    }

    /// Makes live what Postgres has.
    fn learn(&self, turn: &mut SettingsTurn, news: ConfigNews) {
        let head = news.head.clone();
        let changes = self.replica.lock().take(news);
        if changes.is_empty() {
            return;
        }
        let keyring = &turn.settings().storage.keyring;
        let changes: Vec<_> = changes.into_iter().map(|change| change.decrypted(keyring)).collect();
        let (next, issues) = turn.settings().with_entries(&changes, turn.environment());
        for issue in issues {
            tracing::error!(%issue, "an entry of the configuration can't be used and is left out");
        }
        turn.publish(next.counting_from(head.revision.unsigned_abs()));
    }

    /// Keeps a copy on disk. What it can't keep is in Postgres nevertheless.
    async fn keep(&self) {
        let keeping = {
            let mut replica = self.replica.lock();
            let Some(copy) = self.copy.clone().filter(|_| !replica.is_own() && replica.has_news()) else { return };
            replica.keep(copy)
        };
        let kept = tokio::task::spawn_blocking(keeping).await;
        if let Err(error) = kept.unwrap_or_else(|stopped| Err(std::io::Error::other(stopped))) {
            tracing::warn!(%error, "without Postgres, this server would start from an earlier configuration");
        }
    }
}

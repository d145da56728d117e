use std::sync::Arc;

use super::access::ConfigAccess;
use super::history::{ConfigChange, ConfigRevision, Renewal};
use super::in_files::ConfigInFiles;
use super::in_postgres::ConfigInPostgres;
use super::postgres::CHANNEL;
use super::replica::ConfigReplica;
use super::store::ConfigStore;
use crate::kernel::{Clock, Error, FieldIssue, RequestOrigin};
use crate::settings::{Environment, Settings, SettingsTurn, SharedSettings, StorageSettings, StoredEntry};
use crate::storage::Stores;
use crate::storage::postgres::{PostgresAddress, PostgresChannel};
use crate::storage::sqlite::Database;

/// Where the configuration is kept. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum ConfigPlace {
    /// In files of this server's own.
    Files(Arc<ConfigInFiles>),
    /// In Postgres, for all servers on it.
    Postgres(Arc<ConfigInPostgres>),
}

impl ConfigPlace {
    /// The place that these settings name.
    pub(super) fn of(settings: &SharedSettings, stores: &Stores, clock: Clock) -> Self {
        let data_dir = settings.storage().data_dir.clone();
        let (store, database) = (ConfigStore::new(&data_dir), stores.database.clone());
        let files = ConfigInFiles { store, database, clock: clock.clone() };
        match stores.postgres.clone() {
            None => Self::Files(Arc::new(files)),
            Some(failover) => Self::Postgres(Arc::new(ConfigInPostgres {
                access: ConfigAccess::Server(Box::new(failover)),
                channel: stores.config_channel.clone(),
                replica: Arc::default(),
                copy: Some(ConfigReplica::path(&data_dir)),
                files: Some(files),
                clock,
            })),
        }
    }

    /// The place for a sub-command: Postgres beside the servers that use it, or files that no server uses.
    pub(super) async fn beside(settings: &StorageSettings, clock: Clock) -> Result<Self, Error> {
        let Some(dsn) = &settings.postgres_dsn else {
            let (store, database) = (ConfigStore::new(&settings.data_dir), Database::open(&settings.data_dir).await?);
            return Ok(Self::Files(Arc::new(ConfigInFiles { store, database, clock })));
        };
        let connected = PostgresAddress::new(dsn)?.connect_beside().await;
        let connection =
            connected.map_err(|failure| Error::internal_public("Postgres can't be used", failure.to_string()))?;
        let (channel, replica) = (PostgresChannel::new(CHANNEL), Arc::default());
        let access = ConfigAccess::Beside(connection);
        Ok(Self::Postgres(Arc::new(ConfigInPostgres { access, channel, replica, copy: None, files: None, clock })))
    }

    /// Closes what [`ConfigPlace::beside`] has opened.
    pub(super) async fn close(&self) {
        match self {
            Self::Files(place) => place.database.close().await,
            Self::Postgres(place) => place.access.close().await,
        }
    }

    /// The one in Postgres, if it is there.
    pub(super) fn in_postgres(&self) -> Option<&Arc<ConfigInPostgres>> {
        match self {
            Self::Files(_) => None,
            Self::Postgres(place) => Some(place),
        }
    }

    /// Brings the settings up to date at the start.
    pub(super) async fn open(&self, turn: &mut SettingsTurn) -> Result<(), Error> {
        match self {
            Self::Files(place) => place.open(turn).await,
            Self::Postgres(place) => place.open(turn).await,
        }
    }

    /// Changes the settings; if that can't be stored, nothing has changed. `edit` is told what entries were after the revision `back_to`.
    /// Gives the number of the last revision beside the result.
    pub(super) async fn change<R>(
        &self,
        turn: &mut SettingsTurn,
        origin: RequestOrigin,
        back_to: Option<i64>,
        edit: impl FnOnce(&Settings, &Environment, &[StoredEntry]) -> Result<(Settings, R), Error> + Send,
    ) -> Result<(R, i64), Error> {
        match self {
            Self::Files(place) => place.change(turn, origin, back_to, edit).await,
            Self::Postgres(place) => place.change(turn, origin, back_to, edit).await,
        }
    }

    /// Encrypts anew what is not yet encrypted with the current key, or decrypts it if there is none.
    pub(super) async fn renew(&self, turn: &SettingsTurn) -> Result<Renewal, Error> {
        match self {
            Self::Files(place) => place.renew(turn.settings()).await,
            Self::Postgres(place) => place.renew(turn).await,
        }
    }

    /// What is wrong with entries that are stored, but left out of these settings.
    pub(super) fn left_out(&self, settings: &Settings) -> Vec<FieldIssue> {
        match self {
            Self::Files(_) => settings.undecrypted(),
            Self::Postgres(place) => place.left_out(settings),
        }
    }

    /// Encrypts what is this server's own, and says what is not encrypted.
    pub(super) async fn secure(&self, turn: &SettingsTurn) {
        let settings = turn.settings();
        let keyring = &settings.storage.keyring;
        match self {
            Self::Files(place) if keyring.encrypts() => match place.renew(settings).await {
                Ok(Renewal { entries, changes, left_changes, .. }) => {
                    if entries + changes + left_changes > 0 {
                        tracing::info!(entries, changes, left_changes, "stored credentials are encrypted anew");
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "stored credentials may be in clear, or encrypted with an old key")
                }
            },
            Self::Postgres(place) if keyring.encrypts() => match place.count_stale(keyring) {
                0 => {}
                entries => tracing::warn!(
                    entries,
                    "credentials in Postgres are in clear, or encrypted with an old key; \
                     `orchestrator-studio secrets rotate` encrypts them"
                ),
            },
            _ => {}
        }
        if !keyring.encrypts() && settings.stored_entries().iter().any(StoredEntry::has_clear_credentials) {
            tracing::warn!(
                "credentials that were configured through the API are stored in clear; SECRETS_KEY encrypts them"
            );
        }
    }

    /// The newest revisions before a number.
    pub(super) async fn page(&self, before: i64, limit: i64) -> Result<Vec<ConfigRevision>, Error> {
        match self {
            Self::Files(place) => place.page(before, limit).await,
            Self::Postgres(place) => place.page(before, limit).await,
        }
    }

    /// What a revision has changed.
    pub(super) async fn changes(&self, number: i64) -> Result<Vec<ConfigChange>, Error> {
        match self {
            Self::Files(place) => place.changes(number).await,
            Self::Postgres(place) => place.changes(number).await,
        }
    }

    /// What has changed since a revision; `None` if there is no such revision.
    pub(super) async fn since(&self, number: i64) -> Result<Option<Vec<ConfigChange>>, Error> {
        match self {
            Self::Files(place) => place.since(number).await,
            Self::Postgres(place) => place.since(number).await,
        }
    }

    /// Forgets all but the newest revisions.
    pub(super) async fn retain(&self, newest: i64) -> Result<(), Error> {
        match self {
            Self::Files(place) => place.retain(newest).await,
            Self::Postgres(place) => place.retain(newest).await,
        }
    }
}

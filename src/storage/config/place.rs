use std::sync::Arc;

use super::in_postgres::ConfigInPostgres;
use super::replica::ConfigReplica;
use super::store::ConfigStore;
use crate::kernel::{Clock, Error, RequestOrigin};
use crate::settings::{Environment, Settings, SettingsTurn, SharedSettings};
use crate::storage::Stores;

/// Where the configuration is kept. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum ConfigPlace {
    /// In files of this server's own.
    Files(ConfigStore),
    /// In Postgres, for all servers on it.
    Postgres(Arc<ConfigInPostgres>),
}

impl ConfigPlace {
    /// The place that these settings name.
    pub(super) fn of(settings: &SharedSettings, stores: &Stores, clock: Clock) -> Self {
        let data_dir = settings.storage().data_dir.clone();
        match stores.postgres.clone() {
            None => Self::Files(ConfigStore::new(&data_dir)),
            Some(failover) => Self::Postgres(Arc::new(ConfigInPostgres {
                failover,
                channel: stores.config_channel.clone(),
                replica: Arc::default(),
                copy: ConfigReplica::path(&data_dir),
                clock,
            })),
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
            Self::Files(_) => Ok(()),
            Self::Postgres(place) => place.open(turn).await,
        }
    }

    /// Changes the settings; if that can't be stored, nothing has changed.
    pub(super) async fn change<R>(
        &self,
        turn: &mut SettingsTurn,
        origin: RequestOrigin,
        edit: impl FnOnce(&Settings, &Environment) -> Result<(Settings, R), Error> + Send,
    ) -> Result<R, Error> {
        match self {
            Self::Files(store) => {
                let (next, result) = edit(turn.settings(), turn.environment())?;
                let changes = next.stored_since(turn.settings());
                store.write_changes(&changes, &next).await?;
                turn.publish(next);
                Ok(result)
            }
            Self::Postgres(place) => place.change(turn, origin, edit).await,
        }
    }
}

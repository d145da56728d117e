use std::sync::Arc;

use serde_json::{Map, Value};

use super::place::ConfigPlace;
use super::replica::ConfigReplica;
use crate::kernel::{BackgroundTask, Caller, Clock, Error, RequestOrigin, RequestTrail};
use crate::settings::{
    Catalog, CatalogEntry, Environment, LiveSection, Precondition, Resource, Settings, SettingsTurn, SharedSettings,
    StorageSettings,
};
use crate::storage::Stores;

/// The one way in which the LLM connection, agents, data sources and tools are changed: validate, persist, swap. What is
/// acknowledged survives kill -9. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ConfigRepository {
    settings: SharedSettings,
    place: ConfigPlace,
}

/// A service whose configuration is kept in a [`ConfigRepository`].
pub trait ConfigService {
    /// The one way to change it.
    fn config(&self) -> &ConfigRepository;

    /// The settings as they are now: a request takes them once.
    fn snapshot(&self) -> Settings {
        self.config().settings.snapshot()
    }

    /// The settings as they are now, with only those resources that `caller` may use.
    fn snapshot_for(&self, caller: &Caller) -> Settings {
        self.config().settings.usable_by(self.snapshot(), caller)
    }

    /// Closes what was opened to a resource that has been changed or removed.
    fn forget(&self, _name: &str) {}
}

impl ConfigRepository {
    /// A repository of these settings, which are brought up to date with where their changes are kept: in Postgres, if there is one.
    pub async fn open(settings: SharedSettings, stores: &Stores, clock: Clock) -> Result<Self, Error> {
        let place = ConfigPlace::of(&settings, stores, clock);
        let opening = place.clone();
        settings.exclusively(|mut turn| async move { opening.open(&mut turn).await }).await?;
        Ok(Self { settings, place })
    }

    /// Whether the configuration of these settings is in Postgres, and not any more, or not yet, in files.
    pub fn is_in_postgres(settings: &StorageSettings) -> bool {
        settings.postgres_dsn.is_some() && ConfigReplica::path(&settings.data_dir).exists()
    }

    /// Starts what goes on beside the requests: follows what other servers on the same Postgres change.
    pub fn start(&self) -> Option<BackgroundTask> {
        let (place, settings) = (self.place.in_postgres()?.clone(), self.settings.clone());
        Some(BackgroundTask::spawn("config_follower", move || place.clone().follow(settings.clone())))
    }

    /// The settings as they are now.
    pub fn snapshot(&self) -> Settings {
        self.settings.snapshot()
    }

    /// The variables that `${NAME}` refers to.
    pub fn environment(&self) -> &Environment {
        self.settings.environment()
    }

    /// Replaces a section; what `edit` gives beside it is the result.
    pub async fn change<S: LiveSection, R: Send + 'static>(
        &self,
        edit: impl FnOnce(&Settings, &Environment) -> Result<(S, R), Error> + Send + 'static,
    ) -> Result<R, Error> {
        let edit = move |settings: &Settings, environment: &Environment| {
            let (section, result) = edit(settings, environment)?;
            Ok((settings.with(section), result))
        };
        self.change_all(edit).await
    }

    /// Changes the settings, and stores those entries that are not the same any more.
    async fn change_all<R: Send + 'static>(
        &self,
        edit: impl FnOnce(&Settings, &Environment) -> Result<(Settings, R), Error> + Send + 'static,
    ) -> Result<R, Error> {
        let (is_recorded, origin, place) = (RequestTrail::is_kept(), RequestOrigin::current(), self.place.clone());
        let edit = move |settings: &Settings, environment: &Environment| {
            let (next, result) = edit(settings, environment)?;
            let changes = if is_recorded { next.changes_since(settings) } else { Vec::new() };
            Ok((next, (result, changes)))
        };
        let work = |mut turn: SettingsTurn| async move { place.change(&mut turn, origin, edit).await };
        let (result, changes) = self.settings.exclusively(work).await?;
        RequestTrail::note(changes);
        Ok(result)
    }

    /// Adds an entry.
    pub async fn create<T: Resource>(&self, body: Map<String, Value>) -> Result<Arc<CatalogEntry<T>>, Error>
    where
        Catalog<T>: LiveSection,
    {
        self.change(move |settings, environment| {
            settings.server.object_limits.check(&body)?;
            Catalog::of(settings).with_created(&body, environment, &settings.server.api_references)
        })
        .await
    }

    /// Replaces an entry, if it still is as `expected`.
    pub async fn update<T: Resource>(
        &self,
        name: String,
        expected: Precondition,
        body: Map<String, Value>,
    ) -> Result<Arc<CatalogEntry<T>>, Error>
    where
        Catalog<T>: LiveSection,
    {
        let edit = move |settings: &Settings, environment: &Environment| {
            settings.server.object_limits.check(&body)?;
            let released = &settings.server.api_references;
            let (catalog, entry) =
                Catalog::<T>::of(settings).with_replaced(&name, &expected, &body, environment, released)?;
            Ok((settings.with_moved(catalog, &name, Some(entry.name.as_str())), entry))
        };
        self.change_all(edit).await
    }

    /// Removes an entry, if it still is as `expected`.
    pub async fn remove<T: Resource>(&self, name: String, expected: Precondition) -> Result<(), Error>
    where
        Catalog<T>: LiveSection,
    {
        let edit = move |settings: &Settings, _: &Environment| {
            let catalog = Catalog::<T>::of(settings).without(&name, &expected)?;
            Ok((settings.with_moved(catalog, &name, None), ()))
        };
        self.change_all(edit).await
    }
}

use std::sync::Arc;

use serde_json::{Map, Value};

use super::document;
use super::entries::{differences, encrypted, unknown};
use super::history::{ConfigChange, ConfigRevision, Renewal};
use super::place::ConfigPlace;
use super::replica::ConfigReplica;
use crate::kernel::{BackgroundTask, Caller, Clock, Error, ErrorKind, RequestOrigin, RequestTrail};
use crate::settings::{
    Catalog, CatalogEntry, Environment, LiveSection, Precondition, Resource, Settings, SettingsTurn, SharedSettings,
    StorageSettings, StoredEntry,
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

    /// Closes what was opened to resources that are not in these settings, or not any more as they were.
    fn close_stale(&self, _settings: &Settings) {}
}

impl ConfigRepository {
    /// A repository of these settings, which are brought up to date with where their changes are kept: in Postgres, if there is one.
    pub async fn open(settings: SharedSettings, stores: &Stores, clock: Clock) -> Result<Self, Error> {
        let place = ConfigPlace::of(&settings, stores, clock);
        let opening = place.clone();
        let work = |mut turn: SettingsTurn| async move {
            opening.open(&mut turn).await?;
            opening.secure(&turn).await;
            Ok(())
        };
        settings.exclusively(work).await?;
        Ok(Self { settings, place })
    }

    /// A repository for a sub-command, on the place that these settings name. Servers on the same Postgres may run; files that a server
    /// uses are its own.
    pub async fn open_beside(settings: SharedSettings, clock: Clock) -> Result<Self, Error> {
        let place = ConfigPlace::beside(&settings.storage(), clock).await?;
        let opening = place.clone();
        let opened = settings.exclusively(|mut turn| async move { opening.open(&mut turn).await }).await;
        if opened.is_err() {
            place.close().await;
        }
        opened.map(|()| Self { settings, place })
    }

    /// Closes what [`ConfigRepository::open_beside`] has opened.
    pub async fn close(&self) {
        self.place.close().await;
    }

    /// All that was configured through the API as a JSON document, with credentials as they are stored.
    pub fn export(&self) -> Result<String, Error> {
        let settings = self.snapshot();
        // What is imported removes whatever it lacks.
        let left_out = self.place.left_out(&settings);
        if !left_out.is_empty() {
            return Err(Error::invalid(left_out));
        }
        document::write(encrypted(&settings.stored_entries(), &settings.storage.keyring, false)?)
    }

    /// Makes the configuration what a document says; gives how many entries that changes, and the number of the last revision.
    pub async fn import(&self, text: &[u8]) -> Result<(usize, i64), Error> {
        let keyring = &self.settings.storage().keyring;
        let wanted: Vec<_> = document::read(text)?.into_iter().map(|entry| entry.decrypted(keyring)).collect();
        let edit = move |settings: &Settings, environment: &Environment, _: &[StoredEntry]| {
            let changes = differences(&settings.stored_entries(), &wanted);
            let count = settings.next_count();
            let changes: Vec<_> = changes.into_iter().map(|change| change.stamped(count)).collect();
            let (next, issues) = settings.with_entries(&changes, environment);
            if issues.is_empty() { Ok((next, changes.len())) } else { Err(Error::invalid(issues)) }
        };
        let origin = RequestOrigin { operation: "import".to_owned(), ..RequestOrigin::by("import") };
        origin.scope(self.change_from(None, edit)).await
    }

    /// Encrypts all that is stored with the current key, or decrypts it if there is none.
    pub async fn rotate(&self) -> Result<Renewal, Error> {
        let place = self.place.clone();
        self.settings.exclusively(|turn| async move { place.renew(&turn).await }).await
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
        let edit = move |settings: &Settings, environment: &Environment, _: &[StoredEntry]| edit(settings, environment);
        self.change_from(None, edit).await.map(|(result, _)| result)
    }

    /// The same with what entries were after the revision `back_to`; gives the number of the last revision beside the result.
    async fn change_from<R: Send + 'static>(
        &self,
        back_to: Option<i64>,
        edit: impl FnOnce(&Settings, &Environment, &[StoredEntry]) -> Result<(Settings, R), Error> + Send + 'static,
    ) -> Result<(R, i64), Error> {
        let (is_recorded, origin, place) = (RequestTrail::is_kept(), RequestOrigin::current(), self.place.clone());
        let edit = move |settings: &Settings, environment: &Environment, older: &[StoredEntry]| {
            let (next, result) = edit(settings, environment, older)?;
            let changes = if is_recorded { next.changes_since(settings) } else { Vec::new() };
            Ok((next, (result, changes)))
        };
        let work = move |mut turn: SettingsTurn| async move { place.change(&mut turn, origin, back_to, edit).await };
        let ((result, changes), number) = self.settings.exclusively(work).await?;
        RequestTrail::note(changes);
        Ok((result, number))
    }

    /// The newest revisions before a number, at most so many.
    pub async fn revisions(&self, before: i64, limit: i64) -> Result<Vec<ConfigRevision>, Error> {
        self.place.page(before, limit).await
    }

    /// A revision, and what it has changed.
    pub async fn revision(&self, number: i64) -> Result<(ConfigRevision, Vec<ConfigChange>), Error> {
        let found = self.place.page(number.saturating_add(1), 1).await?.pop();
        let revision = found.filter(|revision| revision.number == number).ok_or_else(|| unknown(number))?;
        Ok((revision, self.decrypted(self.place.changes(number).await?)))
    }

    /// In what the configuration differs from what it was after a revision.
    pub async fn changes_after(&self, number: i64) -> Result<Vec<ConfigChange>, Error> {
        let changes = self.place.since(number).await?.ok_or_else(|| unknown(number))?;
        Ok(self.decrypted(changes).into_iter().filter(|change| !change.is_nothing()).collect())
    }

    fn decrypted(&self, changes: Vec<ConfigChange>) -> Vec<ConfigChange> {
        let storage = self.settings.storage();
        changes.into_iter().map(|change| change.decrypted(&storage.keyring)).collect()
    }

    /// Makes the configuration what it was after a revision, credentials included; gives the number of the revision that does so, or of the
    /// last one if nothing has changed since.
    pub async fn roll_back(&self, number: i64) -> Result<i64, Error> {
        let edit = move |settings: &Settings, environment: &Environment, older: &[StoredEntry]| {
            let (next, issues) = settings.with_entries(older, environment);
            match issues.first() {
                None => Ok((next, ())),
                Some(issue) => {
                    let text = format!("Revision {number} can't be returned to, because it could not be used: {issue}");
                    Err(Error::new(ErrorKind::Conflict, text))
                }
            }
        };
        self.change_from(Some(number), edit).await.map(|((), last)| last)
    }

    /// Forgets all revisions but the newest, as these settings say.
    pub async fn retain(&self, settings: &StorageSettings) -> Result<(), Error> {
        self.place.retain(settings.config_max_revisions).await
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

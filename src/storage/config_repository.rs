use std::sync::Arc;

use serde_json::{Map, Value};

use super::ConfigStore;
use crate::kernel::{Caller, Error, RequestTrail};
use crate::settings::{
    Catalog, CatalogEntry, DataSourceSettings, Environment, LiveSection, Precondition, Resource, Settings,
    SharedSettings, VerifiedQuestions,
};

/// The one way in which the LLM connection, agents, data sources and tools are changed: validate, persist, swap. What is
/// acknowledged survives kill -9. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ConfigRepository {
    settings: SharedSettings,
    store: ConfigStore,
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
    /// A repository of these settings whose changes go to `store`.
    pub fn new(settings: SharedSettings, store: ConfigStore) -> Self {
        Self { settings, store }
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
        self.change_all(edit, vec![StoredSection::of::<S>()]).await
    }

    /// Changes the settings, and stores these sections of them, one after the other.
    async fn change_all<R: Send + 'static>(
        &self,
        edit: impl FnOnce(&Settings, &Environment) -> Result<(Settings, R), Error> + Send + 'static,
        sections: Vec<StoredSection>,
    ) -> Result<R, Error> {
        let store = self.store.clone();
        let persist = |next: Settings| async move {
            for StoredSection { name, content } in sections {
                let next = next.clone();
                store.write(name, move || content(&next)).await?;
            }
            Ok(())
        };
        let is_recorded = RequestTrail::is_kept();
        let edit = move |settings: &Settings, environment: &Environment| {
            let (next, result) = edit(settings, environment)?;
            let changes = if is_recorded { next.changes_since(settings) } else { Vec::new() };
            Ok((next, (result, changes)))
        };
        let (result, changes) = self.settings.change(edit, persist).await?;
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
        self.change_all(edit, StoredSection::of_catalog::<T>()).await
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
        self.change_all(edit, StoredSection::of_catalog::<T>()).await
    }
}

/// A section that a change stores.
struct StoredSection {
    name: &'static str,
    content: fn(&Settings) -> Option<String>,
}

impl StoredSection {
    fn of<S: LiveSection>() -> Self {
        Self { name: S::NAME, content: |settings| S::of(settings).stored_text() }
    }

    /// What changes when an entry of a catalog is renamed or removed.
    fn of_catalog<T: Resource>() -> Vec<Self>
    where
        Catalog<T>: LiveSection,
    {
        let follows = (T::SECTION == DataSourceSettings::SECTION).then(Self::of::<VerifiedQuestions>);
        [Self::of::<Catalog<T>>()].into_iter().chain(follows).collect()
    }
}

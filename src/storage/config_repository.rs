use std::sync::Arc;

use serde_json::{Map, Value};

use super::ConfigStore;
use crate::kernel::Error;
use crate::settings::{
    Catalog, CatalogEntry, Environment, LiveSection, Precondition, Resource, Settings, SharedSettings,
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

    /// Closes what was opened to a resource that has been changed or removed.
    fn forget(&self, _name: &str) {}
}

impl ConfigRepository {
    /// A repository of these settings whose changes go to `store`.
    pub fn new(settings: SharedSettings, store: ConfigStore) -> Self {
        Self { settings, store }
    }

    /// Replaces a section; what `edit` gives beside it is the result.
    pub async fn change<S: LiveSection, R: Send + 'static>(
        &self,
        edit: impl FnOnce(&Settings, &Environment) -> Result<(S, R), Error> + Send + 'static,
    ) -> Result<R, Error> {
        let store = self.store.clone();
        let edit = move |settings: &Settings, environment: &Environment| {
            let (section, result) = edit(settings, environment)?;
            Ok((settings.with(section), result))
        };
        let persist = |next: Settings| async move {
            let section = S::of(&next).clone();
            store.write(S::NAME, move || section.to_stored()).await
        };
        self.settings.change(edit, persist).await
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
        self.change(move |settings, environment| {
            settings.server.object_limits.check(&body)?;
            let released = &settings.server.api_references;
            Catalog::of(settings).with_replaced(&name, &expected, &body, environment, released)
        })
        .await
    }

    /// Removes an entry, if it still is as `expected`.
    pub async fn remove<T: Resource>(&self, name: String, expected: Precondition) -> Result<(), Error>
    where
        Catalog<T>: LiveSection,
    {
        self.change(move |settings, _| Ok((Catalog::<T>::of(settings).without(&name, &expected)?, ()))).await
    }
}

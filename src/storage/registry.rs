use std::marker::PhantomData;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::ConfigStore;
use crate::kernel::Error;
use crate::settings::{Catalog, CatalogEntry, Environment, Precondition, Resource, Settings, SharedSettings};

/// The one way in which agents, data sources and tools are added, changed and removed: validate, persist, swap. What is
/// acknowledged survives kill -9. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry<T> {
    settings: SharedSettings,
    store: ConfigStore,
    sort: PhantomData<fn() -> T>,
}

impl<T: Resource> Registry<T> {
    /// A registry whose changes go to `store`.
    pub fn new(settings: SharedSettings, store: ConfigStore) -> Self {
        Self { settings, store, sort: PhantomData }
    }

    /// The settings that it changes.
    pub fn settings(&self) -> &SharedSettings {
        &self.settings
    }

    /// All entries as they are now; later changes don't show in it.
    pub fn catalog(&self) -> Arc<Catalog<T>> {
        T::catalog(&self.settings.snapshot()).clone()
    }

    /// The entry of this name as it is now.
    pub fn require(&self, name: &str) -> Result<Arc<CatalogEntry<T>>, Error> {
        self.catalog().require(name).cloned()
    }

    /// Adds an entry.
    pub async fn create(&self, body: Map<String, Value>) -> Result<Arc<CatalogEntry<T>>, Error> {
        self.change(move |settings, environment| {
            settings.server.object_limits.check(&body)?;
            T::catalog(settings).with_created(&body, environment, &settings.server.api_references)
        })
        .await
    }

    /// Replaces an entry, if it still is as `expected`.
    pub async fn update(
        &self,
        name: String,
        expected: Precondition,
        body: Map<String, Value>,
    ) -> Result<Arc<CatalogEntry<T>>, Error> {
        self.change(move |settings, environment| {
            settings.server.object_limits.check(&body)?;
            let released = &settings.server.api_references;
            T::catalog(settings).with_replaced(&name, &expected, &body, environment, released)
        })
        .await
    }

    /// Removes an entry, if it still is as `expected`.
    pub async fn remove(&self, name: String, expected: Precondition) -> Result<(), Error> {
        self.change(move |settings, _| Ok((T::catalog(settings).without(&name, &expected)?, ()))).await
    }

    /// Changes the catalog; what `edit` gives beside it is the result.
    async fn change<R: Send + 'static>(
        &self,
        edit: impl FnOnce(&Settings, &Environment) -> Result<(Catalog<T>, R), Error> + Send + 'static,
    ) -> Result<R, Error> {
        let result = Arc::new(Mutex::new(None));
        let (slot, store) = (result.clone(), self.store.clone());
        let edit = move |settings: &Settings, environment: &Environment| {
            let (catalog, result) = edit(settings, environment)?;
            *slot.lock() = Some(result);
            Ok(T::with_catalog(settings, Arc::new(catalog)))
        };
        let persist = |next: Settings| async move {
            let catalog = T::catalog(&next).clone();
            store.write_with(T::SECTION, move || catalog.to_stored()).await
        };
        self.settings.change(edit, persist).await?;
        let result = result.lock().take();
        result.ok_or_else(|| Error::internal("a change gave no result", "the edit did not run"))
    }
}

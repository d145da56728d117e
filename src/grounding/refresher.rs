//! Asks resources what they offer, in the background: when they are new or have changed, and then every `GROUNDING_REFRESH_SECONDS`.

use std::collections::{HashMap, HashSet};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

use super::collector::{AskedResource, Collection, Collector, ResourceKey};
use super::service::GroundingService;
use super::store::VocabularyStore;
use crate::datasources::DataSourceService;
use crate::kernel::Clock;
use crate::settings::{Settings, SharedSettings};
use crate::tools::ToolService;

/// Resources that are asked at once.
const MAX_CONCURRENT: usize = 16;
/// How soon a resource is asked again that did not answer.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// The least time between two writes of the file.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// The background task that keeps the index up to date. Cheap to clone.
#[derive(Clone, Debug)]
pub struct GroundingRefresher {
    service: GroundingService,
    settings: SharedSettings,
    collector: Collector,
    store: VocabularyStore,
    clock: Clock,
    places: Arc<Semaphore>,
}

/// When a resource was asked, and what came of it.
struct Attempt {
    version: String,
    is_running: bool,
    has_failed: bool,
    is_cut: bool,
    /// When it is asked again.
    next: Option<Instant>,
}

/// What a resource said.
struct CollectionOutcome {
    resource: AskedResource,
    result: Result<Collection, String>,
}

/// The state of the task between two of its steps.
#[derive(Default)]
struct RefreshState {
    attempts: HashMap<ResourceKey, Attempt>,
    running: FuturesUnordered<BoxFuture<'static, CollectionOutcome>>,
    /// Whether there is news that no index has yet, and no file.
    unindexed: bool,
    unsaved: bool,
    saved_at: Option<Instant>,
}

impl GroundingRefresher {
    /// A task that keeps `service` up to date. What an earlier process has collected is there at once.
    pub async fn open(
        service: GroundingService,
        settings: SharedSettings,
        datasources: DataSourceService,
        tools: ToolService,
        clock: Clock,
    ) -> Self {
        let snapshot = settings.snapshot();
        let store = VocabularyStore::new(&snapshot.storage.data_dir);
        let (collector, places) = (Collector { datasources, tools }, Arc::new(Semaphore::new(MAX_CONCURRENT)));
        let this = Self { service, settings, collector, store, clock, places };
        let store = this.store.clone();
        let stored = tokio::task::spawn_blocking(move || store.load()).await.unwrap_or_default();
        this.service.load(stored);
        this.service.rebuild(snapshot).await;
        this
    }

    /// Never ends.
    pub async fn run(self) {
        let (mut changes, mut state) = (self.settings.subscribe(), RefreshState::default());
        loop {
            let settings = changes.borrow_and_update().clone();
            self.begin_due(&settings, &mut state).await;
            self.save_if_due(&mut state).await;
            let next = state.next();
            tokio::select! {
                changed = changes.changed() => match changed {
                    Ok(()) => {}
                    Err(_) => return,
                },
                Some(outcome) = state.running.next(), if !state.running.is_empty() => {
                    self.finish_all(outcome, &mut state).await;
                }
                () = wait_until(next) => {}
            }
        }
    }

    /// Forgets what is no longer configured, and begins to ask what is due.
    async fn begin_due(&self, settings: &Settings, state: &mut RefreshState) {
        let asked = AskedResource::all(settings);
        state.unsaved |= self.service.with_collected(|collected| collected.retain(&asked));
        self.service.ensure(settings).await;
        if settings.orchestration.grounding_refresh.is_zero() {
            return;
        }
        let keys: HashSet<ResourceKey> = asked.iter().map(AskedResource::key).collect();
        state.attempts.retain(|key, _| keys.contains(key));
        for resource in asked {
            if state.is_due(&resource) {
                state.begin(&resource);
                state.running.push(Box::pin(self.clone().ask(resource, settings.clone())));
            }
        }
    }

    async fn ask(self, resource: AskedResource, settings: Settings) -> CollectionOutcome {
        let _place = self.places.acquire().await;
        let (key, now) = (resource.key(), self.clock.now_ms());
        let previous =
            self.service.with_collected(|collected| collected.with_fresh_values(&key, resource.version(), now));
        let result = self.collector.collect(&resource, &settings, previous.as_deref()).await;
        CollectionOutcome { resource, result }
    }

    /// Takes in what has been said by now, for one index of all of it.
    async fn finish_all(&self, first: CollectionOutcome, state: &mut RefreshState) {
        let settings = self.settings.subscribe().borrow().clone();
        let mut next = Some(first);
        while let Some(outcome) = next {
            self.finish(outcome, settings.orchestration.grounding_refresh, state);
            next = state.running.next().now_or_never().flatten();
        }
        if std::mem::take(&mut state.unindexed) {
            self.service.rebuild(settings).await;
        }
    }

    fn finish(
        &self,
        CollectionOutcome { resource, result }: CollectionOutcome,
        every: Duration,
        state: &mut RefreshState,
    ) {
        let key = resource.key();
        let attempt = state.attempts.get_mut(&key).filter(|attempt| attempt.version == resource.version());
        // One that has changed meanwhile is being asked anew.
        let Some(attempt) = attempt else { return };
        attempt.is_running = false;
        attempt.next = Some(Instant::now() + if result.is_ok() { every } else { every.min(RETRY_INTERVAL) });
        attempt.log(&key, &result);
        let Ok(collection) = result else { return };
        let now = self.clock.now_ms();
        if self.service.with_collected(|collected| collected.put(key, collection, now)) {
            (state.unindexed, state.unsaved) = (true, true);
        }
    }

    /// Writes the file if there is news, not more often than need be.
    async fn save_if_due(&self, state: &mut RefreshState) {
        let is_early = state.saved_at.is_some_and(|at| at.elapsed() < SAVE_INTERVAL);
        if !state.unsaved || is_early {
            return;
        }
        (state.unsaved, state.saved_at) = (false, Some(Instant::now()));
        let (store, stored) = (self.store.clone(), self.service.with_collected(|collected| collected.to_stored()));
        let saved = tokio::task::spawn_blocking(move || store.save(stored)).await;
        if let Err(error) = saved.unwrap_or_else(|stopped| Err(std::io::Error::other(stopped))) {
            tracing::warn!(%error, "what resources offer could not be saved; a restart will collect it anew");
        }
    }
}

async fn wait_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

impl RefreshState {
    fn is_due(&self, resource: &AskedResource) -> bool {
        self.attempts.get(&resource.key()).is_none_or(|attempt| {
            let is_late = attempt.next.is_some_and(|next| next <= Instant::now());
            attempt.version != resource.version() || !attempt.is_running && is_late
        })
    }

    fn begin(&mut self, resource: &AskedResource) {
        let before = self.attempts.remove(&resource.key());
        let (has_failed, is_cut) = before.map(|before| (before.has_failed, before.is_cut)).unwrap_or_default();
        let version = resource.version().to_owned();
        self.attempts.insert(resource.key(), Attempt { version, is_running: true, has_failed, is_cut, next: None });
    }

    /// When there is something to do, if nothing else happens.
    fn next(&self) -> Option<Instant> {
        let save = self.saved_at.filter(|_| self.unsaved).map(|at| at + SAVE_INTERVAL);
        let asks = self.attempts.values().filter(|attempt| !attempt.is_running).filter_map(|attempt| attempt.next);
        asks.chain(save).min()
    }
}

impl Attempt {
    /// Tells when a resource begins to fail, answers again, or offers too much.
    fn log(&mut self, (kind, name): &ResourceKey, result: &Result<Collection, String>) {
        let had_failed = std::mem::replace(&mut self.has_failed, result.is_err());
        match result {
            Err(error) if !had_failed => {
                tracing::warn!(
                    ?kind,
                    name,
                    untrusted = error,
                    "a resource did not say what it offers; what it said before stays"
                );
            }
            Ok(_) if had_failed => tracing::info!(?kind, name, "a resource says again what it offers"),
            _ => {}
        }
        if let Ok(collection) = result
            && collection.is_cut != std::mem::replace(&mut self.is_cut, collection.is_cut)
            && collection.is_cut
        {
            tracing::warn!(?kind, name, "a resource offers more than is indexed; some of it was left out");
        }
    }
}

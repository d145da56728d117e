use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::collected::CollectedVocabularies;
use super::described;
use super::embedding::{Embeddings, Similarity};
use super::findings::Findings;
use super::fusion::fuse;
use super::index::Index;
use super::store::StoredVocabulary;
use super::vocabulary::{ResourceKind, Vocabulary};
use crate::agents::AgentEntry;
use crate::kernel::{Caller, Deadline};
use crate::llm::LlmClient;
use crate::settings::{Settings, SharedSettings};

/// Keeps the index of what is configured. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct GroundingService(Arc<GroundingState>);

#[derive(Debug, Default)]
struct GroundingState {
    collected: RwLock<CollectedVocabularies>,
    live: watch::Sender<Option<Arc<LiveIndex>>>,
    embeddings: Embeddings,
    /// What is configured now; none if whoever asks always knows.
    settings: Option<watch::Receiver<Settings>>,
    /// Held while an index is built, so that nobody builds a second one of the same.
    building: Mutex<()>,
}

/// An index, and what it was built of.
#[derive(Debug)]
pub(super) struct LiveIndex {
    settings: Settings,
    pub(super) vocabularies: Vec<Arc<Vocabulary>>,
    index: Arc<Index>,
}

/// How much is indexed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroundingStatus {
    /// For each kind of resource.
    pub kinds: Vec<KindStatus>,
    /// When that was collected which is the oldest, in milliseconds since 1970.
    pub oldest_ms: Option<i64>,
}

/// How much is indexed of one kind of resource.
#[derive(Clone, Debug, PartialEq)]
pub struct KindStatus {
    /// The kind.
    pub kind: ResourceKind,
    /// Resources of which all is known that they offer.
    pub complete: usize,
    /// Resources that are known by name and description alone.
    pub described: usize,
    /// Tables, functions and the like.
    pub items: usize,
}

impl GroundingService {
    /// A service that indexes what these settings say, and has prompts embedded by `client`.
    pub fn new(client: LlmClient, settings: &SharedSettings) -> Self {
        let (embeddings, settings) = (Embeddings::new(client), Some(settings.subscribe()));
        Self(Arc::new(GroundingState { embeddings, settings, ..GroundingState::default() }))
    }

    /// What a prompt is about, among the resources that these settings enable. Asks no upstream, unless the words alone are not
    /// clear and an embedding model is configured. For settings that are no longer live, it may find what they don't have.
    pub async fn find(&self, prompt: &str, settings: &Settings, caller: &Caller, deadline: Deadline) -> Findings {
        let Some(live) = self.live_of(settings).await else { return Findings::default() };
        let findings = live.index.find(prompt);
        if findings.is_settled() {
            return findings;
        }
        let Some(similar) = Box::pin(self.0.embeddings.similar(prompt, settings, caller, deadline)).await else {
            return findings;
        };
        let known: HashSet<_> = live.vocabularies.iter().map(|one| (one.kind, one.name.as_str())).collect();
        let denied = findings.denied.clone();
        let may_be = |one: &Similarity| {
            known.contains(&(one.kind, one.name.as_str()))
                && !denied.iter().any(|(kind, name)| *kind == one.kind && *name == one.name)
        };
        fuse(findings, similar.into_iter().filter(may_be))
    }

    /// The vocabulary of a data source, if it was collected: what a model is told of its values.
    pub fn vocabulary(&self, datasource: &str) -> Option<Arc<Vocabulary>> {
        let key = (ResourceKind::DataSource, datasource.to_owned());
        self.0.collected.read().latest(&key).cloned()
    }

    /// How much is indexed.
    pub fn status(&self) -> GroundingStatus {
        let live = self.0.live.borrow().clone();
        let vocabularies = live.as_ref().map(|live| live.vocabularies.as_slice()).unwrap_or_default();
        let kinds = [ResourceKind::Agent, ResourceKind::DataSource, ResourceKind::Tool].map(|kind| {
            let of_kind = || vocabularies.iter().filter(|one| one.kind == kind);
            let complete = of_kind().filter(|one| one.is_complete).count();
            let items = of_kind().map(|one| one.items.len()).sum();
            KindStatus { kind, complete, described: of_kind().count() - complete, items }
        });
        GroundingStatus { kinds: kinds.into(), oldest_ms: self.0.collected.read().oldest() }
    }

    /// The index of these settings' resources. It is there already, unless they have just changed; for a snapshot that is older, it
    /// is that of later ones.
    async fn live_of(&self, settings: &Settings) -> Option<Arc<LiveIndex>> {
        let live = self.0.live.borrow().clone();
        match live {
            Some(live) if live.is_of(settings) => Some(live),
            Some(live) if !self.are_live(settings) => Some(live),
            live => {
                let (this, settings) = (self.clone(), settings.clone());
                tokio::task::spawn_blocking(move || this.built(settings)).await.ok().or(live)
            }
        }
    }

    /// The index at any time, and word of each change.
    pub(super) fn subscribe(&self) -> watch::Receiver<Option<Arc<LiveIndex>>> {
        self.0.live.subscribe()
    }

    /// What is known of the meaning of texts.
    pub(super) fn embeddings(&self) -> &Embeddings {
        &self.0.embeddings
    }

    /// Builds the index anew: of the live settings' resources, if these are not any more.
    pub(super) async fn rebuild(&self, settings: Settings) {
        let this = self.clone();
        let build = move || {
            let _building = this.0.building.lock();
            let live = this.0.settings.as_ref().map(|live| live.borrow().clone());
            this.build(live.unwrap_or(settings));
        };
        if let Err(stopped) = tokio::task::spawn_blocking(build).await {
            tracing::error!(error = %stopped, "the index of what is configured could not be built");
        }
    }

    /// The index of these settings' resources, which is built if there is none.
    fn built(&self, settings: Settings) -> Arc<LiveIndex> {
        let _building = self.0.building.lock();
        let before = self.0.live.borrow().clone();
        match before.filter(|live| live.is_of(&settings) || !self.are_live(&settings)) {
            Some(live) => live,
            None => self.build(settings),
        }
    }

    /// Builds an index, and makes it the live one unless the settings have changed meanwhile.
    fn build(&self, settings: Settings) -> Arc<LiveIndex> {
        let before = self.0.live.borrow().clone();
        let vocabularies = vocabularies(&settings, &self.0.collected.read(), before.as_deref());
        let index = before.as_ref().map(|live| live.index.clone()).unwrap_or_default();
        let index = Arc::new(index.rebuild(vocabularies.clone()));
        let live = Arc::new(LiveIndex { settings, vocabularies, index });
        if self.are_live(&live.settings) {
            self.0.live.send_replace(Some(live.clone()));
        }
        live
    }

    /// Whether these settings have the resources that are configured now. Those of a request or an evaluation that takes long may
    /// not: an index of them would be in the way of all others.
    fn are_live(&self, settings: &Settings) -> bool {
        self.0.settings.as_ref().is_none_or(|live| have_same_resources(&live.borrow(), settings))
    }

    /// Builds the index if there is none of these settings' resources.
    pub(super) async fn ensure(&self, settings: &Settings) {
        self.live_of(settings).await;
    }

    /// Takes over what an earlier process has collected.
    pub(super) fn load(&self, stored: Vec<StoredVocabulary>) {
        *self.0.collected.write() = CollectedVocabularies::of_stored(stored);
    }

    /// Works on what was collected.
    pub(super) fn with_collected<R>(&self, work: impl FnOnce(&mut CollectedVocabularies) -> R) -> R {
        work(&mut self.0.collected.write())
    }
}

impl LiveIndex {
    fn is_of(&self, settings: &Settings) -> bool {
        have_same_resources(&self.settings, settings)
    }
}

fn have_same_resources(one: &Settings, other: &Settings) -> bool {
    Arc::ptr_eq(&one.agents, &other.agents)
        && Arc::ptr_eq(&one.datasources, &other.datasources)
        && Arc::ptr_eq(&one.tools, &other.tools)
        && Arc::ptr_eq(&one.verified, &other.verified)
}

/// The vocabularies of the resources that these settings enable. Those that are as they were are the same objects as `before`.
fn vocabularies(
    settings: &Settings,
    collected: &CollectedVocabularies,
    before: Option<&LiveIndex>,
) -> Vec<Arc<Vocabulary>> {
    let known = before.map(|live| live.vocabularies.as_slice()).unwrap_or_default();
    let known: HashMap<_, _> = known.iter().map(|known| ((known.kind, known.name.as_str()), known)).collect();
    let kept = |described: Vocabulary| {
        let key = (described.kind, described.name.clone());
        let collected = collected.get(&key, &described.version);
        let questions = match described.kind {
            ResourceKind::DataSource => described::questions(&settings.verified, &described.name),
            ResourceKind::Agent | ResourceKind::Tool => Vec::new(),
        };
        if let Some(collected) = collected.filter(|_| questions.is_empty()) {
            return collected.clone();
        }
        let mut vocabulary = collected.map_or_else(|| described.bounded().0, |collected| Vocabulary::clone(collected));
        vocabulary.items.extend(questions);
        let same = known.get(&(vocabulary.kind, vocabulary.name.as_str())).filter(|known| ****known == vocabulary);
        same.copied().cloned().unwrap_or_else(|| Arc::new(vocabulary))
    };
    // An agent is what its entry says, which nobody has to be asked for.
    let agent = |entry: &AgentEntry| {
        let entry_before = before.and_then(|live| live.settings.agents.get(entry.name.as_str()));
        let same = known.get(&(ResourceKind::Agent, entry.name.as_str()));
        let same = same.filter(|_| entry_before.is_some_and(|before| Arc::ptr_eq(before, entry)));
        same.copied().cloned().unwrap_or_else(|| kept(described::of_agent(entry)))
    };
    let sources = settings.datasources.enabled().filter(|_| settings.orchestration.grounding_enabled);
    let sources = sources.map(|entry| kept(described::of_source(entry)));
    let tools = settings.tools.enabled().map(|tool| kept(described::of_tool(tool)));
    sources.chain(settings.agents.enabled().map(agent)).chain(tools).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::settings::{Environment, SettingsTurn, load};

    async fn finds_billing(service: &GroundingService, settings: &Settings) -> bool {
        let deadline = Deadline::after(Duration::from_secs(60));
        let found = service
            .find("Ask the billing agent for the open invoices", settings, &Caller::unrestricted(), deadline)
            .await;
        found.candidates.iter().any(|candidate| candidate.name == "billing")
    }

    #[tokio::test]
    async fn a_snapshot_that_is_not_live_any_more_replaces_no_index() {
        let shared = SharedSettings::new(load(Environment::default()).unwrap());
        let old = shared.snapshot();
        let agents = r#"{"billing": {"url": "http://127.0.0.1:9"}}"#;
        let next = load(Environment::from_pairs([("EXTERNAL_AGENTS", agents)])).unwrap().settings;
        let state = GroundingState { settings: Some(shared.subscribe()), ..GroundingState::default() };
        let service = GroundingService(Arc::new(state));
        assert!(!finds_billing(&service, &old).await);
        let mut indexes = service.subscribe();

        let change = |mut turn: SettingsTurn| async move {
            turn.publish(next);
            Ok(())
        };
        shared.exclusively(change).await.unwrap();
        assert!(!finds_billing(&service, &old).await, "its own index is still there");
        assert!(!indexes.has_changed().unwrap());
        let new = shared.snapshot();
        assert!(finds_billing(&service, &new).await, "it is known at once");
        assert!(indexes.borrow_and_update().as_ref().unwrap().is_of(&new));

        finds_billing(&service, &old).await;
        service.ensure(&old).await;
        assert!(finds_billing(&service, &new).await);
        assert!(!indexes.has_changed().unwrap(), "nothing was built");
        service.rebuild(old).await;
        assert!(indexes.borrow_and_update().as_ref().unwrap().is_of(&new), "what was collected meanwhile counts");
    }

    #[tokio::test]
    async fn an_index_of_an_older_snapshot_serves_whoever_asks_alone() {
        let shared = SharedSettings::new(load(Environment::default()).unwrap());
        let agents = r#"{"billing": {"url": "http://127.0.0.1:9"}}"#;
        let old = load(Environment::from_pairs([("EXTERNAL_AGENTS", agents)])).unwrap().settings;
        let state = GroundingState { settings: Some(shared.subscribe()), ..GroundingState::default() };
        let service = GroundingService(Arc::new(state));
        assert!(finds_billing(&service, &old).await);
        assert!(service.subscribe().borrow().is_none());
    }
}

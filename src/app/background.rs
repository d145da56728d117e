use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::modules::{Modules, Shared};
use crate::grounding::{EmbeddingRefresher, GroundingRefresher};
use crate::kernel::{BackgroundTask, Caller, Deadline};
use crate::llm::{ChatRequest, LlmClient};
use crate::memory::Summarizer;
use crate::settings::{SharedSettings, StorageSettings};
use crate::storage::{ConfigRepository, ConfigService, Stores};

/// How often expired conversations and cached answers are deleted.
const PURGE_INTERVAL: Duration = Duration::from_secs(60);

/// Starts what goes on beside the requests.
pub(super) async fn spawn(shared: &Shared, modules: &Modules) -> Vec<BackgroundTask> {
    let Shared { settings, stores, config, clock, .. } = shared.clone();
    let Modules { client, grounding, datasources, tools, identity, .. } = modules;
    let embedder = EmbeddingRefresher::new(grounding.clone(), settings.clone(), client.clone());
    let refresher =
        GroundingRefresher::open(grounding.clone(), settings.clone(), datasources.clone(), tools.clone(), clock).await;
    let storage = settings.snapshot().storage.clone();
    let (limits, live, client) = (client.clone(), settings.clone(), client.clone());
    let (summarizer, watched) = (modules.summarizer.clone(), modules.monitoring.clone());
    let ((sources, of_sources), (mcp, of_mcp)) =
        ((datasources.clone(), settings.clone()), (tools.clone(), settings.clone()));
    let mut tasks = identity.start();
    tasks.extend(stores.start());
    tasks.extend(config.start());

    tasks.extend([
        BackgroundTask::spawn("retention", move || purge(stores.clone(), config.clone(), storage.clone())),
        BackgroundTask::spawn("summaries", move || {
            write_summaries(summarizer.clone(), settings.clone(), client.clone())
        }),
        BackgroundTask::spawn("llm_limits", move || limits.clone().watch_limits(live.clone())),
        BackgroundTask::spawn("stale_sources", move || close_stale(sources.clone(), of_sources.clone())),
        BackgroundTask::spawn("stale_tools", move || close_stale(mcp.clone(), of_mcp.clone())),
        BackgroundTask::spawn("monitoring", move || watched.clone().run_probes()),
        BackgroundTask::spawn("embeddings", move || embedder.clone().run()),
        BackgroundTask::spawn("grounding", move || refresher.clone().run()),
    ]);
    tasks
}

async fn purge(stores: Stores, config: ConfigRepository, settings: Arc<StorageSettings>) {
    let mut ticks = tokio::time::interval(PURGE_INTERVAL);
    loop {
        ticks.tick().await;
        for outcome in [stores.purge(&settings).await, config.retain(&settings).await] {
            if let Err(error) = outcome {
                tracing::warn!(%error, "expired entries could not be deleted");
            }
        }
    }
}

/// Closes what a service has opened to resources whenever they change, whoever changes them. Never ends.
async fn close_stale(service: impl ConfigService, settings: SharedSettings) {
    let mut changes = settings.subscribe();
    while changes.changed().await.is_ok() {
        let now = changes.borrow_and_update().clone();
        service.close_stale(&now);
    }
    std::future::pending().await
}

/// Lends the memory module a model to write summaries with.
async fn write_summaries(summarizer: Arc<Mutex<Summarizer>>, settings: SharedSettings, client: LlmClient) {
    let summarize = |prompt: String, caller: Caller| {
        let (settings, client) = (settings.snapshot(), client.clone());
        async move {
            let deadline = Deadline::after(settings.orchestration.timeout);
            let question = ChatRequest::question(prompt);
            let answer = client.complete(settings.llm.effective(), &question, &caller, deadline).await?;
            Ok(answer.content)
        }
    };
    summarizer.lock().await.run(summarize).await;
}

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use super::router;
use crate::agents::AgentService;
use crate::chat::{self, ChatService};
use crate::datasources::DataSourceService;
use crate::executions::ExecutionService;
use crate::kernel::{BackgroundTask, Clock, Deadline, Error, FieldIssue};
use crate::llm::{ChatRequest, LlmClient, LlmService};
use crate::memory::routes::MemoryState;
use crate::memory::{MemoryService, ResponseCache, Summarizer};
use crate::monitoring::MonitoringService;
use crate::outbound::{AddressGuard, HttpClient, NameResolver};
use crate::settings::{
    AgentSettings, Catalog, DataSourceSettings, Environment, LlmSection, LoadedSettings, OutboundPolicy, Settings,
    SharedSettings, StorageSettings, ToolSettings, read,
};
use crate::storage::{ConfigStore, Stores};
use crate::telemetry;
use crate::tools::ToolService;
use crate::web::{AppState, with_layers};

/// How often expired conversations and cached answers are deleted.
const PURGE_INTERVAL: Duration = Duration::from_secs(60);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong: everything that is.
    #[error("the configuration has {} problem(s):{}", .0.len(), .0.iter().map(|issue| format!("\n  {issue}")).collect::<String>())]
    Settings(Vec<FieldIssue>),
    /// Something it needs is not to be had.
    #[error("can't start: {0}")]
    Failed(#[from] Error),
}

/// What a server finds around it.
#[derive(Clone, Debug)]
pub struct Platform {
    /// The time.
    pub clock: Clock,
    /// The addresses of names.
    pub names: NameResolver,
    /// The program's own file, which is run again for work that may have to be killed.
    pub program: PathBuf,
}

impl Platform {
    /// Those of this process. Its file is named in a way that stays right when another version takes its place.
    pub fn system() -> Self {
        Self { clock: Clock::system(), names: NameResolver::default(), program: PathBuf::from("/proc/self/exe") }
    }
}

/// A server that is ready to serve.
#[derive(Debug)]
pub struct App {
    /// All routes and layers.
    pub router: Router,
    /// What the modules share.
    pub state: AppState,
    /// Work that outlives a request and is waited for at the end.
    pub background: TaskTracker,
    tools: ToolService,
    pub(super) monitoring: MonitoringService,
    tasks: Vec<BackgroundTask>,
}

/// Reads and checks all settings, those changed through the API included.
pub fn load_settings(environment: Environment) -> Result<LoadedSettings, StartError> {
    let mut issues = Vec::new();
    if let Some(Err(expected)) = environment.get("LOG_LEVEL").map(telemetry::check_level) {
        issues.push(FieldIssue::new("value_error", vec!["LOG_LEVEL".into()], expected, Value::Null));
    }
    let (mut settings, wrong) = read(&environment);
    issues.extend(wrong);
    let store = ConfigStore::new(StorageSettings::data_dir(&environment));
    settings = store.overlay::<LlmSection>(settings, &environment, &mut issues);
    settings = store.overlay::<Catalog<AgentSettings>>(settings, &environment, &mut issues);
    settings = store.overlay::<Catalog<DataSourceSettings>>(settings, &environment, &mut issues);
    settings = store.overlay::<Catalog<ToolSettings>>(settings, &environment, &mut issues);
    if issues.is_empty() { Ok(LoadedSettings { settings, environment }) } else { Err(StartError::Settings(issues)) }
}

impl App {
    /// Opens the stores, builds the modules and starts the background tasks.
    pub async fn build(loaded: LoadedSettings, platform: Platform) -> Result<Self, StartError> {
        let Platform { clock, names, program } = platform;
        let settings = SharedSettings::new(loaded);
        // Before anything can fail that may quote one.
        telemetry::redact_secrets_of(settings.clone());
        let snapshot = settings.snapshot();
        let stores = Stores::open(&snapshot.storage, clock.clone()).await?;
        let state = AppState { settings: settings.clone(), stores: stores.clone() };
        let background = TaskTracker::new();

        let outbound = &snapshot.outbound;
        let guard = AddressGuard::new(outbound.policy == OutboundPolicy::PublicOnly, &outbound.allow).with_names(names);
        let http = HttpClient::new(settings.environment(), guard.clone(), outbound.reply_reader)?;
        let client = LlmClient::new(http.clone(), clock.clone());
        let agents = AgentService::new(settings.clone(), stores.config.clone(), http.clone());
        let tools = ToolService::new(settings.clone(), stores.config.clone(), http.clone());
        let datasources = DataSourceService::new(settings.clone(), stores.config.clone(), http, guard, program);
        let llm = LlmService::new(settings.clone(), stores.config.clone(), client.clone());
        let (summaries, summarizer) = Summarizer::new(settings.clone(), stores.clone());
        let memory = MemoryService::new(stores.clone(), clock.clone(), summaries);
        let monitoring = MonitoringService::new(
            settings.clone(),
            stores.clone(),
            llm.clone(),
            agents.clone(),
            datasources.clone(),
            clock.clone(),
        );
        let chat = ChatService::new(
            settings.clone(),
            stores.executions.clone(),
            chat::ChatServices {
                llm: client.clone(),
                agents: agents.clone(),
                datasources: datasources.clone(),
                tools: tools.clone(),
                memory: memory.clone(),
                cache: ResponseCache::new(stores.cache.clone()),
            },
            clock,
            background.clone(),
        );
        let modules = router::Modules {
            system: state.clone(),
            llm,
            agents,
            datasources,
            tools: tools.clone(),
            memory: MemoryState { app: state.clone(), memory },
            chat,
            executions: ExecutionService::new(stores.executions.clone()),
            monitoring: monitoring.clone(),
        };
        let router = with_layers(router::router(modules, &snapshot.server.api_prefix)?, &snapshot.server);
        let (summarizer, watched, storage) =
            (Arc::new(Mutex::new(summarizer)), monitoring.clone(), snapshot.storage.clone());
        let tasks = vec![
            BackgroundTask::spawn("retention", move || purge(stores.clone(), storage.clone())),
            BackgroundTask::spawn("summaries", move || {
                write_summaries(summarizer.clone(), settings.clone(), client.clone())
            }),
            BackgroundTask::spawn("monitoring", move || watched.clone().run_probes()),
        ];
        log_exposure(&snapshot);
        Ok(Self { router, state, background, tools, monitoring, tasks })
    }

    /// Ends the background tasks, waits for background work, and closes the stores.
    pub async fn close(self, timeout: Duration) {
        drop(self.tasks);
        self.background.close();
        if tokio::time::timeout(timeout, self.background.wait()).await.is_err() {
            tracing::warn!("background work did not finish in time");
        }
        self.tools.close().await;
        self.state.stores.close().await;
    }
}

async fn purge(stores: Stores, settings: Arc<StorageSettings>) {
    let mut ticks = tokio::time::interval(PURGE_INTERVAL);
    loop {
        ticks.tick().await;
        if let Err(error) = stores.purge(&settings).await {
            tracing::warn!(%error, "expired entries could not be deleted");
        }
    }
}

/// Lends the memory module a model to write summaries with.
async fn write_summaries(summarizer: Arc<Mutex<Summarizer>>, settings: SharedSettings, client: LlmClient) {
    let summarize = |prompt: String| {
        let (settings, client) = (settings.snapshot(), client.clone());
        async move {
            let deadline = Deadline::after(settings.orchestration.timeout);
            let answer = client.complete(settings.llm.effective(), &ChatRequest::question(prompt), deadline).await?;
            Ok(answer.content)
        }
    };
    summarizer.lock().await.run(summarize).await;
}

/// Says at start what an operator may not expect.
fn log_exposure(settings: &Settings) {
    let overridden = settings.llm.overridden_variables();
    if !overridden.is_empty() {
        tracing::info!(
            variables = overridden.join(", "),
            "values stored through the API override these variables; DELETE /api/llm/config returns to them"
        );
    }
    if !settings.server.address.ip().is_loopback() {
        tracing::warn!(address = %settings.server.address, "listening beyond this machine without authentication");
    }
    if settings.server.accepts_any_host() {
        tracing::warn!(
            "the server answers to any name, so a web page may reach it under one of its own (DNS rebinding); \
             ALLOWED_HOSTS names the right ones"
        );
    }
    if settings.server.cors_origins.iter().any(|origin| origin == "*") {
        tracing::warn!("any web page that somebody opens may use this server in their stead: CORS_ORIGINS is *");
    }
}

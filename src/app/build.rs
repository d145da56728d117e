use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde_json::Value;
use tokio_util::task::TaskTracker;

use super::exposure::log_exposure;
use super::modules::{Modules, Network, Shared};
use super::tls::ServerTls;
use super::{background, router};
use crate::gui::TopologyService;
use crate::identity::IdentityService;
use crate::kernel::{BackgroundTask, Clock, Error, FieldIssue};
use crate::limits::Limiter;
use crate::monitoring::MonitoringService;
use crate::outbound::{AddressGuard, HttpClient, NameResolver};
use crate::settings::{Environment, LoadedSettings, ServerSettings, SharedSettings, StorageSettings, read};
use crate::storage::{ConfigRepository, ConfigStore, Stores};
use crate::telemetry;
use crate::tools::ToolService;
use crate::web::{AppState, with_layers};

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
    pub(super) topology: TopologyService,
    identity: IdentityService,
    pub(super) tls: Option<Arc<ServerTls>>,
    tasks: Vec<BackgroundTask>,
}

/// Reads and checks all settings, those changed through the API included.
pub fn load_settings(environment: Environment) -> Result<LoadedSettings, StartError> {
    let (LoadedSettings { mut settings, environment }, mut issues) = read(environment);
    if let Some(Err(expected)) = environment.get("LOG_LEVEL").map(telemetry::check_level) {
        issues.push(FieldIssue::new("value_error", vec!["LOG_LEVEL".into()], expected, Value::Null));
    }
    if !ConfigRepository::is_in_postgres(&settings.storage) {
        let store = ConfigStore::new(StorageSettings::data_dir(&environment));
        settings = store.overlay(settings, &environment, &mut issues);
    }
    if issues.is_empty() {
        return Ok(LoadedSettings { settings, environment });
    }
    // A line that could not be read may be why something is missing.
    let issues = issues.into_iter().map(|issue| environment.explained(issue));
    let issues = issues.chain(environment.skipped().iter().cloned()).collect();
    Err(StartError::Settings(issues))
}

/// The server's certificate, if it is to speak TLS.
async fn open_tls(settings: &ServerSettings, clock: &Clock) -> Result<Option<Arc<ServerTls>>, StartError> {
    let Some(settings) = &settings.tls else { return Ok(None) };
    let opened = ServerTls::open(settings, clock.clone()).await;
    opened.map(|tls| Some(Arc::new(tls))).map_err(|error| StartError::Settings(vec![error.into()]))
}

impl App {
    /// Opens the stores, builds the modules and starts the background tasks.
    pub async fn build(loaded: LoadedSettings, platform: Platform) -> Result<Self, StartError> {
        let Platform { clock, names, program } = platform;
        let settings = SharedSettings::new(loaded);
        // Before anything can fail that may quote one.
        telemetry::redact_secrets_of(settings.clone());
        for line in settings.environment().skipped() {
            tracing::warn!("{line}");
        }
        let snapshot = settings.snapshot();
        let tls = open_tls(&snapshot.server, &clock).await?;
        let stores = Stores::open(&snapshot.storage, clock.clone()).await?;
        let config = ConfigRepository::open(settings.clone(), &stores, clock.clone()).await?;
        let state = AppState { settings: settings.clone(), stores: stores.clone() };
        let background = TaskTracker::new();
        let shared = Shared { settings, stores, config, clock, background: background.clone() };
        let guard = AddressGuard::of(&snapshot.outbound).with_names(names);
        let http = HttpClient::new(shared.settings.environment(), guard.clone(), snapshot.outbound.reply_reader)?;
        let (auth, keys, clock) = (snapshot.auth.clone(), shared.stores.identity.clone(), shared.clock.clone());
        let limiter = Limiter::new(snapshot.limits.clone(), shared.stores.limits.clone(), clock.clone());
        let identity = IdentityService::open(auth, keys, limiter, http.clone(), clock).await?;
        let modules = Modules::new(&shared, Network { http, guard, program }, identity);
        let mut tasks = background::spawn(&shared, &modules).await;
        tasks.extend(tls.clone().map(|tls| BackgroundTask::spawn("tls", move || tls.clone().follow_files())));
        let (tools, monitoring) = (modules.tools.clone(), modules.monitoring.clone());
        let (topology, identity) = (modules.topology.clone(), modules.identity.clone());
        let router = with_layers(router::router(modules, &snapshot.server.api_prefix), &snapshot.server);
        log_exposure(&snapshot);
        Ok(Self { router, state, background, tools, monitoring, topology, identity, tls, tasks })
    }

    /// Ends the background tasks, waits for background work, and closes the stores.
    pub async fn close(self, timeout: Duration) {
        drop(self.tasks);
        self.background.close();
        let ended = async {
            // What it leaves behind is background work.
            self.topology.close().await;
            self.background.wait().await;
        };
        if tokio::time::timeout(timeout, ended).await.is_err() {
            tracing::warn!("background work did not finish in time");
        }
        self.tools.close().await;
        self.identity.close().await;
        self.state.stores.close().await;
    }
}

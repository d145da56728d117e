use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connectivity::{Catalogs, Connectivity};
use super::follow::MOST_FOLLOWERS;
use super::fresh::Fresh;
use super::health::{LlmSettingsKey, Probed};
use super::machine::{Figures, Machine};
use crate::agents::AgentService;
use crate::datasources::DataSourceService;
use crate::kernel::Clock;
use crate::llm::LlmService;
use crate::settings::{MonitoringSettings, Settings, SharedSettings};
use crate::storage::Stores;

/// How often the load is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(2);

/// Finds out how the server, its parts and its upstreams are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MonitoringService {
    pub(super) settings: SharedSettings,
    pub(super) stores: Stores,
    pub(super) llm: LlmService,
    pub(super) agents: AgentService,
    pub(super) datasources: DataSourceService,
    pub(super) health: Fresh<LlmSettingsKey, Arc<Probed>>,
    pub(super) connectivity: Fresh<Catalogs, Arc<Connectivity>>,
    clock: Clock,
    started: Instant,
    machine: Machine,
    stopping: CancellationToken,
    pub(super) followers: Arc<Semaphore>,
}

impl MonitoringService {
    /// A service that looks at these.
    pub fn new(
        settings: SharedSettings,
        stores: Stores,
        llm: LlmService,
        agents: AgentService,
        datasources: DataSourceService,
        clock: Clock,
    ) -> Self {
        Self {
            settings,
            stores,
            llm,
            agents,
            datasources,
            health: Fresh::default(),
            connectivity: Fresh::default(),
            clock,
            started: Instant::now(),
            machine: Machine::new(),
            stopping: CancellationToken::new(),
            followers: Arc::new(Semaphore::new(MOST_FOLLOWERS)),
        }
    }

    /// Measures the machine now and then, and logs the key figures every `MONITORING_EXPORT_INTERVAL`. Never ends.
    pub async fn observe(self) {
        let MonitoringSettings { enabled, export_interval: every, .. } = *self.settings().monitoring;
        let mut export = tokio::time::interval_at(Instant::now() + every, every);
        // What is measured first is the load between start and then.
        let mut measure = tokio::time::interval_at(Instant::now() + MEASURE_EVERY / 2, MEASURE_EVERY);
        loop {
            tokio::select! {
                _ = measure.tick() => {
                    let machine = self.machine.clone();
                    // A measurement that fails leaves the figures as they are.
                    drop(tokio::task::spawn_blocking(move || machine.measure()).await);
                }
                _ = export.tick(), if enabled => self.log_figures().await,
            }
        }
    }

    /// Ends what would go on for as long as its client listens.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Done when the server stops.
    pub(super) fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    pub(super) fn settings(&self) -> Settings {
        self.settings.snapshot()
    }

    /// The machine's figures; zeros if they can't be had.
    pub(super) async fn figures(&self) -> Figures {
        let machine = self.machine.clone();
        tokio::task::spawn_blocking(move || machine.figures()).await.unwrap_or_default()
    }

    /// The time, as replies tell it.
    pub(super) fn timestamp(&self) -> String {
        Clock::rfc3339(self.clock.now_ms())
    }

    pub(super) fn uptime_seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    async fn log_figures(&self) {
        let figures = self.figures().await;
        tracing::info!(
            uptime_seconds = self.started.elapsed().as_secs(),
            cpu_percent = figures.cpu_percent,
            memory_available_bytes = figures.memory_available,
            resident_bytes = figures.process.resident,
            process_cpu_seconds = figures.process.cpu_seconds,
            open_files = figures.process.open_files,
            "figures"
        );
    }
}

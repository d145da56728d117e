use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connectivity::{ConnectivityKey, ConnectivityReport};
use super::health::{HealthKey, HealthReport};
use super::log_tail::MAX_LOG_TAILS;
use super::single_flight::SingleFlight;
use super::system::{SystemProbe, SystemUsage};
use crate::agents::AgentService;
use crate::datasources::DataSourceService;
use crate::kernel::Clock;
use crate::llm::LlmService;
use crate::settings::{MonitoringSettings, Settings, SharedSettings};
use crate::storage::Stores;

/// How often the load is measured.
const MEASURE_INTERVAL: Duration = Duration::from_secs(2);

/// Finds out how the server, its parts and its upstreams are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MonitoringService {
    pub(super) settings: SharedSettings,
    pub(super) stores: Stores,
    pub(super) llm: LlmService,
    pub(super) agents: AgentService,
    pub(super) datasources: DataSourceService,
    pub(super) health: SingleFlight<HealthKey, Arc<HealthReport>>,
    pub(super) connectivity: SingleFlight<ConnectivityKey, Arc<ConnectivityReport>>,
    clock: Clock,
    started: Instant,
    probe: SystemProbe,
    stopping: CancellationToken,
    pub(super) log_tails: Arc<Semaphore>,
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
            health: SingleFlight::default(),
            connectivity: SingleFlight::default(),
            clock,
            started: Instant::now(),
            probe: SystemProbe::new(),
            stopping: CancellationToken::new(),
            log_tails: Arc::new(Semaphore::new(MAX_LOG_TAILS)),
        }
    }

    /// Measures the machine now and then, and logs the key figures every `MONITORING_EXPORT_INTERVAL`. Never ends.
    pub async fn run_probes(self) {
        let MonitoringSettings { enabled, export_interval: every, .. } = *self.settings().monitoring;
        let mut export = tokio::time::interval_at(Instant::now() + every, every);
        // What is measured first is the load between start and then.
        let mut measure = tokio::time::interval_at(Instant::now() + MEASURE_INTERVAL / 2, MEASURE_INTERVAL);
        loop {
            tokio::select! {
                _ = measure.tick() => {
                    let probe = self.probe.clone();
                    // A measurement that fails leaves the figures as they are.
                    drop(tokio::task::spawn_blocking(move || probe.measure()).await);
                }
                _ = export.tick(), if enabled => self.log_usage().await,
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
    pub(super) async fn usage(&self) -> SystemUsage {
        let probe = self.probe.clone();
        tokio::task::spawn_blocking(move || probe.usage()).await.unwrap_or_default()
    }

    /// The time, as replies tell it.
    pub(super) fn timestamp(&self) -> String {
        Clock::rfc3339(self.clock.now_ms())
    }

    pub(super) fn uptime_seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    async fn log_usage(&self) {
        let figures = self.usage().await;
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

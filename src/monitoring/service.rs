use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, interval_at};

use super::connectivity::ConnectivityProbe;
use super::health::HealthProbe;
use super::log_tail::LogTail;
use super::system::SystemProbe;
use crate::agents::AgentService;
use crate::datasources::DataSourceService;
use crate::grounding::GroundingService;
use crate::kernel::Clock;
use crate::llm::LlmService;
use crate::settings::{MonitoringSettings, Settings, SharedSettings, variable_names};
use crate::storage::Stores;

/// How often the load is measured.
const MEASURE_INTERVAL: Duration = Duration::from_secs(2);

/// Finds out how the server, its parts and its upstreams are. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MonitoringService {
    settings: SharedSettings,
    pub(super) clock: Clock,
    started: Instant,
    pub(super) stores: Stores,
    pub(super) agents: AgentService,
    pub(super) datasources: DataSourceService,
    pub(super) grounding: GroundingService,
    pub(super) health: HealthProbe,
    pub(super) connectivity: ConnectivityProbe,
    pub(super) system: SystemProbe,
    pub(super) log_tail: LogTail,
}

impl MonitoringService {
    /// A service that looks at these.
    pub fn new(
        settings: SharedSettings,
        stores: Stores,
        llm: LlmService,
        agents: AgentService,
        datasources: DataSourceService,
        grounding: GroundingService,
        clock: Clock,
    ) -> Self {
        let health = HealthProbe::new(llm.clone(), stores.clone());
        let connectivity = ConnectivityProbe::new(llm, agents.clone(), datasources.clone(), stores.clone());
        let (started, system, log_tail) = (Instant::now(), SystemProbe::new(), LogTail::new());
        Self {
            settings,
            clock,
            started,
            stores,
            agents,
            datasources,
            grounding,
            health,
            connectivity,
            system,
            log_tail,
        }
    }

    /// Measures the machine now and then, and logs the key figures every `MONITORING_EXPORT_INTERVAL`. Never ends.
    pub async fn run_probes(self) {
        let MonitoringSettings { enabled, export_interval: every, .. } = *self.settings().monitoring;
        let mut export = interval_at(Instant::now() + every, every);
        // What is measured first is the load between start and then.
        let mut measure = interval_at(Instant::now() + MEASURE_INTERVAL / 2, MEASURE_INTERVAL);
        loop {
            tokio::select! {
                _ = measure.tick() => self.system.measure().await,
                _ = export.tick(), if enabled => self.log_usage().await,
            }
        }
    }

    /// What is wrong with the LLM, as far as is known. What is known may be half a minute old; then somebody asks anew, and nobody
    /// waits.
    pub fn known_llm_problem(&self, settings: &Settings) -> Option<String> {
        let (report, _) = self.health.last_report(settings)?;
        report.llm.error.clone()
    }

    /// Ends what would go on for as long as its client listens.
    pub fn stop(&self) {
        self.log_tail.stopping.cancel();
    }

    pub(super) fn settings(&self) -> Settings {
        self.settings.snapshot()
    }

    /// Where the effective value of each variable came from: `default`, `file`, `environment` or `api`.
    pub(super) fn sources(&self, settings: &Settings) -> BTreeMap<&'static str, &'static str> {
        let environment = self.settings.environment();
        let plain = |name: &str| if environment.get(name).is_some() { "environment" } else { "default" };
        let mut sources: BTreeMap<_, _> = variable_names().into_iter().map(|name| (name, plain(name))).collect();
        sources.extend(settings.llm.sources());
        sources
    }

    /// The time, as replies tell it.
    pub(super) fn timestamp(&self) -> String {
        Clock::rfc3339(self.clock.now_ms())
    }

    pub(super) fn uptime_seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    async fn log_usage(&self) {
        let usage = self.system.usage().await;
        tracing::info!(
            uptime_seconds = self.started.elapsed().as_secs(),
            cpu_percent = usage.cpu_percent,
            memory_available_bytes = usage.memory_available,
            resident_bytes = usage.process.resident,
            process_cpu_seconds = usage.process.cpu_seconds,
            open_files = usage.process.open_files,
            "figures"
        );
    }
}

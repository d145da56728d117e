use super::MonitoringService;
use crate::grounding::{GroundingStatus, KindStatus};
use crate::kernel::{Error, background_panics};
use crate::outbound::BreakerState;
use crate::settings::Settings;
use crate::storage::BackendStatus;
use crate::telemetry::{Sample, exposition, logs};

impl MonitoringService {
    /// All figures, in Prometheus' text format. Samples of one name stand together.
    pub(super) async fn exposition(&self, settings: &Settings) -> Result<String, Error> {
        let version = Sample::new("orchestrator_build_info", "The version of the server; always 1", 1.0);
        let mut samples = vec![version.label("version", env!("CARGO_PKG_VERSION"))];
        samples.extend(self.health_samples(settings));
        samples.extend(self.pool_samples());
        samples.extend(self.breaker_samples(settings));
        samples.extend(resource_samples(settings));
        samples.extend(self.grounding_samples());
        samples.extend(self.process_samples().await);
        let help = "Lines of the log that nobody read from standard error in time";
        samples.push(Sample::new("orchestrator_log_lines_lost_total", help, logs().lost() as f64));
        samples.extend(background_panics().into_iter().map(|(task, count)| {
            let help = "Panics of background tasks; those that run for ever are started again";
            Sample::new("orchestrator_background_task_panics_total", help, count as f64).label("task", task)
        }));
        exposition(&samples)
    }

    /// What health said last, in figures. A scrape waits for nobody; until there is a report, there is no figure.
    fn health_samples(&self, settings: &Settings) -> Vec<Sample> {
        let stores = [("redis", self.stores.redis()), ("postgres", self.stores.postgres())];
        let stores: Vec<_> = stores.into_iter().filter_map(|(name, status)| Some((name, status?))).collect();
        let are_connected = stores.iter().all(|(_, status)| status.connected);
        let of_report = self.health.last_report(settings).into_iter().flat_map(|(report, age)| {
            let is_degraded = !(report.is_healthy(settings) && are_connected);
            let help = "1 if there is no LLM, or something in use does not answer";
            let age_help = "How long ago the LLM and the stores were asked how they are";
            let is_reachable = report.llm.is_healthy();
            [
                Sample::new("orchestrator_degraded", help, is_degraded.into()),
                Sample::new("orchestrator_llm_reachable", "1 if the LLM server answers", is_reachable.into()),
                Sample::new("orchestrator_health_age_seconds", age_help, age.as_secs_f64()),
            ]
        });
        of_report.chain(store_samples(&stores)).collect()
    }

    fn pool_samples(&self) -> Vec<Sample> {
        let pools = self.stores.pools();
        let of_all = |name, help, figure: fn(&_) -> u32| {
            pools.iter().map(move |pool| Sample::new(name, help, figure(pool).into()).label("pool", pool.name))
        };
        let open = of_all("orchestrator_pool_connections", "Open connections of a pool", |pool| pool.connections);
        let help = "Connections of a pool that nobody uses";
        let idle = of_all("orchestrator_pool_idle_connections", help, |pool| pool.idle);
        let limits = of_all("orchestrator_pool_max_connections", "Connections that a pool may open", |pool| pool.limit);
        open.chain(idle).chain(limits).collect()
    }

    fn breaker_samples(&self, settings: &Settings) -> impl Iterator<Item = Sample> + use<> {
        let all = [("agent", self.agents.breakers(settings)), ("datasource", self.datasources.breakers(settings))];
        all.into_iter().flat_map(|(kind, breakers)| {
            BreakerState::ALL.map(|(state, name)| {
                let help = "Agents and data sources, by whether calls go through to them (closed), or not because they keep failing";
                let count = breakers.iter().filter(|breaker| **breaker == state).count();
                Sample::new("orchestrator_circuit_breakers", help, count as f64)
                    .label("kind", kind)
                    .label("state", name)
            })
        })
    }

    /// What is known of the resources, for routing. The age is that of the oldest part of it.
    fn grounding_samples(&self) -> Vec<Sample> {
        let GroundingStatus { kinds, oldest_ms } = self.grounding.status();
        let help = "Resources that routing knows, by whether all is known that they offer";
        let mut samples = Vec::new();
        for kind in &kinds {
            for (state, count) in [("complete", kind.complete), ("described", kind.described)] {
                let sample = Sample::new("orchestrator_grounding_resources", help, count as f64);
                samples.push(sample.label("kind", kind.kind.as_str()).label("state", state));
            }
        }
        let help = "Tables, functions, skills and the like that routing knows";
        let items = |kind: &KindStatus| {
            Sample::new("orchestrator_grounding_items", help, kind.items as f64).label("kind", kind.kind.as_str())
        };
        samples.extend(kinds.iter().map(items));
        let help = "How long ago the resource was asked what it offers that was asked longest ago";
        let age = |ms: i64| (self.clock.now_ms() - ms).max(0) as f64 / 1000.0;
        samples.extend(oldest_ms.map(|ms| Sample::new("orchestrator_grounding_age_seconds", help, age(ms))));
        samples
    }

    async fn process_samples(&self) -> [Sample; 6] {
        let process = self.system.usage().await.process;
        [
            ("process_cpu_seconds_total", "Processor time that the server has taken", process.cpu_seconds),
            ("process_resident_memory_bytes", "Memory that the server holds", process.resident as f64),
            ("process_virtual_memory_bytes", "Addresses that the server has reserved", process.virtual_memory as f64),
            ("process_open_fds", "Files and connections that are open", process.open_files as f64),
            ("process_max_fds", "How many may be open", process.max_open_files as f64),
            ("process_start_time_seconds", "When the server was started, since 1970", process.started as f64),
        ]
        .map(|(name, help, value)| Sample::new(name, help, value))
    }
}

fn resource_samples(settings: &Settings) -> impl Iterator<Item = Sample> + use<> {
    let counts =
        [("agent", settings.agents.len()), ("datasource", settings.datasources.len()), ("tool", settings.tools.len())];
    let help = "Agents, data sources and tools that are configured";
    counts
        .into_iter()
        .map(move |(kind, count)| Sample::new("orchestrator_resources", help, count as f64).label("kind", kind))
}

fn store_samples(stores: &[(&'static str, BackendStatus)]) -> Vec<Sample> {
    let of_all = |name, help, figure: fn(&BackendStatus) -> u64| {
        stores.iter().map(move |(store, status)| Sample::new(name, help, figure(status) as f64).label("store", store))
    };
    let help = "1 if a store that is configured is in use; if not, the embedded store stands in for it";
    let connected = of_all("orchestrator_store_connected", help, |status| status.connected.into());
    let help = "Changes that wait to be written back to a store";
    let pending = of_all("orchestrator_store_pending", help, |status| status.pending);
    let help = "Operations and attempts to connect that a store has failed";
    let failures = of_all("orchestrator_store_failures_total", help, |status| status.failures);
    connected.chain(pending).chain(failures).collect()
}

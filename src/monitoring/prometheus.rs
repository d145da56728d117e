use super::MonitoringService;
use crate::kernel::{Error, background_panics};
use crate::outbound::BreakerState;
use crate::settings::Settings;
use crate::storage::BackendStatus;
use crate::telemetry::{Sample, exposition, lost_lines};

impl MonitoringService {
    /// All figures, in Prometheus' text format.
    pub(super) async fn exposition(&self) -> Result<String, Error> {
        let mut samples = vec![Sample {
            name: "orchestrator_build_info",
            help: "The version of the server; always 1",
            labels: vec![("version", env!("CARGO_PKG_VERSION").to_owned())],
            value: 1.0,
        }];
        let settings = self.settings();
        samples.extend(self.health_samples(&settings));
        samples.extend(self.pool_samples());
        samples.extend(self.breaker_samples(&settings));
        samples.extend(resource_samples(&settings));
        samples.extend(self.process_samples().await);
        samples.push(lost_lines_sample());
        samples.extend(panic_samples());
        exposition(&samples)
    }

    /// What health said last, in figures. A scrape waits for nobody; until there is a verdict, there is no figure.
    fn health_samples(&self, settings: &Settings) -> Vec<Sample> {
        let stores = [("redis", self.stores.redis()), ("postgres", self.stores.postgres())];
        let are_connected = stores.iter().all(|(_, status)| status.as_ref().is_none_or(|status| status.connected));
        let sample = |name, help, value| Sample { name, help, labels: Vec::new(), value };
        let report_samples = self.last_report(settings).into_iter().flat_map(|(report, age)| {
            let is_degraded = !(report.is_healthy(settings) && are_connected);
            [
                sample(
                    "orchestrator_degraded",
                    "1 if there is no LLM, or something in use does not answer",
                    number(is_degraded),
                ),
                sample("orchestrator_llm_reachable", "1 if the LLM server answers", number(report.llm.ok)),
                sample(
                    "orchestrator_health_age_seconds",
                    "How long ago the LLM and the stores were asked how they are",
                    age.as_secs_f64(),
                ),
            ]
        });
        report_samples.chain(store_samples(&stores)).collect()
    }

    fn pool_samples(&self) -> Vec<Sample> {
        let pools = self.stores.pools();
        let sample = |name, help, pool: &str, value: u32| Sample {
            name,
            help,
            labels: vec![("pool", pool.to_owned())],
            value: f64::from(value),
        };
        let connections = pools.iter().map(|pool| {
            sample("orchestrator_pool_connections", "Open connections of a pool", pool.name, pool.connections)
        });
        let idle = pools.iter().map(|pool| {
            sample("orchestrator_pool_idle_connections", "Connections of a pool that nobody uses", pool.name, pool.idle)
        });
        let limits = pools.iter().map(|pool| {
            sample("orchestrator_pool_max_connections", "Connections that a pool may open", pool.name, pool.limit)
        });
        connections.chain(idle).chain(limits).collect()
    }

    fn breaker_samples(&self, settings: &Settings) -> impl Iterator<Item = Sample> + use<> {
        let states =
            [("closed", BreakerState::Closed), ("open", BreakerState::Open), ("half_open", BreakerState::HalfOpen)];
        let all = [("agent", self.agents.breakers(settings)), ("datasource", self.datasources.breakers(settings))];
        all.into_iter().flat_map(move |(kind, breakers)| {
            states.map(|(name, state)| Sample {
                name: "orchestrator_circuit_breakers",
                help: "Agents and data sources, by whether calls go through to them (closed), or not because they keep failing",
                labels: vec![("kind", kind.to_owned()), ("state", name.to_owned())],
                value: breakers.iter().filter(|breaker| **breaker == state).count() as f64,
            })
        })
    }

    async fn process_samples(&self) -> [Sample; 6] {
        let process = self.usage().await.process;
        let sample = |name, help, value| Sample { name, help, labels: Vec::new(), value };
        [
            sample("process_cpu_seconds_total", "Processor time that the server has taken", process.cpu_seconds),
            sample("process_resident_memory_bytes", "Memory that the server holds", process.resident as f64),
            sample(
                "process_virtual_memory_bytes",
                "Addresses that the server has reserved",
                process.virtual_memory as f64,
            ),
            sample("process_open_fds", "Files and connections that are open", process.open_files as f64),
            sample("process_max_fds", "How many may be open", process.max_open_files as f64),
            sample("process_start_time_seconds", "When the server was started, since 1970", process.started as f64),
        ]
    }
}

fn number(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

fn resource_samples(settings: &Settings) -> impl Iterator<Item = Sample> + use<> {
    let entries = [
        ("agent", settings.agents.iter().len()),
        ("datasource", settings.datasources.iter().len()),
        ("tool", settings.tools.iter().len()),
    ];
    let entries = entries.map(|(kind, count)| Sample {
        name: "orchestrator_resources",
        help: "Agents, data sources and tools that are configured",
        labels: vec![("kind", kind.to_owned())],
        value: count as f64,
    });
    entries.into_iter()
}

fn store_samples(stores: &[(&'static str, Option<BackendStatus>)]) -> Vec<Sample> {
    type Figure = fn(&BackendStatus) -> f64;
    let figures: [(&str, &str, Figure); 3] = [
        (
            "orchestrator_store_connected",
            "1 if a store that is configured is in use; if not, the embedded store stands in for it",
            |status| number(status.connected),
        ),
        ("orchestrator_store_pending", "Changes that wait to be written back to a store", |status| {
            status.pending as f64
        }),
        ("orchestrator_store_failures_total", "Operations and attempts to connect that a store has failed", |status| {
            status.failures as f64
        }),
    ];
    let of_figure = |(name, help, figure): (&'static str, &'static str, Figure)| {
        let found = stores.iter().filter_map(|(store, status)| Some((store, status.as_ref()?)));
        let sample = move |(store, status): (&&str, &BackendStatus)| Sample {
            name,
            help,
            labels: vec![("store", (*store).to_owned())],
            value: figure(status),
        };
        found.map(sample).collect::<Vec<_>>()
    };
    figures.into_iter().flat_map(of_figure).collect()
}

fn panic_samples() -> impl Iterator<Item = Sample> {
    background_panics().into_iter().map(|(task, count)| Sample {
        name: "orchestrator_background_task_panics_total",
        help: "Panics of background tasks, which are started again",
        labels: vec![("task", task.to_owned())],
        value: count as f64,
    })
}

fn lost_lines_sample() -> Sample {
    Sample {
        name: "orchestrator_log_lines_lost_total",
        help: "Lines of the log that nobody read from standard error in time",
        labels: Vec::new(),
        value: lost_lines() as f64,
    }
}

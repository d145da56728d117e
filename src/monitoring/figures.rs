use std::time::Duration;

use tokio::time::timeout;

use super::MonitoringService;
use crate::kernel::Error;
use crate::outbound::BreakerState;
use crate::telemetry::{Sample, exposition};

/// How long parts may take to tell how they are: Prometheus gives all figures ten seconds.
const PATIENCE: Duration = Duration::from_secs(2);

impl MonitoringService {
    /// All figures, in Prometheus' text format.
    pub(super) async fn exposition(&self) -> Result<String, Error> {
        let mut samples = vec![Sample {
            name: "orchestrator_build_info",
            help: "The version of the server; always 1",
            labels: vec![("version", env!("CARGO_PKG_VERSION").to_owned())],
            value: 1.0,
        }];
        samples.extend(self.of_parts().await);
        samples.extend(self.of_pools());
        samples.extend(self.of_breakers());
        samples.extend(self.of_settings());
        samples.extend(self.of_process());
        exposition(&samples)
    }

    /// What health says, in figures. What has not answered by then does not count as well.
    async fn of_parts(&self) -> Vec<Sample> {
        let settings = self.settings();
        let probed = timeout(PATIENCE, self.probe(&settings)).await.ok();
        let is_degraded = !probed.as_ref().is_some_and(|probed| probed.is_healthy(&settings));
        let llm = probed.as_ref().is_some_and(|probed| probed.llm.ok);
        let sample = |name, help, labels, is_so: bool| Sample { name, help, labels, value: f64::from(u8::from(is_so)) };
        let mut samples = vec![
            sample(
                "orchestrator_degraded",
                "1 if there is no LLM, or something in use does not answer",
                Vec::new(),
                is_degraded,
            ),
            sample("orchestrator_llm_reachable", "1 if the LLM server answers", Vec::new(), llm),
        ];
        let backends: Vec<_> = probed.iter().flat_map(|probed| &probed.backends).collect();
        let found = || backends.iter().filter_map(|backend| Some((backend.name, backend.found.as_ref()?)));
        let of_store =
            |name, help, store: &str, value| Sample { name, help, labels: vec![("store", store.to_owned())], value };
        samples.extend(found().map(|(store, found)| {
            let help = "1 if a store that is configured answers; if not, the embedded store stands in for it";
            of_store("orchestrator_store_connected", help, store, f64::from(u8::from(found.answer.is_ok())))
        }));
        samples.extend(found().map(|(store, found)| {
            let help = "Changes that wait to be written back to a store";
            of_store("orchestrator_store_pending", help, store, found.status.pending as f64)
        }));
        samples.extend(found().map(|(store, found)| {
            let help = "Operations and attempts to connect that a store has failed";
            of_store("orchestrator_store_failures_total", help, store, found.status.failures as f64)
        }));
        samples
    }

    fn of_pools(&self) -> Vec<Sample> {
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

    fn of_breakers(&self) -> impl Iterator<Item = Sample> {
        let states =
            [("closed", BreakerState::Closed), ("open", BreakerState::Open), ("half_open", BreakerState::HalfOpen)];
        let all = [("agent", self.agents.breakers()), ("datasource", self.datasources.breakers())];
        all.into_iter().flat_map(move |(kind, breakers)| {
            states.map(|(name, state)| Sample {
                name: "orchestrator_circuit_breakers",
                help: "Agents and data sources, by whether calls go through to them (closed), or not because they keep failing",
                labels: vec![("kind", kind.to_owned()), ("state", name.to_owned())],
                value: breakers.iter().filter(|breaker| **breaker == state).count() as f64,
            })
        })
    }

    fn of_settings(&self) -> impl Iterator<Item = Sample> {
        let settings = self.settings();
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

    fn of_process(&self) -> [Sample; 6] {
        let process = self.figures().process;
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
            sample("process_max_fds", "How many may be open", process.most_files as f64),
            sample("process_start_time_seconds", "When the server was started, since 1970", process.started as f64),
        ]
    }
}

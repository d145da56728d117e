use super::{MonitoringService, backends};
use crate::kernel::Error;
use crate::outbound::BreakerState;
use crate::telemetry::{Sample, exposition};

impl MonitoringService {
    /// All figures, in Prometheus' text format. Looks at what is known already, and asks nobody.
    pub(super) fn exposition(&self) -> Result<String, Error> {
        let mut samples = vec![Sample {
            name: "orchestrator_build_info",
            help: "The version of the server; always 1",
            labels: vec![("version", env!("CARGO_PKG_VERSION").to_owned())],
            value: 1.0,
        }];
        samples.extend(self.of_stores());
        samples.extend(self.of_breakers());
        samples.extend(self.of_settings());
        samples.extend(self.of_process());
        exposition(&samples)
    }

    fn of_stores(&self) -> Vec<Sample> {
        let settings = self.settings();
        let backends = backends::known(&settings);
        let is_degraded = settings.llm.effective().base_url.is_none()
            || backends.iter().any(|backend| backend.connected == Some(false));
        let mut samples = vec![Sample {
            name: "orchestrator_degraded",
            help: "1 if there is no LLM, or a store that is in use is known not to answer",
            labels: Vec::new(),
            value: f64::from(u8::from(is_degraded)),
        }];
        samples.extend(backends.iter().filter_map(|backend| {
            Some(Sample {
                name: "orchestrator_store_connected",
                help: "Whether a store outside the server is known to answer: 1 if so. Only for those in use",
                labels: vec![("store", backend.name.to_owned())],
                value: f64::from(u8::from(backend.connected?)),
            })
        }));
        samples
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
        let llm = Sample {
            name: "orchestrator_llm_configured",
            help: "Whether an LLM is configured: 1 if so",
            labels: Vec::new(),
            value: f64::from(u8::from(settings.llm.effective().base_url.is_some())),
        };
        entries.into_iter().chain([llm])
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

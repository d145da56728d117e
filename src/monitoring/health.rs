use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::connectivity::REACH_TIMEOUT;
use super::single_flight::{ByAddress, SingleFlight};
use super::store_health::StoreChecks;
use crate::kernel::Deadline;
use crate::llm::{LlmError, LlmService};
use crate::settings::{LlmSection, Settings};
use crate::storage::Stores;

/// How long a report is good enough for those who can't wait for one.
const MAX_REPORT_AGE: Duration = Duration::from_secs(30);

/// Asks the LLM server and the stores how they are. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct HealthProbe {
    llm: LlmService,
    stores: Stores,
    /// Of which connection to an LLM: what was found out about another one says nothing.
    reports: SingleFlight<ByAddress<LlmSection>, Arc<HealthReport>>,
}

/// What the parts said when they were asked.
#[derive(Debug)]
pub(super) struct HealthReport {
    pub(super) llm: ComponentHealth,
    pub(super) embedded: ComponentHealth,
    pub(super) stores: StoreChecks,
}

/// How long a part took to answer, and what is wrong with it.
#[derive(Clone, Debug)]
pub(super) struct ComponentHealth {
    pub(super) latency_ms: f64,
    pub(super) error: Option<String>,
}

impl ComponentHealth {
    pub(super) fn is_healthy(&self) -> bool {
        self.error.is_none()
    }
}

impl HealthReport {
    /// Whether there is an LLM, and whatever is in use answers.
    pub(super) fn is_healthy(&self, settings: &Settings) -> bool {
        let has_llm = settings.llm.effective().base_url.is_some() && self.llm.is_healthy();
        has_llm && self.embedded.is_healthy() && self.stores.are_healthy()
    }
}

impl HealthProbe {
    pub(super) fn new(llm: LlmService, stores: Stores) -> Self {
        Self { llm, stores, reports: SingleFlight::default() }
    }

    /// Asks all parts at once; callers that ask at the same time share one report.
    pub(super) async fn report(&self, settings: &Settings) -> Arc<HealthReport> {
        self.reports.get(ByAddress(settings.llm.clone()), self.clone().ask(settings.clone())).await
    }

    /// The last report, and how old it is. Never waits.
    pub(super) fn last_report(&self, settings: &Settings) -> Option<(Arc<HealthReport>, Duration)> {
        let ask = self.clone().ask(settings.clone());
        self.reports.last(ByAddress(settings.llm.clone()), MAX_REPORT_AGE, ask)
    }

    async fn ask(self, settings: Settings) -> Arc<HealthReport> {
        let (llm, embedded, stores) = tokio::join!(
            timed(self.llm_error(&settings)),
            timed(self.embedded_error()),
            StoreChecks::of(&self.stores, &settings)
        );
        Arc::new(HealthReport { llm, embedded, stores })
    }

    async fn llm_error(&self, settings: &Settings) -> Option<String> {
        match self.llm.health(settings, Deadline::after(REACH_TIMEOUT)).await {
            Ok(ping) if ping.is_healthy() => None,
            Ok(ping) => Some(format!("answered {}", ping.status)),
            Err(LlmError::NoBaseUrl) => Some("LLM not configured".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }

    async fn embedded_error(&self) -> Option<String> {
        match timeout(REACH_TIMEOUT, self.stores.ping()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the embedded store does not answer");
                Some("it fails; the log says why".to_owned())
            }
            Err(_) => Some("it did not answer in time".to_owned()),
        }
    }
}

async fn timed(probe: impl Future<Output = Option<String>>) -> ComponentHealth {
    let started = Instant::now();
    let error = probe.await;
    ComponentHealth { latency_ms: started.elapsed().as_secs_f64() * 1000.0, error }
}

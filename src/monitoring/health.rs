use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::MonitoringService;
use super::store_health::{self, ExternalStore};
use crate::llm::LlmError;
use crate::settings::{LlmSection, Settings};

/// Longest wait for any part.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a verdict is good enough for those who can't wait for one.
const MAX_REPORT_AGE: Duration = Duration::from_secs(30);

/// What the parts said when they were asked.
#[derive(Debug)]
pub(super) struct HealthReport {
    pub(super) llm: ComponentHealth,
    pub(super) store: ComponentHealth,
    pub(super) backends: [ExternalStore; 2],
}

/// How one part is.
#[derive(Clone, Debug)]
pub(super) struct ComponentHealth {
    pub(super) ok: bool,
    pub(super) latency_ms: f64,
    pub(super) error: Option<String>,
}

/// What a probe is about: once the connection has been changed, what was found out about the old one says nothing.
#[derive(Clone, Debug)]
pub(super) struct HealthKey(Arc<LlmSection>);

impl PartialEq for HealthKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl HealthReport {
    /// Whether all is as it should be: there is an LLM, and whatever is in use answers.
    pub(super) fn is_healthy(&self, settings: &Settings) -> bool {
        let llm = settings.llm.effective().base_url.is_some() && self.llm.ok;
        llm && self.store.ok && self.backends.iter().all(ExternalStore::is_well)
    }
}

impl MonitoringService {
    /// Asks all parts at once; callers that ask at the same time share one answer.
    pub(super) async fn probe(&self, settings: &Settings) -> Arc<HealthReport> {
        self.health.get(HealthKey(settings.llm.clone()), self.clone().ask(settings.clone())).await
    }

    /// What the parts said when they were asked last, and how long ago. Never waits.
    pub(super) fn last_report(&self, settings: &Settings) -> Option<(Arc<HealthReport>, Duration)> {
        let ask = self.clone().ask(settings.clone());
        self.health.last(HealthKey(settings.llm.clone()), MAX_REPORT_AGE, ask)
    }

    async fn ask(self, settings: Settings) -> Arc<HealthReport> {
        let (llm, store, backends) = tokio::join!(
            self.probe_llm(&settings),
            self.probe_store(),
            store_health::check_stores(&self.stores, &settings)
        );
        Arc::new(HealthReport { llm, store, backends })
    }

    async fn probe_llm(&self, settings: &Settings) -> ComponentHealth {
        let started = Instant::now();
        let error = match timeout(PROBE_TIMEOUT, self.llm.health(settings)).await {
            Ok(Ok(ping)) if ping.is_healthy() => None,
            Ok(Ok(ping)) => Some(format!("answered {}", ping.status)),
            Ok(Err(LlmError::NoBaseUrl)) => Some("LLM not configured".to_owned()),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("did not answer in time".to_owned()),
        };
        ComponentHealth { ok: error.is_none(), latency_ms: millis(started), error }
    }

    async fn probe_store(&self) -> ComponentHealth {
        let started = Instant::now();
        let error = match timeout(PROBE_TIMEOUT, self.stores.ping()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the embedded store does not answer");
                Some("it fails; the log says why".to_owned())
            }
            Err(_) => Some("it did not answer in time".to_owned()),
        };
        ComponentHealth { ok: error.is_none(), latency_ms: millis(started), error }
    }
}

fn millis(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1000.0
}

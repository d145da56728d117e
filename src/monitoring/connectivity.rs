use std::sync::Arc;
use std::time::Duration;

use super::MonitoringService;
use super::store_health::{self, ExternalStore};
use crate::agents::PingReport;
use crate::datasources::{Source, SourceHealth};
use crate::kernel::Deadline;
use crate::llm::{LlmError, LlmPing};
use crate::settings::{AgentSettings, Catalog, CatalogEntry, DataSourceSettings, LlmSection};

/// Longest wait for all of them; each has its own timeout besides.
const CONNECTIVITY_TIMEOUT: Duration = Duration::from_secs(10);

/// What was found when everything was reached for.
#[derive(Debug)]
pub(super) struct ConnectivityReport {
    /// The connection that was asked, and its answer.
    pub(super) llm: (Arc<LlmSection>, Result<LlmPing, LlmError>),
    pub(super) agents: Vec<(Arc<CatalogEntry<AgentSettings>>, Option<PingReport>)>,
    pub(super) datasources: Vec<(Source, Option<SourceHealth>)>,
    pub(super) backends: [ExternalStore; 2],
}

/// What there is to be reached for.
#[derive(Clone, Debug)]
pub(super) struct ConnectivityKey {
    llm: Arc<LlmSection>,
    agents: Arc<Catalog<AgentSettings>>,
    datasources: Arc<Catalog<DataSourceSettings>>,
}

impl PartialEq for ConnectivityKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.llm, &other.llm)
            && Arc::ptr_eq(&self.agents, &other.agents)
            && Arc::ptr_eq(&self.datasources, &other.datasources)
    }
}

impl MonitoringService {
    /// Reaches for everything at once; callers that ask at the same time share one answer.
    pub(super) async fn connectivity(&self) -> Arc<ConnectivityReport> {
        let settings = self.settings();
        let (llm, agents, datasources) = (settings.llm.clone(), settings.agents.clone(), settings.datasources.clone());
        let this = self.clone();
        let reach = async move {
            let deadline = Deadline::after(CONNECTIVITY_TIMEOUT);
            let (llm, agents, datasources, backends) = tokio::join!(
                this.llm.health(&settings),
                this.agents.ping_all(&settings, deadline),
                this.datasources.check_all(&settings, deadline),
                store_health::check_stores(&this.stores, &settings)
            );
            Arc::new(ConnectivityReport { llm: (settings.llm, llm), agents, datasources, backends })
        };
        self.connectivity.get(ConnectivityKey { llm, agents, datasources }, reach).await
    }
}

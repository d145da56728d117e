use std::sync::Arc;
use std::time::Duration;

use super::single_flight::{ByAddress, SingleFlight};
use super::store_health::StoreChecks;
use crate::agents::{AgentEntry, AgentService, PingReport};
use crate::datasources::{DataSourceService, Source, SourceHealth};
use crate::kernel::Deadline;
use crate::llm::{LlmError, LlmPing, LlmService};
use crate::settings::{AgentSettings, Catalog, DataSourceSettings, LlmSection, Settings};
use crate::storage::Stores;

/// Longest wait for each of them, who are asked side by side; an agent or a data source may have a shorter timeout of its own. A page
/// that asks every ten seconds has its answer after four.
pub(super) const REACH_TIMEOUT: Duration = Duration::from_millis(3500);

/// Reaches for the LLM, all agents, all data sources and the stores. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ConnectivityProbe {
    llm: LlmService,
    agents: AgentService,
    datasources: DataSourceService,
    stores: Stores,
    reports: SingleFlight<ConnectivityKey, Arc<ConnectivityReport>>,
}

type ConnectivityKey =
    (ByAddress<LlmSection>, ByAddress<Catalog<AgentSettings>>, ByAddress<Catalog<DataSourceSettings>>);

/// What was found when everything was reached for.
#[derive(Debug)]
pub(super) struct ConnectivityReport {
    /// The connection that was asked, and its answer.
    pub(super) llm: (Arc<LlmSection>, Result<LlmPing, LlmError>),
    pub(super) agents: Vec<(AgentEntry, Option<PingReport>)>,
    pub(super) datasources: Vec<(Source, Option<SourceHealth>)>,
    pub(super) stores: StoreChecks,
}

impl ConnectivityProbe {
    pub(super) fn new(llm: LlmService, agents: AgentService, datasources: DataSourceService, stores: Stores) -> Self {
        Self { llm, agents, datasources, stores, reports: SingleFlight::default() }
    }

    /// Reaches for everything at once; callers that ask at the same time share one report.
    pub(super) async fn report(&self, settings: Settings) -> Arc<ConnectivityReport> {
        let Settings { llm, agents, datasources, .. } = settings.clone();
        let probe = self.clone();
        let reach = async move {
            let deadline = Deadline::after(REACH_TIMEOUT);
            let (llm, agents, datasources, stores) = tokio::join!(
                probe.llm.health(&settings, deadline),
                probe.agents.ping_all(&settings, deadline),
                probe.datasources.check_all(&settings, deadline),
                StoreChecks::of(&probe.stores, &settings)
            );
            Arc::new(ConnectivityReport { llm: (settings.llm, llm), agents, datasources, stores })
        };
        self.reports.get((ByAddress(llm), ByAddress(agents), ByAddress(datasources)), reach).await
    }
}

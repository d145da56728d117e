use std::sync::{Arc, OnceLock};

use super::{
    AgentSettings, AuthSettings, CacheSettings, Catalog, DataSourceSettings, LimitSettings, LlmSection, MemorySettings,
    MonitoringSettings, OrchestrationSettings, OutboundSettings, Redactions, Resource, Section, ServerSettings,
    StorageSettings, ToolPolicy, ToolSettings, VerifiedQuestions,
};
use crate::kernel::{Caller, Permission};

/// One consistent set of settings. Cloning it is cheap: every section is behind an `Arc`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name, address, CORS, limits of the HTTP server.
    pub server: Arc<ServerSettings>,
    /// Who may call.
    pub auth: Arc<AuthSettings>,
    /// How much they may use.
    pub limits: Arc<LimitSettings>,
    /// The LLM connection.
    pub llm: Arc<LlmSection>,
    /// Conversation memory.
    pub memory: Arc<MemorySettings>,
    /// The response cache.
    pub cache: Arc<CacheSettings>,
    /// How a chat request is carried out.
    pub orchestration: Arc<OrchestrationSettings>,
    /// Logs and metrics.
    pub monitoring: Arc<MonitoringSettings>,
    /// Where state lives.
    pub storage: Arc<StorageSettings>,
    /// Which addresses may be called.
    pub outbound: Arc<OutboundSettings>,
    /// External agents.
    pub agents: Arc<Catalog<AgentSettings>>,
    /// Sources of data.
    pub datasources: Arc<Catalog<DataSourceSettings>>,
    /// What was verified of their answers.
    pub verified: Arc<VerifiedQuestions>,
    /// What tools may do.
    pub tool_policy: Arc<ToolPolicy>,
    /// Tools.
    pub tools: Arc<Catalog<ToolSettings>>,
    /// Made when they are asked for: collecting secrets takes a look at every resource.
    pub(super) redactions: Arc<OnceLock<Arc<Redactions>>>,
}

/// A [`Section`] and its place in [`Settings`].
pub trait LiveSection: Section {
    /// The section in these settings.
    fn of(settings: &Settings) -> &Arc<Self>;
    /// Its place in these settings.
    fn slot(settings: &mut Settings) -> &mut Arc<Self>;
}

impl Settings {
    /// These settings with another section in its place.
    pub fn with<S: LiveSection>(&self, section: S) -> Self {
        let mut next = Self { redactions: Arc::default(), ..self.clone() };
        *S::slot(&mut next) = Arc::new(section);
        next
    }

    /// These settings with only those resources that `caller` may use.
    pub(super) fn usable_by(&self, caller: &Caller) -> Self {
        let mut next = self.clone();
        narrow(&mut next.agents, caller, Permission::AgentsUse);
        narrow(&mut next.datasources, caller, Permission::DataSourcesUse);
        narrow(&mut next.tools, caller, Permission::ToolsUse);
        next
    }

    /// These settings with another catalog, in which the entry `from` is called `to` or is no more. What is known of a data
    /// source goes along with it.
    pub fn with_moved<T: Resource>(&self, catalog: Catalog<T>, from: &str, to: Option<&str>) -> Self
    where
        Catalog<T>: LiveSection,
    {
        let next = self.with(catalog);
        match T::SECTION == DataSourceSettings::SECTION && to != Some(from) {
            true => next.with(self.verified.moved(from, to)),
            false => next,
        }
    }
}

/// Leaves of a catalog what `caller` may use.
fn narrow<T: Resource>(catalog: &mut Arc<Catalog<T>>, caller: &Caller, permission: Permission) {
    if !caller.may(permission) {
        *catalog = Arc::new(catalog.only(|name| caller.may_use(permission, name)));
    }
}

macro_rules! live_section {
    ($section:ty, $field:ident) => {
        impl LiveSection for $section {
            fn of(settings: &Settings) -> &Arc<Self> {
                &settings.$field
            }

            fn slot(settings: &mut Settings) -> &mut Arc<Self> {
                &mut settings.$field
            }
        }
    };
}

live_section!(LlmSection, llm);
live_section!(Catalog<AgentSettings>, agents);
live_section!(Catalog<DataSourceSettings>, datasources);
live_section!(Catalog<ToolSettings>, tools);
live_section!(VerifiedQuestions, verified);
